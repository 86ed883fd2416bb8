using Tern.Generation;
using Tern.Kernels;

namespace Tern.Tests.Generation;

/// <summary>The scheduler in simulated hours: only integers move, so an hour takes a moment.</summary>
public sealed class SchedulerTests
{
    public static TheoryData<int, int, int, int> Hours => new()
    {
        // seed, pages, running at most, tokens per step
        { 1, 8, 4, 16 },
        { 2, 9, 8, 64 },
        { 3, 12, 3, 3 },
        { 4, 32, 8, 256 },
        { 5, 8, 1, 1 },
        { 6, 20, 16, 40 },
    };

    [Theory]
    [MemberData(nameof(Hours))]
    public void In_a_simulated_hour_pages_are_kept_straight_and_everyone_finishes(int seed, int pageCount, int runningMax, int tokenBudget)
    {
        const int tokensMax = 8 * KvPages.PageTokens;
        var random = new Random(seed);
        var pages = new PageAllocator(pageCount);
        List<Sequence> waiting = [], running = [];
        var plan = new Plan(runningMax);
        var arrivals = new Dictionary<Sequence, int>();
        int[][] prefixes = [.. Enumerable.Range(0, 4).Select(i => Enumerable.Range(0, 4 * KvPages.PageTokens).Select(t => i * 1000 + t % 7).ToArray())];
        int submitted = 0, finished = 0, preempted = 0, cached = 0, steps = 0;

        // A step each half second; after the hour nobody arrives, and the queue runs dry.
        const int hour = 7_200;
        for (int step = 0; step < hour || waiting.Count + running.Count > 0; step++)
        {
            Assert.True(step < 20 * hour, "somebody never finishes");
            if (step < hour && random.Next(20) == 0 && waiting.Count < 50)
            {
                int[] prefix = prefixes[random.Next(prefixes.Length)];
                int[] prompt = [.. prefix.Take(random.Next(1, prefix.Length)), .. Enumerable.Range(0, random.Next(1, 60)).Select(_ => random.Next(50))];
                var sequence = new Sequence(prompt, Math.Min(tokensMax, prompt.Length + random.Next(1, 100)));
                arrivals[sequence] = submitted++;
                waiting.Add(sequence);
            }

            if (random.Next(100) == 0 && waiting.Count + running.Count > 0)
            {
                List<Sequence> from = running.Count > 0 && random.Next(2) == 0 ? running : waiting.Count > 0 ? waiting : running;
                Sequence cancelled = from[random.Next(from.Count)];
                from.Remove(cancelled);
                cancelled.Release(pages);
                finished++;
            }

            if (waiting.Count + running.Count == 0)
                continue;

            Scheduler.Plan(waiting, running, runningMax, pages, tokenBudget, plan);
            preempted += plan.Preemptions;
            steps++;
            Check(waiting, running, runningMax, pages, tokenBudget, plan, arrivals);

            foreach ((Sequence sequence, int count) in plan.Slices)
            {
                sequence.Advance(pages, count);
                if (sequence.Pending > 0)
                    continue;
                if (sequence.Count < sequence.TokensMax)
                    sequence.Append(random.Next(50));
                if (sequence.Count < sequence.TokensMax)
                    continue;
                running.Remove(sequence);
                sequence.Release(pages);
                finished++;
                cached += sequence.CachedAtStart;
            }

            pages.CheckIntegrity();
        }

        Assert.Equal(submitted, finished);
        Assert.Equal(0, pages.UsedCount);
        Assert.Equal(pageCount, pages.FreeCount + pages.CachedCount);
        Assert.True(submitted > 80 && steps > 5_000, $"the hour was too quiet: {submitted} requests, {steps} steps");
        Assert.True(cached > 0, "no prefix was ever found");
        if (runningMax >= 8 && pageCount <= 20)
            Assert.True(preempted > 0, "nobody was ever preempted");
    }

