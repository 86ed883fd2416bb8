using Tern.Kernels;
using Tern.Machine;
using Tern.Numerics;
using Tern.Tests.Numerics;

namespace Tern.Tests.Kernels;

/// <summary>A matrix of a given kind with its planes, and hidden states that fit it.</summary>
internal sealed unsafe class ScreenTestData : IDisposable
{
    private readonly SampleTensor _sample;

    public ScreenTestData(string kind, TensorType type, int rows, int columns, int seed, WorkerPool pool)
    {
        (Pool, Rows, Columns) = (pool, rows, columns);
        _sample = SampleTensor.Encode(type, Weights(kind, rows, columns, seed), columns);
        Matrix = MatMul.Prepare(_sample.Tensor, KernelChoice.Best, pool);
        Planes = HeadPlanes.Build(_sample.Tensor, pool);
        Activations = new Activations(TokensMax, columns);
    }

    public const int TokensMax = 6;

    /// <summary>What weights can look like; of a type of their own, "broken", some are no numbers or too large.</summary>
    public static IReadOnlyList<string> Kinds { get; } = ["gaussian", "uneven", "heavy", "duplicates", "zeros", "outliers", "tiny"];

    public WorkerPool Pool { get; }

    public int Rows { get; }

    public int Columns { get; }

    public Tensor Tensor => _sample.Tensor;

    public WeightMatrix Matrix { get; }

    public HeadPlanes Planes { get; }

    public Activations Activations { get; }

    /// <summary>New hidden states; of kind 1 a few columns dominate, of kind 2 they point to one row, as those of a certain model do.</summary>
    public void SetHidden(int tokens, int kind, int seed)
    {
        var random = new Random(seed);
        Activations.Begin(tokens, Columns);
        float[] row = new float[Columns];
        for (int token = 0; token < tokens; token++)
        {
            Tensor.DecodeRow(random.Next(Rows), row);
            double norm = Math.Sqrt(row.Sum(w => (double)w * w)) + 1e-30;
            for (int i = 0; i < Columns; i++)
            {
                double value = Gaussian(random);
                if (kind == 1 && random.Next(50) == 0)
                    value *= 30;
                if (kind == 2)
                    value += 8 * row[i] / norm;
                Activations.Floats[(token * Activations.Stride) + i] = (float)value;
            }
        }
    }

    /// <summary>[tokens, rows] from the full head.</summary>
    public float[] Full()
    {
        float[] scores = new float[Activations.Tokens * Rows];
        fixed (float* to = scores)
            MatMul.Run(Pool, Matrix, Activations, to, Rows);
        return scores;
    }

    public static double Gaussian(Random random) =>
        Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble());

    public void Dispose()
    {
        Activations.Dispose();
        Planes.Dispose();
        Matrix.Dispose();
        _sample.Dispose();
    }

    private static float[] Weights(string kind, int rows, int columns, int seed)
    {
        var random = new Random(seed);
        float[] weights = new float[rows * columns];
        for (int row = 0; row < rows; row++)
        {
            double size = kind == "uneven" ? Math.Exp(Gaussian(random)) : kind == "tiny" ? 1e-3 : 1;
            Span<float> own = weights.AsSpan(row * columns, columns);
            for (int i = 0; i < columns; i++)
            {
                double value = Gaussian(random) * 0.05;
                if (kind == "heavy")
                    value *= Math.Exp(1.5 * Gaussian(random));
                if (kind == "outliers" && random.Next(400) == 0)
                    value *= 200;
                own[i] = (float)(value * size);
            }

            if (kind == "duplicates" && row > 0 && random.Next(3) > 0)
                weights.AsSpan(random.Next(row) * columns, columns).CopyTo(own);
            if (kind == "zeros" && random.Next(3) > 0)
                own.Clear();
            if (kind == "broken" && row % 97 == 0)
                own[random.Next(columns)] = row % 2 == 0 ? float.NaN : 1e9f;
        }

        return weights;
    }
}
