namespace Tern.Hub;

/// <summary>
/// Bytes of a file that are there: intervals [Start, End) in order, apart from each other. Adding one swallows those it touches:
/// <code>
/// before   ███░░░███░░░███      add   ░░░░████░░░░░░░      after   ███░████░░░░███
/// </code>
/// </summary>
internal sealed class RangeSet
{
    private readonly List<(long Start, long End)> _ranges = [];

    public IReadOnlyList<(long Start, long End)> Ranges => _ranges;

    /// <summary>Bytes in all.</summary>
    public long Total => _ranges.Sum(r => r.End - r.Start);

    public void Add(long start, long end)
    {
        if (end <= start)
            return;
        int first = _ranges.FindIndex(r => r.End >= start);
        if (first < 0)
            first = _ranges.Count;
        int last = first;
        while (last < _ranges.Count && _ranges[last].Start <= end)
        {
            start = Math.Min(start, _ranges[last].Start);
            end = Math.Max(end, _ranges[last].End);
            last++;
        }

        _ranges.RemoveRange(first, last - first);
        _ranges.Insert(first, (start, end));
    }

    public void Clear() => _ranges.Clear();

    /// <summary>What is missing of the first <paramref name="length"/> bytes, in pieces of at most <paramref name="pieceMax"/>.</summary>
    public IEnumerable<(long Start, long End)> Missing(long length, long pieceMax)
    {
        long position = 0;
        foreach ((long start, long end) in _ranges.Append((length, length)))
        {
            for (; position < start; position = Math.Min(position + pieceMax, start))
                yield return (position, Math.Min(position + pieceMax, start));
            position = Math.Max(position, end);
        }
    }
}
