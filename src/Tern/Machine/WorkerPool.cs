using System.Diagnostics;
using System.Runtime.ExceptionServices;
using System.Runtime.InteropServices;

namespace Tern.Machine;

/// <summary>
/// A fixed set of threads that share one loop at a time. Items are handed out in chunks as workers ask for them, because a static
/// split waits for the slowest core whenever the machine is shared.
/// <code>
/// gate (64 bits):  | epoch: 32 | open: 1 | workers inside: 31 |
///
/// Run      publish the loop, open the gate with a new epoch, wake sleepers, take chunks, close the gate, wait until nobody is inside
/// worker   wait for a new epoch, enter if the gate is still open, take chunks until none is left, leave
/// </code>
/// A worker that wakes too late finds the gate closed and goes back to waiting: nobody waits for a thread that has no work in hand.
/// </summary>
internal sealed unsafe class WorkerPool : IDisposable
{
    private const long Open = 1L << 31;
    private const long InsideMask = Open - 1;

    /// <summary>Checks (of some 40 ns) a worker makes on its core before it starts to offer the core to others.</summary>
    private const int SpinChecks = 400;

    /// <summary>After this long without work a worker goes to sleep.</summary>
    private static readonly long s_sleepAfterTicks = Stopwatch.Frequency / 5_000;

    private readonly Thread[] _workers; // [Threads - 1]
    private readonly SemaphoreSlim _wake = new(0);
    private Counters _counters;
    private delegate*<void*, int, int, int, void> _body;
    private void* _state;
    private int _count;
    private int _chunk;
    private Exception? _failure;
    private int _running;
    private volatile bool _stopping;
    private NativeBuffer<byte>? _scratch; // [Threads, ScratchBytes]

