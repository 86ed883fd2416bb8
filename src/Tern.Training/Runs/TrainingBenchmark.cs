using System.Diagnostics;
using Tern.Machine;

namespace Tern.Training.Runs;

/// <summary>How fast a model learns.</summary>
/// <param name="Parameters">All weights.</param>
/// <param name="TokensPerSecond">By the clock.</param>
/// <param name="TokensPerCpuSecond">By the time that the process computed, all threads together.</param>
/// <param name="OperationsPerToken">Multiplications and additions of the matrix products of a step, counted as two, those over integers included.</param>
internal sealed record TrainingFigure(long Parameters, double TokensPerSecond, double TokensPerCpuSecond, double OperationsPerToken);

/// <summary>Times optimizer steps over random tokens: forward, back, clipping, optimizer.</summary>
internal static class TrainingBenchmark
{
    /// <summary>Steps that do not count: memory that is touched for the first time, code that is compiled.</summary>
    private const int WarmUpSteps = 2;

    /// <summary>Runs it.</summary>
    /// <param name="shape">The model.</param>
    /// <param name="recipe">How it is trained.</param>
    /// <param name="sequences">Sequences of a step, each as long as the context.</param>
    /// <param name="steps">Steps that count.</param>
    /// <param name="threads">Workers.</param>
    /// <param name="progress">Is told the share that is done.</param>
    /// <param name="cancellation">Ends it between two steps.</param>
    /// <exception cref="TernException">The shape cannot be, or memory is short.</exception>
    public static TrainingFigure Run(ModelShape shape, TrainingRecipe recipe, int sequences, int steps, int threads, Action<double> progress, CancellationToken cancellation)
    {
        using var pool = new WorkerPool(threads);
        using var trainer = new Trainer(shape, recipe, 1, pool, null);
        var random = new RandomStream(1);
        var batch = new TokenBatch(sequences, shape.Context, sequences);
        using var process = Process.GetCurrentProcess();
        long start = 0;
        TimeSpan cpu = default;
        for (int step = -WarmUpSteps; step < steps; step++)
        {
            cancellation.ThrowIfCancellationRequested();
            for (int i = 0; i < batch.Inputs.Length; i++)
            {
                batch.Inputs[i] = (int)(random.Next() % (ulong)shape.Vocabulary);
                batch.Targets[i] = (int)(random.Next() % (ulong)shape.Vocabulary);
            }

            if (step == 0)
            {
                process.Refresh();
                (start, cpu) = (Stopwatch.GetTimestamp(), process.TotalProcessorTime);
            }

            trainer.Step(batch);
            progress((double)(step + WarmUpSteps + 1) / (steps + WarmUpSteps));
        }

        double seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
        process.Refresh();
        double cpuSeconds = (process.TotalProcessorTime - cpu).TotalSeconds, tokens = (double)steps * batch.Inputs.Length;

        // Forward, and twice as much back; a position meets half of the others on average, once for scores and once for values.
        double attention = 2.0 * shape.Layers * shape.QueryWidth * shape.Context / 2;
        double products = shape.LinearWeights + ((double)shape.Vocabulary * shape.Hidden) + attention;
        return new TrainingFigure(trainer.Parameters, tokens / seconds, tokens / cpuSeconds, 6 * products);
    }
}
