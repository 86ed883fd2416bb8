using System.Runtime.Intrinsics;
using Tern.Machine;

namespace Tern.Training.Mathematics;

/// <summary>
/// Softmax cross-entropy over a chunk of rows, in <see cref="LogitBlocks"/>. With a weight above zero the logits become their gradient.
/// <code>
///   loss = ln Σ exp(z - max) + max - z[target]          dz = weight · (softmax(z) - [target])
/// </code>
/// </summary>
internal unsafe struct CrossEntropyPass : ILogitPass
{
    private const int BlockRows = LogitBlocks.Rows;

    /// <summary>[rows, vocabulary].</summary>
    public required Panels Logits { get; init; }

    /// <summary>[rows] ids or <see cref="TokenBatch.NoLoss"/>.</summary>
    public required int* Targets { get; init; }

    /// <summary>[rows] results; 0 without a target.</summary>
    public required float* Losses { get; init; }

    /// <summary>Factor of the gradient; 0 leaves the logits' place with exponentials.</summary>
    public float Weight { get; init; }

    public void Run(WorkerPool pool, int rows) => LogitBlocks.Run(pool, ref this, rows);

    public readonly void Block(int first, int rows)
    {
        float* maxima = stackalloc float[16 * BlockRows];
        float* sums = stackalloc float[16 * BlockRows];
        float* chosen = stackalloc float[BlockRows];
        Panels logits = Logits.FromRow(first);
        LogitBlocks.Maxima(logits, rows, maxima);
        for (int i = 0; i < rows; i++)
        {
            int target = Targets[first + i];
            chosen[i] = target < 0 ? 0 : *logits.At(i, target);
        }

        Exponentials(logits, rows, maxima, sums);
        for (int i = 0; i < rows; i++)
        {
            float sum = Vector512.Sum(Vector512.Load(sums + (16 * i)));
            Losses[first + i] = Targets[first + i] < 0 ? 0 : MathF.Log(sum) + maxima[16 * i] - chosen[i];
            Vector512.Create(Targets[first + i] < 0 ? 0 : Weight / sum).Store(sums + (16 * i));
        }

        if (Weight == 0)
            return;
        Scale(logits, rows, sums);
        for (int i = 0; i < rows; i++)
            if (Targets[first + i] is >= 0 and int target)
                *logits.At(i, target) -= Weight;
    }

    /// <summary>z = exp(z - max), and their sums in sixteen lanes.</summary>
    private static void Exponentials(Panels logits, int rows, float* maxima, float* sums)
    {
        new Span<float>(sums, 16 * BlockRows).Clear();
        for (int p = 0; p < logits.Count; p++)
        {
            float* at = logits.Panel(p);
            for (int i = 0; i < rows; i++, at += Panels.Columns)
            {
                Vector512<float> max = Vector512.Load(maxima + (16 * i));
                Vector512<float> e0 = WideFunctions.Exp(Vector512.Load(at) - max), e1 = WideFunctions.Exp(Vector512.Load(at + 16) - max);
                e0.Store(at);
                e1.Store(at + 16);
                (Vector512.Load(sums + (16 * i)) + (e0 + e1)).Store(sums + (16 * i));
            }
        }
    }

    private static void Scale(Panels logits, int rows, float* factors)
    {
        for (int p = 0; p < logits.Count; p++)
        {
            float* at = logits.Panel(p);
            for (int i = 0; i < rows; i++, at += Panels.Columns)
            {
                Vector512<float> factor = Vector512.Load(factors + (16 * i));
                (Vector512.Load(at) * factor).Store(at);
                (Vector512.Load(at + 16) * factor).Store(at + 16);
            }
        }
    }
}
