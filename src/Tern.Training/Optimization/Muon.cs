using System.Runtime.Intrinsics;
using Tern.Machine;
using Tern.Training.Mathematics;
using Tern.Training.Weights;

namespace Tern.Training.Optimization;

/// <summary>
/// Muon (Jordan et al. 2024): the momentum of a matrix is replaced by the nearest matrix whose singular values are all about one, so that rare
/// directions learn as fast as frequent ones.
/// <code>
///   m = β m + (1 - β) g      d = (1 - β) g + β m      X = d / ‖d‖
///   five times:  X = a X + X (b XᵀX + c (XᵀX)²)
///   w -= rate (0.2 sqrt(longer side) X + decay · w)
/// </code>
/// The last factor gives a change as large as AdamW's (Liu et al. 2025, "Muon is scalable"), so both share a learning rate.
/// X stands upright, its shorter side as columns: XᵀX is then the small product, and a wide weight matrix is transposed when X is filled.
/// </summary>
internal sealed unsafe class Muon : IDisposable
{
    private const int Iterations = 5;

    // The quintic of Jordan: it sends [0.01, 1] to about [0.7, 1.2] in five steps.
    private const float Linear = 3.4445f, Cubic = -4.7750f, Quintic = 2.0315f;

    private readonly Parameter[] _matrices;
    private readonly Arena _arena;
    private readonly float* _first;
    private readonly float* _second;
    private readonly float* _gramRows; // [short, short] row-major
    private readonly float* _gram; // panels of the same
    private readonly float* _square; // panels of gram²
    private readonly double[] _squares; // [blocks]

    /// <param name="matrices">Row-major, both sides multiples of 32.</param>
    public Muon(IEnumerable<Parameter> matrices)
    {
        _matrices = [.. matrices];
        _arena = new Arena(FloatsNeeded(_matrices));
        var sizes = new Sizes(_matrices);
        _first = _arena.Floats(sizes.Matrix);
        _second = _arena.Floats(sizes.Matrix);
        _gramRows = _arena.Floats(sizes.Gram);
        _gram = _arena.Floats(sizes.Gram);
        _square = _arena.Floats(sizes.PaddedGram);
        _squares = new double[_matrices.Max(p => Math.Max(p.Rows, p.Columns)) / Panels.Columns];
    }

    /// <summary>Floats of the scratch space.</summary>
    public static long FloatsNeeded(IEnumerable<Parameter> matrices)
    {
        var sizes = new Sizes(matrices);
        return (2 * sizes.Matrix) + (2 * sizes.Gram) + sizes.PaddedGram + (5 * 16);
    }

    /// <summary>Changes all matrices.</summary>
    /// <param name="pool">Workers; the bits do not depend on their number.</param>
    /// <param name="momentum">Where gradients and momentum are.</param>
    /// <param name="rate">Learning rate.</param>
    /// <param name="write">What happens to the weights besides.</param>
    public void Apply(WorkerPool pool, MomentumStep momentum, float rate, WeightUpdate write)
    {
        fixed (double* squares = _squares)
        {
            foreach (Parameter matrix in _matrices)
            {
                bool isWide = matrix.Columns > matrix.Rows;
                int longer = Math.Max(matrix.Rows, matrix.Columns), shorter = Math.Min(matrix.Rows, matrix.Columns);
                var x = new Panels((nint)_first, Panels.Padded(longer), shorter);
                var pass = new MatrixPass { Matrix = matrix.Offset, Columns = matrix.Columns, IsWide = isWide, X = x, Momentum = momentum, Squares = squares, Write = write };
                pass.Fill(pool, matrix.Rows / Panels.Columns);

                double norm = 0;
                for (int i = 0; i < matrix.Rows / Panels.Columns; i++)
                    norm += squares[i];
                x = Orthogonalize(pool, x, longer, (float)Math.Sqrt(norm));
                (pass with { X = x, Change = norm > 0 ? rate * 0.2f * MathF.Sqrt(longer) : 0 }).Update(pool, matrix.Rows / Panels.Columns);
            }
        }
    }

    public void Dispose() => _arena.Dispose();

    private Panels Orthogonalize(WorkerPool pool, Panels x, int rows, float norm)
    {
        var other = new Panels((nint)_second, x.Stride, x.Width);
        int n = x.Width;
        var gram = new Panels((nint)_gram, n, n);
        var square = new Panels((nint)_square, Panels.Padded(n), n);
        float factor = norm > 0 ? 1 / norm : 0; // the first product brings the norm to one
        for (int i = 0; i < Iterations; i++)
        {
            new Span<float>(_gramRows, n * n).Clear();
            new ColumnProduct { A = x, B = x, C = _gramRows, Rows = rows }.Run(pool);
            Arrange(gram, factor * factor);
            new RowProduct { A = gram, B = _gram, C = square, Rows = n }.Run(pool);
            Combine(gram, square, factor);
            new RowProduct { A = x, B = _gram, C = other, Rows = rows }.Run(pool);
            (x, other) = (other, x);
            factor = 1;
        }

        return x;
    }

    /// <summary>The symmetric rows as panels, times a factor.</summary>
    private void Arrange(Panels gram, float factor)
    {
        for (int panel = 0; panel < gram.Count; panel++)
        {
            float* source = _gramRows + (panel * Panels.Columns), destination = gram.Panel(panel);
            for (int row = 0; row < gram.Width; row++, source += gram.Width, destination += Panels.Columns)
            {
                (Vector512.Load(source) * factor).Store(destination);
                (Vector512.Load(source + 16) * factor).Store(destination + 16);
            }
        }
    }

    /// <summary>gram = (a I + b gram + c square) · factor.</summary>
    private static void Combine(Panels gram, Panels square, float factor)
    {
        for (int panel = 0; panel < gram.Count; panel++)
        {
            float* g = gram.Panel(panel), s = square.Panel(panel);
            for (int i = 0; i < gram.Width * Panels.Columns; i += 16)
                (Vector512.FusedMultiplyAdd(Vector512.Load(s + i), Vector512.Create(Quintic), Vector512.Load(g + i) * Cubic) * factor).Store(g + i);
            for (int i = 0; i < Panels.Columns; i++)
                g[(((panel * Panels.Columns) + i) * Panels.Columns) + i] += Linear * factor;
        }
    }

    /// <summary>The largest buffers of any of the matrices.</summary>
    private readonly struct Sizes
    {
        public Sizes(IEnumerable<Parameter> matrices)
        {
            foreach (Parameter matrix in matrices)
            {
                long longer = Math.Max(matrix.Rows, matrix.Columns), shorter = Math.Min(matrix.Rows, matrix.Columns);
                Matrix = Math.Max(Matrix, Panels.Padded((int)longer) * shorter);
                Gram = Math.Max(Gram, shorter * shorter);
                PaddedGram = Math.Max(PaddedGram, Panels.Padded((int)shorter) * shorter);
            }
        }

        public long Matrix { get; }

        public long Gram { get; }

        public long PaddedGram { get; }
    }
}
