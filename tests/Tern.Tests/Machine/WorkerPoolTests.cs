using Tern.Machine;

namespace Tern.Tests.Machine;

public sealed unsafe class WorkerPoolTests
{
    public static TheoryData<int, int, int> Loops
    {
        get
        {
            var loops = new TheoryData<int, int, int>();
            foreach (int threads in new[] { 1, 2, 3, 8 })
                foreach (int count in new[] { 0, 1, 2, 7, 64, 1000, 12_345 })
                    foreach (int chunk in new[] { 1, 3, 64, 20_000 })
                        loops.Add(threads, count, chunk);
            return loops;
        }
    }

    [Theory]
    [MemberData(nameof(Loops))]
    public void Every_index_is_visited_exactly_once(int threads, int count, int chunk)
    {
        using var pool = new WorkerPool(threads);
        using var visits = new NativeBuffer<int>(count);
        for (int repeat = 1; repeat <= 3; repeat++)
        {
            var state = new Counting { Visits = visits.Pointer, Threads = threads, Chunk = chunk };
            pool.Run(&CountVisits, &state, count, chunk);
            Assert.Equal(0, state.Errors);
            foreach (int visit in visits.Span)
                Assert.Equal(repeat, visit);
        }
    }

    [Fact]
    public void A_hundred_thousand_tiny_loops_lose_nothing()
    {
        using var pool = new WorkerPool(3);
        using var visits = new NativeBuffer<int>(5);
        var state = new Counting { Visits = visits.Pointer, Threads = 3, Chunk = 1 };
        for (int i = 0; i < 100_000; i++)
            pool.Run(&CountVisits, &state, 5, 1);

        Assert.Equal(0, state.Errors);
        foreach (int visit in visits.Span)
            Assert.Equal(100_000, visit);
    }

    [Fact]
    public void All_threads_take_part_also_after_they_slept()
    {
        const int threads = 4;
        using var pool = new WorkerPool(threads);
        for (int round = 0; round < 5; round++)
        {
            var meeting = new Meeting { Expected = threads, Deadline = Environment.TickCount64 + 20_000 };
            pool.Run(&MeetAll, &meeting, threads, 1);
            Assert.Equal(threads, meeting.Arrived);
            Assert.Equal(threads, meeting.Finished);
            Thread.Sleep(5);
        }
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(8)]
    public void An_exception_in_a_body_reaches_the_caller_and_the_pool_lives_on(int threads)
    {
        using var pool = new WorkerPool(threads);
        for (int round = 0; round < 20; round++)
        {
            TernException thrown = Assert.Throws<TernException>(() => pool.Run(&ThrowAt700, null, 1000, 1));
            Assert.Equal("item 700", thrown.Message);
        }

        using var visits = new NativeBuffer<int>(100);
        var state = new Counting { Visits = visits.Pointer, Threads = threads, Chunk = 3 };
        pool.Run(&CountVisits, &state, 100, 3);
        foreach (int visit in visits.Span)
            Assert.Equal(1, visit);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(4)]
    public void A_loop_inside_a_body_is_refused(int threads)
    {
        using var pool = new WorkerPool(threads);
        s_nested = pool;
        Assert.Throws<InvalidOperationException>(() => pool.Run(&RunNested, null, 10, 1));
    }

    [Fact]
    public void A_loop_allocates_nothing()
    {
        using var pool = new WorkerPool(3);
        using var visits = new NativeBuffer<int>(100);
        var state = new Counting { Visits = visits.Pointer, Threads = 3, Chunk = 1 };
        pool.Run(&CountVisits, &state, 100, 1);
        Thread.Sleep(5);
        pool.Run(&CountVisits, &state, 100, 1);

        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 200; i++)
        {
            pool.Run(&CountVisits, &state, 100, 1);
            if (i % 50 == 0)
                Thread.Sleep(2);
        }

        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
    }

    [Fact]
    public void Dispose_ends_and_refuses()
    {
        for (int threads = 1; threads <= 5; threads++)
        {
            var pool = new WorkerPool(threads);
            if (threads % 2 == 0)
                Thread.Sleep(3);
            pool.Dispose();
            pool.Dispose();
            Assert.Throws<ObjectDisposedException>(() => pool.Run(&CountVisits, null, 0, 1));
        }
    }

    [Fact]
    public void Scratch_is_apart_for_each_worker_and_only_grows()
    {
        using var pool = new WorkerPool(3);
        pool.ReserveScratch(100);
        Assert.True(pool.ScratchBytes >= 100);
        Assert.Equal(0, pool.ScratchBytes % 64);
        Assert.Equal(0u, (nuint)pool.Scratch % 64);
        byte* before = pool.Scratch;
        pool.ReserveScratch(50);
        Assert.True(before == pool.Scratch);
        pool.ReserveScratch(100_000);
        new Span<byte>(pool.Scratch, (int)(3 * pool.ScratchBytes)).Fill(1);
    }

    [Fact]
    public void Compute_threads_are_at_least_one_and_at_most_the_processors()
    {
        Assert.InRange(Cpu.ComputeThreads, 1, Cpu.LogicalProcessors);
    }

    private static WorkerPool? s_nested;

    private static void CountVisits(void* state, int start, int end, int worker)
    {
        var counting = (Counting*)state;
        if (worker < 0 || worker >= counting->Threads || end <= start || end - start > counting->Chunk || start % counting->Chunk != 0)
            Interlocked.Increment(ref counting->Errors);
        for (int i = start; i < end; i++)
            Interlocked.Increment(ref counting->Visits[i]);
    }

    /// <summary>Each item waits for all others: it ends only if every thread holds one. The caller's ends first, and Run must wait for the rest.</summary>
    private static void MeetAll(void* state, int start, int end, int worker)
    {
        var meeting = (Meeting*)state;
        Interlocked.Increment(ref meeting->Arrived);
        while (Volatile.Read(ref meeting->Arrived) < meeting->Expected && Environment.TickCount64 < meeting->Deadline)
            Thread.Yield();
        if (Environment.TickCount64 >= meeting->Deadline)
            throw new TimeoutException("a worker never came");
        if (worker != 0)
            Thread.Sleep(10);
        Interlocked.Increment(ref meeting->Finished);
    }

    private static void ThrowAt700(void* state, int start, int end, int worker)
    {
        if (start == 700)
            throw new TernException(ErrorKind.Request, "item 700");
    }

    private static void RunNested(void* state, int start, int end, int worker) => s_nested!.Run(&ThrowAt700, null, 1, 1);

    private struct Counting
    {
        public int* Visits;
        public int Threads;
        public int Chunk;
        public int Errors;
    }

    private struct Meeting
    {
        public int Expected;
        public int Arrived;
        public int Finished;
        public long Deadline;
    }
}
