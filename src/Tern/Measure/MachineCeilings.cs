using System.Diagnostics;
using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

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
    private const int IntegerRounds = 20_000;

    /// <summary>A ceiling is the best of many short passes: whatever else the machine does only ever makes one slower.</summary>
    private static readonly TimeSpan s_time = TimeSpan.FromMilliseconds(250);

    public static MachineCeilings Measure(int threads, CancellationToken cancellation)
    {
        double bandwidth = ReadBandwidth(threads, cancellation);
        (string instruction, double operations) = IntegerDots.Available
            .Select(d => (d.Name, BestRate(threads, _ => GC.KeepAlive(d.Run(IntegerRounds)), cancellation) * d.OperationsPerRound * IntegerRounds * threads))
            .MaxBy(r => r.Item2);
        return new MachineCeilings(threads, bandwidth, operations, instruction);
    }

    /// <summary>The higher figures of two measurements: a machine that is shared drifts while something is measured against it.</summary>
    public MachineCeilings OrHigher(MachineCeilings other)
    {
        MachineCeilings integer = other.IntegerOperationsPerSecond > IntegerOperationsPerSecond ? other : this;
        return integer with { ReadBytesPerSecond = Math.Max(ReadBytesPerSecond, other.ReadBytesPerSecond) };
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

        return BestRate(threads, worker => GC.KeepAlive(Sum(buffers[worker])), cancellation) * words * sizeof(ulong) * threads;
    }

    /// <summary>Passes per second of the fastest pass.</summary>
    private static double BestRate(int threads, Action<int> pass, CancellationToken cancellation)
    {
        long begin = Stopwatch.GetTimestamp();
        double best = double.PositiveInfinity;
        do
        {
            cancellation.ThrowIfCancellationRequested();
            best = Math.Min(best, Together(threads, pass));
        }
        while (Stopwatch.GetElapsedTime(begin) < s_time);
        return 1 / best;
    }

    /// <summary>Seconds from the first thread's start to the last one's end, by the threads' own clocks: the caller may be asleep meanwhile.</summary>
    private static double Together(int threads, Action<int> work)
    {
        using var start = new Barrier(threads);
        long[] begins = new long[threads];
        long[] ends = new long[threads];
        var workers = new Thread[threads];
        for (int i = 0; i < threads; i++)
        {
            int worker = i;
            workers[i] = new Thread(() =>
            {
                start.SignalAndWait();
                begins[worker] = Stopwatch.GetTimestamp();
                work(worker);
                ends[worker] = Stopwatch.GetTimestamp();
            })
            { IsBackground = true };
            workers[i].Start();
        }

        foreach (Thread worker in workers)
            worker.Join();
        return Stopwatch.GetElapsedTime(begins.Min(), ends.Max()).TotalSeconds;
    }

    // One call is a whole pass, so it must be in its final form at once; the same holds for the loops of IntegerDots.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static ulong Sum(ulong[] buffer)
    {
        // Several streams at once, as a kernel reads several rows: the processor fetches ahead within a page only, one stream waits at each.
        ReadOnlySpan<Vector<ulong>> all = MemoryMarshal.Cast<ulong, Vector<ulong>>(buffer);
        int length = all.Length / 8;
        ReadOnlySpan<Vector<ulong>> p0 = all[..length], p1 = all.Slice(length, length), p2 = all.Slice(2 * length, length), p3 = all.Slice(3 * length, length);
        ReadOnlySpan<Vector<ulong>> p4 = all.Slice(4 * length, length), p5 = all.Slice(5 * length, length), p6 = all.Slice(6 * length, length), p7 = all.Slice(7 * length, length);
        Vector<ulong> a = default, b = default, c = default, d = default, e = default, f = default, g = default, h = default;
        for (int i = 0; i < length; i++)
        {
            a += p0[i];
            b += p1[i];
            c += p2[i];
            d += p3[i];
            e += p4[i];
            f += p5[i];
            g += p6[i];
            h += p7[i];
        }

        return Vector.Sum(a + b + c + d + e + f + g + h);
    }
}
