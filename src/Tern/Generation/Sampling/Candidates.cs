using Tern.Kernels;

namespace Tern.Generation.Sampling;

/// <summary>A token that may come next.</summary>
internal struct Candidate
{
    /// <summary>The token.</summary>
    public int Id;

    /// <summary>Its logit; negative infinity when it is ruled out.</summary>
    public float Logit;

    /// <summary>Its probability, as of the last <see cref="Candidates.Softmax"/>.</summary>
    public float Probability;
}

/// <summary>
/// The tokens that may come next, as the steps of a sampler see them. One workspace of vocabulary size serves all sequences, because one
/// thread samples. Everything here is a fixed sequence of IEEE operations, so the same logits give the same candidates on every machine.
/// </summary>
internal sealed class Candidates(int vocabularySize)
{
    private static readonly Comparison<Candidate> s_mostLikelyFirst =
        (a, b) => a.Logit != b.Logit ? b.Logit.CompareTo(a.Logit) : a.Id.CompareTo(b.Id);

    private readonly Candidate[] _items = new Candidate[vocabularySize]; // [vocabulary]
    private int _sortedCount;
    private bool _inIdOrder;

    /// <summary>Candidates left.</summary>
    public int Count { get; private set; }

    /// <summary>The candidates left; after changing logits call <see cref="LogitsChanged"/>.</summary>
    public Span<Candidate> Items => _items.AsSpan(0, Count);

    /// <summary>Starts over with a whole vocabulary. What is not a number cannot be chosen.</summary>
    public void Load(ReadOnlySpan<float> logits)
    {
        Span<Candidate> items = _items.AsSpan(0, logits.Length);
        for (int id = 0; id < items.Length; id++)
        {
            float logit = logits[id];
            if (float.IsNaN(logit))
                logit = float.NegativeInfinity;
            items[id] = new Candidate { Id = id, Logit = MathF.Min(logit, float.MaxValue) };
        }

        Count = logits.Length;
        (_sortedCount, _inIdOrder) = (0, true);
    }

    /// <summary>Starts over with some tokens, in ascending order: all others would be dropped anyway.</summary>
    public void Load(ReadOnlySpan<int> ids, ReadOnlySpan<float> logits)
    {
        Load(logits);
        for (int i = 0; i < ids.Length; i++)
            _items[i].Id = ids[i];
        _inIdOrder = false;
    }

    /// <summary>Where a token stands, or -1 when it was dropped.</summary>
    public int IndexOf(int id)
    {
        if (_inIdOrder)
            return id < Count ? id : -1;

        for (int i = 0; i < Count; i++)
            if (_items[i].Id == id)
                return i;
        return -1;
    }

    /// <summary>Says that logits changed, so that what was sorted no longer is.</summary>
    public void LogitsChanged() => _sortedCount = 0;

    /// <summary>The position of the most likely candidate; of equals the one with the lowest id.</summary>
    public int MostLikely()
    {
        if (_sortedCount > 0)
            return 0;

        int best = 0;
        for (int i = 1; i < Count; i++)
            if (IsBefore(_items[i], _items[best]))
                best = i;
        return best;
    }

    /// <summary>Brings the <paramref name="count"/> most likely candidates to the front, most likely first, lowest id first among equals.</summary>
    public void SortFirst(int count)
    {
        count = Math.Min(count, Count);
        if (count <= _sortedCount)
            return;

        // [0, sorted) is in place. The heap holds the best of the rest that were seen, the least likely of them on top.
        Span<Candidate> rest = _items.AsSpan(_sortedCount, Count - _sortedCount);
        Span<Candidate> heap = rest[..(count - _sortedCount)];
        for (int i = heap.Length / 2 - 1; i >= 0; i--)
            SiftDown(heap, i);
        for (int i = heap.Length; i < rest.Length; i++)
        {
            if (!IsBefore(rest[i], heap[0]))
                continue;
            (heap[0], rest[i]) = (rest[i], heap[0]);
            SiftDown(heap, 0);
        }

        heap.Sort(s_mostLikelyFirst);
        (_sortedCount, _inIdOrder) = (count, false);
    }

    /// <summary>Keeps only the candidates [<paramref name="start"/>, <paramref name="end"/>).</summary>
    public void Keep(int start, int end)
    {
        if (start > 0)
        {
            Items[start..end].CopyTo(_items);
            _inIdOrder = false;
        }

        Count = end - start;
        _sortedCount = Math.Clamp(_sortedCount - start, 0, Count);
    }

    /// <summary>Drops every candidate below a logit, except the most likely one.</summary>
    public void DropBelow(float logit)
    {
        int best = MostLikely(), kept = 0, keptSorted = 0;
        for (int i = 0; i < Count; i++)
        {
            if (_items[i].Logit < logit && i != best)
                continue;
            if (i < _sortedCount)
                keptSorted++;
            _items[kept++] = _items[i];
        }

        _inIdOrder &= kept == Count;
        (Count, _sortedCount) = (kept, keptSorted);
    }

    /// <summary>Rules out every candidate below a logit: it stays in the list with no chance.</summary>
    public void RuleOutBelow(float logit)
    {
        foreach (ref Candidate candidate in Items)
            if (candidate.Logit < logit)
                candidate.Logit = float.NegativeInfinity;
        LogitsChanged();
    }

    /// <summary>Orders the candidates by keys of the caller, lowest first; <paramref name="keys"/> is sorted with them.</summary>
    public void SortBy(Span<ulong> keys)
    {
        keys.Sort(Items);
        (_sortedCount, _inIdOrder) = (0, false);
    }

    /// <summary>Turns the logits of the candidates left into probabilities.</summary>
    public void Softmax()
    {
        int best = MostLikely();
        float max = _items[best].Logit;
        double sum = 0;
        foreach (ref Candidate candidate in Items)
        {
            double power = Exp(candidate.Logit - max);
            candidate.Probability = (float)power;
            sum += power;
        }

        foreach (ref Candidate candidate in Items)
            candidate.Probability = (float)(candidate.Probability / sum);

        // Every token ruled out: the answer must still go on with one.
        if (float.IsNegativeInfinity(max))
            _items[best].Probability = 1;
    }

    /// <summary>Information content of the probabilities, in nats; call <see cref="Softmax"/> first.</summary>
    public double Entropy()
    {
        double entropy = 0;
        foreach (Candidate candidate in Items)
            if (candidate.Probability > 0)
                entropy -= candidate.Probability * PortableMath.Log(candidate.Probability);
        return entropy;
    }

    /// <summary>e^x for x of at most 0, and 0 where that is too small to matter (differences with negative infinity included).</summary>
    private static double Exp(float x) => x > -100 ? PortableMath.Exp(x) : 0;

    private static bool IsBefore(in Candidate a, in Candidate b) => a.Logit > b.Logit || (a.Logit == b.Logit && a.Id < b.Id);

    private static void SiftDown(Span<Candidate> heap, int index)
    {
        Candidate moved = heap[index];
        for (int child = 2 * index + 1; child < heap.Length; child = 2 * index + 1)
        {
            if (child + 1 < heap.Length && IsBefore(heap[child], heap[child + 1]))
                child++;
            if (!IsBefore(moved, heap[child]))
                break;
            heap[index] = heap[child];
            index = child;
        }

        heap[index] = moved;
    }
}
