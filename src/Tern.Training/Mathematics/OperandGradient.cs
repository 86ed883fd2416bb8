using System.Runtime.Intrinsics;
using Tern.Kernels;
using Tern.Machine;

namespace Tern.Training.Mathematics;

/// <summary>
/// The way back through <see cref="OperandPass"/>. Rounding is passed straight through; what the norm and the gate computed is computed again.
/// <code>
///   y = x · r · gain,  r = 1 / sqrt(mean x² + ε)
///   dx = r · (dy · gain) - x · r³ · mean(dy · gain · x)          dgain = Σ rows dy · x · r
///   gate a, up u, x = f(a) · u:   da = dx · u · f'(a),  du = dx · f(a)
/// </code>
/// Gains are summed in blocks of rows, and the blocks in their order, whoever computed them.
/// </summary>
internal unsafe struct OperandGradient
{
    /// <summary>Rows of a block, the unit of work.</summary>
    public const int BlockRows = 32;

    public required Panels Source { get; init; }

    public bool IsGated { get; init; }

    public FeedForwardActivation Activation { get; init; }

    public float* Gain { get; init; }

    public float Epsilon { get; init; }

    /// <summary>The gradient of the operand's values.</summary>
    public required Panels OperandGradients { get; init; }

    /// <summary>Where the gradient of the source goes (of gate and up when gated).</summary>
    public required Panels Result { get; init; }

    /// <summary>Add to what <see cref="Result"/> holds.</summary>
    public bool Accumulate { get; init; }

    /// <summary>[rows] factors on <see cref="Scaled"/>, or on a gated result; null is 1.</summary>
    public float* Factors { get; init; }

    /// <summary>A second copy of the result, times the factors; or empty.</summary>
    public Panels Scaled { get; init; }

    /// <summary>[blocks][width] partial sums of the gain's gradient.</summary>
    public float* GainPartials { get; init; }

    /// <summary>Four rows of the source's width.</summary>
    public required RowPointers Scratch { get; init; }

    private int _rows;

    /// <param name="pool">Workers.</param>
    /// <param name="rows">Rows.</param>
    /// <param name="gainGradient">[width], added to; null without a norm.</param>
    public void Run(WorkerPool pool, int rows, float* gainGradient)
    {
        _rows = rows;
        int blocks = (rows + BlockRows - 1) / BlockRows;
        fixed (OperandGradient* self = &this)
            pool.Run(&Body, self, blocks, 1);
        if (Gain is null)
            return;

        int width = OperandGradients.Width;
        for (int block = 0; block < blocks; block++)
            for (int i = 0; i < width; i += 16)
                (Vector512.Load(gainGradient + i) + Vector512.Load(GainPartials + ((nint)block * width) + i)).Store(gainGradient + i);
    }

    private static void Body(void* state, int start, int end, int worker)
    {
        var self = (OperandGradient*)state;
        for (int block = start; block < end; block++)
            self->Block(block, worker);
    }

    private readonly void Block(int block, int worker)
    {
        int width = OperandGradients.Width;
        float* partial = GainPartials + ((nint)block * width);
        if (Gain is not null)
            new Span<float>(partial, width).Clear();
        int end = Math.Min((block + 1) * BlockRows, _rows);
        float* source = Scratch.Of(worker, 0), x = Scratch.Of(worker, 1), dy = Scratch.Of(worker, 2), result = Scratch.Of(worker, 3);
        for (int row = block * BlockRows; row < end; row++)
        {
            Source.Gather(row, source);
            OperandGradients.Gather(row, dy);
            float* values = source;
            if (IsGated)
            {
                values = x;
                if (Activation == FeedForwardActivation.Silu)
                    EngineOperations.Best.SiluGate(source, source + width, x, width);
                else
                    EngineOperations.Best.SquaredReluGate(source, source + width, x, width);
            }

            if (Gain is not null)
                NormGradient(values, dy, partial);
            Write(row, source, dy, result);
        }
    }

    /// <summary>dy becomes dx.</summary>
    private readonly void NormGradient(float* x, float* dy, float* gainGradient)
    {
        int width = OperandGradients.Width;
        float r = 1f / MathF.Sqrt((FloatFunctions.SumOfSquares<Lanes512>(x, width) / width) + Epsilon);
        Vector512<float> rs = Vector512.Create(r), sums = default;
        for (int i = 0; i < width; i += 16)
        {
            Vector512<float> v = Vector512.Load(x + i), g = Vector512.Load(dy + i);
            Vector512.FusedMultiplyAdd(g, v * rs, Vector512.Load(gainGradient + i)).Store(gainGradient + i);
            g *= Vector512.Load(Gain + i);
            g.Store(dy + i);
            sums = Vector512.FusedMultiplyAdd(g, v, sums);
        }

        Vector512<float> slope = Vector512.Create(-r * r * r * (Vector512.Sum(sums) / width));
        for (int i = 0; i < width; i += 16)
            Vector512.FusedMultiplyAdd(slope, Vector512.Load(x + i), Vector512.Load(dy + i) * rs).Store(dy + i);
    }

    private readonly void Write(int row, float* source, float* dx, float* result)
    {
        int width = OperandGradients.Width;
        float factor = Factors is null ? 1 : Factors[row];
        if (IsGated)
        {
            GateGradient(source, dx, factor, result);
            Result.Scatter(result, row);
            return;
        }

        if (Accumulate)
        {
            Result.Gather(row, result);
            for (int i = 0; i < width; i += 16)
                (Vector512.Load(result + i) + Vector512.Load(dx + i)).Store(dx + i);
        }

        Result.Scatter(dx, row);
        if (Scaled.Data == 0)
            return;
        for (int i = 0; i < width; i += 16)
            (Vector512.Load(dx + i) * factor).Store(result + i);
        Scaled.Scatter(result, row);
    }

    private readonly void GateGradient(float* source, float* dx, float factor, float* result)
    {
        int width = OperandGradients.Width;
        Vector512<float> factors = Vector512.Create(factor);
        for (int i = 0; i < width; i += 16)
        {
            Vector512<float> a = Vector512.Load(source + i), u = Vector512.Load(source + width + i), d = Vector512.Load(dx + i) * factors;
            Vector512<float> value, slope;
            if (Activation == FeedForwardActivation.Silu)
            {
                // silu' = σ (1 + a (1 - σ))
                Vector512<float> sigmoid = WideFunctions.Sigmoid(a);
                value = a * sigmoid;
                slope = sigmoid * Vector512.FusedMultiplyAdd(a, Vector512<float>.One - sigmoid, Vector512<float>.One);
            }
            else
            {
                Vector512<float> positive = Vector512.MaxNative(a, Vector512<float>.Zero);
                value = positive * positive;
                slope = positive + positive;
            }

            (d * u * slope).Store(result + i);
            (d * value).Store(result + width + i);
        }
    }
}