    [Fact]
    public void Running_sequences_come_before_prefill_and_older_before_younger()
    {
        var pages = new PageAllocator(64);
        List<Sequence> waiting = [New(100), New(100), New(100)], running = [];
        var plan = new Plan(4);
        Scheduler.Plan(waiting, running, 4, pages, 150, plan);
        Assert.Equal([100, 50], plan.Slices.ToArray().Select(s => s.Count));
        Advance(plan, pages);

        // The first decodes now; the second finishes its prefill; the third gets what is left.
        Scheduler.Plan(waiting, running, 4, pages, 150, plan);
        Assert.Equal([1, 50, 99], plan.Slices.ToArray().Select(s => s.Count));
    }

    [Fact]
    public void The_youngest_gives_its_pages_back_when_they_run_out_and_keeps_its_tokens()
    {
        var pages = new PageAllocator(4);
        Sequence old = New(64, 128), young = New(64, 128, first: 1000);
        List<Sequence> waiting = [old, young], running = [];
        var plan = new Plan(2);
        Scheduler.Plan(waiting, running, 2, pages, 256, plan);
        Advance(plan, pages);
        Scheduler.Plan(waiting, running, 2, pages, 256, plan);
        Assert.Equal(1, plan.Preemptions);
        Assert.Same(old, Assert.Single(running));
        Assert.Same(young, Assert.Single(waiting));
        Assert.Equal((65, 0, 0), (young.Count, young.Computed, young.PageCount));
    }

    [Fact]
    public void A_plan_allocates_nothing()
    {
        var pages = new PageAllocator(64);
        List<Sequence> waiting = [New(40, 1000), New(40, 1000, 100)], running = new(4);
        var plan = new Plan(4);
        long before = 0;
        for (int i = 0; i < 900; i++)
        {
            if (i == 100)
                before = GC.GetAllocatedBytesForCurrentThread();
            Scheduler.Plan(waiting, running, 4, pages, 64, plan);
            foreach ((Sequence sequence, int count) in plan.Slices)
            {
                sequence.Advance(pages, count);
                sequence.Append(i);
            }
        }

        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
    }

    private static void Check(List<Sequence> waiting, List<Sequence> running, int runningMax, PageAllocator pages, int tokenBudget, Plan plan, Dictionary<Sequence, int> arrivals)
    {
        Assert.InRange(plan.SliceCount, 1, runningMax);
        Assert.InRange(running.Count, 1, runningMax);
        Assert.DoesNotContain(waiting, sequence => sequence.PageCount > 0);
        int tokens = 0, held = 0;
        foreach ((Sequence sequence, int count) in plan.Slices)
        {
            tokens += count;
            Assert.Contains(sequence, running);
            Assert.InRange(count, 1, sequence.Pending);
            Assert.True(sequence.Computed + count <= sequence.PageCount * KvPages.PageTokens, "tokens without a place");
        }

        Assert.True(tokens <= tokenBudget, "more tokens than the budget");
        var users = new int[pages.PageCount];
        foreach (Sequence sequence in running)
            for (int i = 0; i < sequence.PageCount; i++)
            {
                int page = sequence.Pages[i];
                users[page]++;
                if (i >= sequence.Computed / KvPages.PageTokens)
                    Assert.True(pages.References(page) == 1 && !pages.IsRegistered(page), "a page that will be written is shared");
            }

        for (int page = 0; page < users.Length; page++)
        {
            Assert.Equal(pages.References(page), users[page]);
            held += Math.Sign(users[page]);
        }

        Assert.Equal(pages.PageCount, pages.FreeCount + pages.CachedCount + held);

        // First come, first served: whoever runs is older than whoever waits.
        int[] order = [.. running.Concat(waiting).Select(s => arrivals[s])];
        Assert.Equal(order.Order(), order);
    }

    private static void Advance(Plan plan, PageAllocator pages)
    {
        foreach ((Sequence sequence, int count) in plan.Slices)
        {
            sequence.Advance(pages, count);
            if (sequence.Pending == 0)
                sequence.Append(7);
        }
    }

    private static int s_next;

    private static Sequence New(int promptCount, int tokensMax = 200, int first = -1) =>
        new([.. Enumerable.Range(first >= 0 ? first : s_next += 1000, promptCount)], tokensMax);
}
