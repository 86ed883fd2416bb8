namespace Tern.Generation;

/// <summary>What one step computes: the next tokens of some running sequences. Reused.</summary>
internal sealed class Plan(int sequencesMax)
{
    private readonly (Sequence Sequence, int Count)[] _slices = new (Sequence, int)[sequencesMax];

    public int SliceCount { get; private set; }

    /// <summary>Sequences that had to give their pages back for this plan.</summary>
    public int Preemptions { get; set; }

    public ReadOnlySpan<(Sequence Sequence, int Count)> Slices => _slices.AsSpan(0, SliceCount);

    public void Clear() => (SliceCount, Preemptions) = (0, 0);

    public void Add(Sequence sequence, int count) => _slices[SliceCount++] = (sequence, count);
}

/// <summary>
/// Decides what the next step computes, from integers only. Sequences are served in the order of their arrival:
/// <list type="number">
/// <item>every running sequence that waits for one token gets it;</item>
/// <item>running sequences with more tokens to compute share what is left of the budget;</item>
/// <item>waiting sequences are admitted while a place, budget and pages for all their tokens are there.</item>
/// </list>
/// When pages run out, the youngest running sequence gives its pages back and waits, before all others that wait; its tokens stay. So the
/// oldest always gets on, and everyone becomes the oldest.
/// </summary>
internal static class Scheduler
{
    /// <summary>Fills <paramref name="plan"/>, and moves sequences between the lists and pages between the sequences as it requires.</summary>
    /// <param name="waiting">Oldest first.</param>
    /// <param name="running">Oldest first; older than all that wait.</param>
    /// <param name="runningMax">Most running sequences.</param>
    /// <param name="pages">At least as many as one sequence can ever need.</param>
    /// <param name="tokenBudget">Most tokens in the plan; at least <paramref name="runningMax"/>.</param>
    /// <param name="plan">Receives the slices.</param>
    public static void Plan(List<Sequence> waiting, List<Sequence> running, int runningMax, PageAllocator pages, int tokenBudget, Plan plan)
    {
        plan.Clear();
        int chunkBudget = tokenBudget;
        foreach (Sequence sequence in running)
            if (sequence.Pending == 1)
                chunkBudget--;

        for (int i = 0; i < running.Count; i++)
        {
            Sequence sequence = running[i];
            int wanted = sequence.Pending == 1 ? 1 : Math.Min(sequence.Pending, chunkBudget);
            if (wanted == 0)
                continue;
            int placed = sequence.Grow(pages, sequence.Computed + wanted) - sequence.Computed;
            while (placed == 0 && i < running.Count - 1)
            {
                if (running[^1].Pending == 1)
                    chunkBudget++;
                PreemptYoungest(waiting, running, pages, plan);
                placed = sequence.Grow(pages, sequence.Computed + wanted) - sequence.Computed;
            }

            if (placed == 0)
                continue;
            if (sequence.Pending > 1)
                chunkBudget -= placed;
            plan.Add(sequence, placed);
        }

        while (plan.Preemptions == 0 && chunkBudget > 0 && waiting.Count > 0 && running.Count < runningMax)
        {
            Sequence sequence = waiting[0];
            sequence.Match(pages);
            if (Sequence.PagesFor(sequence.Count) - sequence.PageCount > pages.Available && running.Count > 0)
            {
                sequence.Release(pages);
                break;
            }

            waiting.RemoveAt(0);
            running.Add(sequence);
            int placed = sequence.Grow(pages, sequence.Computed + Math.Min(sequence.Pending, chunkBudget)) - sequence.Computed;
            chunkBudget -= placed;
            plan.Add(sequence, placed);
        }
    }

    private static void PreemptYoungest(List<Sequence> waiting, List<Sequence> running, PageAllocator pages, Plan plan)
    {
        Sequence youngest = running[^1];
        running.RemoveAt(running.Count - 1);
        youngest.Release(pages);
        waiting.Insert(0, youngest);
        plan.Preemptions++;
    }
}