    /// <summary>A pool of <paramref name="threads"/> workers, the caller's thread being one of them.</summary>
    public WorkerPool(int threads)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(threads, 1);
        Threads = threads;
        _workers = new Thread[threads - 1];
        for (int i = 0; i < _workers.Length; i++)
        {
            int worker = i + 1;
            _workers[i] = new Thread(() => Work(worker)) { IsBackground = true, Name = $"tern worker {worker}" };
            _workers[i].Start();
        }
    }

    /// <summary>Workers, the calling thread included.</summary>
    public int Threads { get; }

    /// <summary>Memory for each worker's own use within a body, worker w's at w · <see cref="ScratchBytes"/>; 64-byte aligned. Null before the first <see cref="ReserveScratch"/>.</summary>
    public byte* Scratch => _scratch is null ? null : _scratch.Pointer;

    /// <summary>Bytes of scratch per worker.</summary>
    public long ScratchBytes { get; private set; }

    /// <summary>
    /// Calls <paramref name="body"/>(state, start, end, worker) until [0, <paramref name="count"/>) is covered exactly once, in chunks of
    /// <paramref name="chunk"/> items; returns when all are done. Allocates nothing. Worker numbers are in [0, Threads), the caller's is 0.
    /// When a body throws, no further chunk is handed out and the first exception is thrown here.
    /// </summary>
    /// <exception cref="InvalidOperationException">The pool is already running a loop (a body that calls Run, or a second caller).</exception>
    public void Run(delegate*<void*, int, int, int, void> body, void* state, int count, int chunk)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(count);
        ArgumentOutOfRangeException.ThrowIfLessThan(chunk, 1);
        ObjectDisposedException.ThrowIf(_stopping, this);
        if (Interlocked.CompareExchange(ref _running, 1, 0) != 0)
            throw new InvalidOperationException("the worker pool runs one loop at a time, and a loop's body may not start another");

        try
        {
            _body = body;
            _state = state;
            (_count, _chunk, _failure) = (count, chunk, null);
            Volatile.Write(ref _counters.Next, 0);
            int helpers = Math.Min(Threads - 1, (int)(((long)count + chunk - 1) / chunk) - 1);
            if (helpers > 0)
            {
                long epoch = (Volatile.Read(ref _counters.Gate) >>> 32) + 1;
                Interlocked.Exchange(ref _counters.Gate, (epoch << 32) | Open);
                WakeSleepers(helpers);
                TakeChunks(0);
                CloseGate();
            }
            else
            {
                TakeChunks(0);
            }

            if (_failure is not null)
                ExceptionDispatchInfo.Throw(_failure);
        }
        finally
        {
            Volatile.Write(ref _running, 0);
        }
    }

    /// <summary>Makes <see cref="Scratch"/> at least <paramref name="byteCount"/> long for each worker; allocates only when it grows. Not while a loop runs.</summary>
    public void ReserveScratch(long byteCount)
    {
        if (byteCount <= ScratchBytes)
            return;

        long bytes = (byteCount + 127) & ~127L;
        var grown = new NativeBuffer<byte>(checked(bytes * Threads));
        _scratch?.Dispose();
        (_scratch, ScratchBytes) = (grown, bytes);
    }

    /// <summary>Ends and joins the threads. Not while a loop runs.</summary>
    public void Dispose()
    {
        if (_stopping)
            return;

        _stopping = true;
        _wake.Release(Threads);
        foreach (Thread worker in _workers)
            worker.Join();
        _wake.Dispose();
        _scratch?.Dispose();
    }

    private void TakeChunks(int worker)
    {
        try
        {
            while (true)
            {
                long start = Interlocked.Add(ref _counters.Next, _chunk) - _chunk;
                if (start >= _count)
                    return;
                _body(_state, (int)start, (int)Math.Min(start + _chunk, _count), worker);
            }
        }
        catch (Exception e)
        {
            Interlocked.CompareExchange(ref _failure, e, null);
            Interlocked.Exchange(ref _counters.Next, _count);
        }
    }

    private void CloseGate()
    {
        Interlocked.And(ref _counters.Gate, ~Open);
        int checks = 0;
        while ((Volatile.Read(ref _counters.Gate) & InsideMask) != 0)
        {
            if (++checks < SpinChecks)
                Thread.SpinWait(1);
            else if (checks < 100 * SpinChecks)
                Thread.Yield();
            else
                Thread.Sleep(1);
        }
    }

    private void Work(int worker)
    {
        long epoch = 0;
        while (WaitForWork(ref epoch))
        {
            TakeChunks(worker);
            Interlocked.Decrement(ref _counters.Gate);
        }
    }

    /// <summary>Returns inside the gate with its new epoch, or false when the pool ends.</summary>
    private bool WaitForWork(ref long epoch)
    {
        while (true)
        {
            for (int i = 0; i < SpinChecks; i++)
            {
                if (_stopping)
                    return false;
                if (TryEnter(ref epoch))
                    return true;
                Thread.SpinWait(1);
            }

            long sleepAt = Stopwatch.GetTimestamp() + s_sleepAfterTicks;
            while (Stopwatch.GetTimestamp() < sleepAt && !_stopping)
            {
                if (TryEnter(ref epoch))
                    return true;
                Thread.Yield();
            }

            Sleep(epoch);
        }
    }

    private bool TryEnter(ref long epoch)
    {
        while (true)
        {
            long gate = Volatile.Read(ref _counters.Gate);
            if ((gate & Open) == 0 || gate >>> 32 == epoch)
                return false;
            if (Interlocked.CompareExchange(ref _counters.Gate, gate + 1, gate) != gate)
                continue;

            epoch = gate >>> 32;
            return true;
        }
    }

    /// <summary>
    /// Sleeps until a Run asks for sleepers. Every sleeper that <see cref="WakeSleepers"/> counted out consumes exactly one release of the
    /// semaphore, also when it finds work by itself in between, so that no releases pile up.
    /// </summary>
    private void Sleep(long epoch)
    {
        Interlocked.Increment(ref _counters.Sleepers);
        long gate = Volatile.Read(ref _counters.Gate);
        bool hasWork = _stopping || ((gate & Open) != 0 && gate >>> 32 != epoch);
        if (!hasWork || TakeSleepers(1) == 0)
            _wake.Wait();
    }

    private void WakeSleepers(int most)
    {
        int woken = TakeSleepers(most);
        if (woken > 0)
            _wake.Release(woken);
    }

    /// <summary>Takes up to <paramref name="most"/> sleepers out of the count and says how many.</summary>
    private int TakeSleepers(int most)
    {
        while (true)
        {
            int sleepers = Volatile.Read(ref _counters.Sleepers);
            int taken = Math.Min(sleepers, most);
            if (taken == 0 || Interlocked.CompareExchange(ref _counters.Sleepers, sleepers - taken, sleepers) == sleepers)
                return taken;
        }
    }

    /// <summary>The words that threads write to, each alone on its pair of cache lines.</summary>
    [StructLayout(LayoutKind.Explicit, Size = 512)]
    private struct Counters
    {
        [FieldOffset(128)]
        public long Gate;

        /// <summary>The first item that nobody has taken.</summary>
        [FieldOffset(256)]
        public long Next;

        [FieldOffset(384)]
        public int Sleepers;
    }
}
