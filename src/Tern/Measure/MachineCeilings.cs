using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Tern.Measure;

/// <summary>
/// What the machine itself can do at most, measured the way an engine would use it: decoding a token reads all weights once, so it cannot be
/// faster than memory; a prompt multiplies and adds, so it cannot be faster than the vector units.
/// </summary>
/// <param name="Threads">Threads that measured together.</param>
/// <param name="ReadBytesPerSecond">Reading memory far larger than the caches.</param>
/// <param name="IntegerOperationsPerSecond">8-bit multiplications and additions, counted as two, by the best instruction that .NET has here.</param>
/// <param name="IntegerInstruction">That instruction.</param>
internal sealed record MachineCeilings(int Threads, double ReadBytesPerSecond, double IntegerOperationsPerSecond, string IntegerInstruction)
{
    private const long BufferBytes = 512L << 20;
    private const int ReadPasses = 3;
    private const int IntegerPasses = 5;
    private const int IntegerRounds = 20_000;

    public static MachineCeilings Measure(int threads, CancellationToken cancellation)
    {
        double bandwidth = ReadBandwidth(threads, cancellation);
        (string instruction, double operations) = IntegerDots.Available
            .Select(d => (d.Name, Rate(threads, IntegerPasses, () => d.Run(IntegerRounds), cancellation) * d.OperationsPerRound * IntegerRounds * threads))
            .MaxBy(r => r.Item2);
        return new MachineCeilings(threads, bandwidth, operations, instruction);
    }

    private static double ReadBandwidth(int threads, CancellationToken cancellation)
    {
        // Half of what is free at most: a ceiling is not worth swapping for.
        long total = Math.Min(BufferBytes, GC.GetGCMemoryInfo().TotalAvailableMemoryBytes / 2);
        int words = (int)(total / threads / sizeof(ulong));
        ulong[][] buffers = new ulong[threads][];
        Together(threads, worker =>
        {
            buffers[worker] = GC.AllocateUninitializedArray<ulong>(words);
            buffers[worker].AsSpan().Fill((ulong)worker); // a page that was never written is not memory yet
        });

        double passes = 0;
        for (int pass = 0; pass < ReadPasses; pass++)
        {
            cancellation.ThrowIfCancellationRequested();
            passes = Math.Max(passes, 1 / Together(threads, worker => GC.KeepAlive(Sum(buffers[worker]))));
        }

        return passes * words * sizeof(ulong) * threads;
    }

    private static double Rate(int threads, int passes, Func<int> work, CancellationToken cancellation)
    {
        double best = 0;
        for (int pass = 0; pass < passes; pass++)
        {
            cancellation.ThrowIfCancellationRequested();
            best = Math.Max(best, 1 / Together(threads, _ => GC.KeepAlive(work())));
        }

        return best;
    }

    /// <summary>Seconds from the moment when all threads start until the last one ends.</summary>
    private static double Together(int threads, Action<int> work)
    {
        using var start = new Barrier(threads + 1);
        var workers = new Thread[threads];
        for (int i = 0; i < threads; i++)
        {
            int worker = i;
            workers[i] = new Thread(() =>
            {
                start.SignalAndWait();
                work(worker);
            })
            { IsBackground = true };
            workers[i].Start();
        }

        start.SignalAndWait();
        long begin = Stopwatch.GetTimestamp();
        foreach (Thread worker in workers)
            worker.Join();
        return Stopwatch.GetElapsedTime(begin).TotalSeconds;
    }

    private static ulong Sum(ulong[] buffer)
    {
        ReadOnlySpan<Vector256<ulong>> vectors = MemoryMarshal.Cast<ulong, Vector256<ulong>>(buffer);
        Vector256<ulong> a = default, b = default, c = default, d = default;
        for (int i = 0; i + 4 <= vectors.Length; i += 4)
        {
            a += vectors[i];
            b += vectors[i + 1];
            c += vectors[i + 2];
            d += vectors[i + 3];
        }

        return Vector256.Sum(a + b + c + d);
    }
}
