using System.Diagnostics;
using Tern.Machine;

namespace Tern.Measure;

/// <summary>
/// What the machine itself can do at most, measured the way an engine would use it: decoding a token reads all weights once, so it cannot be
/// faster than memory; a prompt multiplies and adds, so it cannot be faster than the vector units. All threads work together in every pass.
/// </summary>
/// <param name="Threads">Threads that measured together.</param>
/// <param name="ReadBytesPerSecond">Reading memory far larger than the caches, the best pass with the best number of streams per thread.</param>
/// <param name="ReadMedianBytesPerSecond">The median of the passes with that number of streams: far below the best one, the machine was busy.</param>
/// <param name="ReadStreams">That number.</param>
/// <param name="IntegerOperationsPerSecond">8-bit multiplications and additions, counted as two, by the best instruction that .NET has here.</param>
/// <param name="IntegerInstruction">That instruction.</param>
internal sealed record MachineCeilings(
    int Threads,
    double ReadBytesPerSecond,
    double ReadMedianBytesPerSecond,
    int ReadStreams,
    double IntegerOperationsPerSecond,
    string IntegerInstruction)
{
    private const long BufferBytes = 512L << 20;
    private const int StreamsMax = 8;
    private const int IntegerRounds = 20_000;
    private const int FloatRounds = 200_000;
    private const int PassesMin = 3;

    /// <summary>A ceiling is the best of many short passes: whatever else the machine does only ever makes one slower.</summary>
    private static readonly TimeSpan s_time = TimeSpan.FromMilliseconds(200);

    public static MachineCeilings Measure(int threads, CancellationToken cancellation)
    {
        (int streams, double[] reads) = ReadRates(threads, cancellation);
        (string instruction, double operations) = IntegerDots.Available
            .Select(d => (d.Name, Rates(threads, _ => GC.KeepAlive(d.Run(IntegerRounds)), cancellation).Max() * d.OperationsPerRound * IntegerRounds * threads))
            .MaxBy(r => r.Item2);
        return new MachineCeilings(threads, reads.Max(), Speed.Of(reads).Median, streams, operations, instruction);
    }

    /// <summary>float32 multiplications and additions per second, counted as two, of all threads together: what training cannot be faster than.</summary>
    public static double FloatOperationsPerSecond(int threads, CancellationToken cancellation) =>
        Rates(threads, _ => GC.KeepAlive(FloatLoop.Run(FloatRounds)), cancellation).Max() * FloatLoop.OperationsPerRound * FloatRounds * threads;

    /// <summary>The higher figures of two measurements: a machine that is shared drifts while something is measured against it.</summary>
    public MachineCeilings OrHigher(MachineCeilings other)
    {
        MachineCeilings integer = other.IntegerOperationsPerSecond > IntegerOperationsPerSecond ? other : this;
        MachineCeilings read = other.ReadBytesPerSecond > ReadBytesPerSecond ? other : this;
        return read with { IntegerOperationsPerSecond = integer.IntegerOperationsPerSecond, IntegerInstruction = integer.IntegerInstruction };
    }

    /// <summary>Bytes per second of every pass with the best number of streams.</summary>
    private static (int Streams, double[] Rates) ReadRates(int threads, CancellationToken cancellation)
    {
        // Half of what is free at most: a ceiling is not worth swapping for.
        const int unit = StreamsMax * 64;
        long total = Math.Min(BufferBytes, GC.GetGCMemoryInfo().TotalAvailableMemoryBytes / 2);
        int bytes = (int)(total / threads / unit * unit);
        var buffers = new NativeBuffer<byte>[threads];
        try
        {
            Together(threads, worker =>
            {
                buffers[worker] = new NativeBuffer<byte>(bytes);
                buffers[worker].Span.Fill((byte)worker); // a page that was never written is not memory yet
            });

            (int Streams, double[] Rates) best = (0, [0]);
            for (int streams = 1; streams <= StreamsMax; streams *= 2)
            {
                int count = streams;
                double[] rates = Rates(threads, worker => GC.KeepAlive(ReadLoop.Sum(buffers[worker].Span, count)), cancellation);
                for (int i = 0; i < rates.Length; i++)
                    rates[i] *= (double)bytes * threads;
                if (rates.Max() > best.Rates.Max())
                    best = (streams, rates);
            }

            return best;
        }
        finally
        {
            foreach (NativeBuffer<byte>? buffer in buffers)
                buffer?.Dispose();
        }
    }

    /// <summary>Passes per second of each pass.</summary>
    private static double[] Rates(int threads, Action<int> pass, CancellationToken cancellation)
    {
        long begin = Stopwatch.GetTimestamp();
        var rates = new List<double>();
        do
        {
            cancellation.ThrowIfCancellationRequested();
            rates.Add(1 / Together(threads, pass));
        }
        while (rates.Count < PassesMin || Stopwatch.GetElapsedTime(begin) < s_time);
        return [.. rates];
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
}
