using System.Diagnostics;
using Tern.Kernels;
using Tern.Machine;
using Tern.Numerics;

namespace Tern.Measure;

/// <summary>How fast one kernel row is.</summary>
/// <param name="Row">Its name.</param>
/// <param name="Type">The tensor type it was measured with.</param>
/// <param name="ReadBytesPerSecond">Weights read with one token, where memory is the limit.</param>
/// <param name="OperationsPerSecond">Multiplications and additions with many tokens, where computing is.</param>
internal sealed record KernelFigure(string Row, string Type, double ReadBytesPerSecond, double OperationsPerSecond);

/// <summary>Times every kernel row that this processor can run, without a model.</summary>
internal static class KernelBenchmark
{
    private const int Columns = 4096;

    // Weights of a single-token run must come from memory, not from a cache, unless computing is so slow that this makes no difference;
    // those of a many-token run stay in the second-level cache.
    private const long ReadBytes = 256L << 20;
    private const long SlowReadBytes = 4L << 20;
    private const double SlowBytesPerSecond = 1e9;
    private const long ComputeBytes = 1L << 20;
    private const int ComputeTokens = 64;

    // Long enough for the runtime to compile the row's loops in their final form before the clock counts.
    private static readonly TimeSpan s_warmUp = TimeSpan.FromMilliseconds(300);
    private static readonly TimeSpan s_measured = TimeSpan.FromMilliseconds(300);

    /// <summary>Figures of one row after the other, in the order of the table.</summary>
    public static IEnumerable<KernelFigure> Run(int threads, CancellationToken cancellation)
    {
        using var pool = new WorkerPool(threads);
        foreach (KernelRow row in KernelTable.All.Where(r => (r.Needs & ~Cpu.Available) == 0))
        {
            if (KernelTrial.TypeOf(row, Columns, pool) is not { } type)
                continue;

            double read = BestRate(row, type, SlowReadBytes, 1, pool, trial => trial.WeightBytes, cancellation);
            if (read > SlowBytesPerSecond)
                read = BestRate(row, type, ReadBytes, 1, pool, trial => trial.WeightBytes, cancellation);
            double compute = BestRate(row, type, ComputeBytes, ComputeTokens, pool, trial => trial.Operations, cancellation);
            yield return new KernelFigure(row.Name, type.Name, read, compute);
        }
    }

    /// <summary>Work per second of the fastest run: others of them were disturbed.</summary>
    private static double BestRate(
        KernelRow row, TensorType type, long bytes, int tokens, WorkerPool pool, Func<KernelTrial, double> work, CancellationToken cancellation)
    {
        using KernelTrial trial = KernelTrial.Create(row, type, bytes, Columns, tokens, pool);
        Repeat(trial, s_warmUp, cancellation);
        return work(trial) / Repeat(trial, s_measured, cancellation);
    }

    /// <summary>Seconds of the fastest of as many runs as fit into the time; at least one.</summary>
    private static double Repeat(KernelTrial trial, TimeSpan time, CancellationToken cancellation)
    {
        long begin = Stopwatch.GetTimestamp();
        double best = double.PositiveInfinity;
        do
        {
            cancellation.ThrowIfCancellationRequested();
            long start = Stopwatch.GetTimestamp();
            trial.Run();
            best = Math.Min(best, Stopwatch.GetElapsedTime(start).TotalSeconds);
        }
        while (Stopwatch.GetElapsedTime(begin) < time);
        return best;
    }
}
