using Tern.Machine;

namespace Tern.Kernels;

/// <summary>Where each token of a batch stands: its position, and the pages of its sequence, flattened for the kernels.</summary>
internal sealed unsafe class BatchPositions : IDisposable
{
    private readonly NativeBuffer<int> _positions;
    private readonly NativeBuffer<int> _pageStarts;
    private readonly NativeBuffer<int> _pages;
    private readonly int _contextMax;
    private int _pageCount;

    /// <param name="tokensMax">Most tokens of a batch, and so most sequences in it.</param>
    /// <param name="contextMax">Most positions of one sequence.</param>
    public BatchPositions(int tokensMax, int contextMax)
    {
        int pagesPerSequence = (contextMax + KvPages.PageTokens - 1) / KvPages.PageTokens;
        _contextMax = contextMax;
        _positions = new NativeBuffer<int>(tokensMax);
        _pageStarts = new NativeBuffer<int>(tokensMax);
        _pages = new NativeBuffer<int>((long)tokensMax * pagesPerSequence);
    }

    /// <summary>Tokens added since <see cref="Clear"/>.</summary>
    public int Count { get; private set; }

    /// <summary>The highest page number in use, plus one.</summary>
    public int PagesEnd { get; private set; }

    /// <summary>[Count] position of each token.</summary>
    public int* Positions => _positions.Pointer;

    /// <summary>[Count] where the pages of each token's sequence begin in <see cref="Pages"/>.</summary>
    public int* PageStarts => _pageStarts.Pointer;

    public int* Pages => _pages.Pointer;

    public void Clear() => (Count, _pageCount, PagesEnd) = (0, 0, 0);

    /// <summary>Adds <paramref name="count"/> tokens of one sequence from position <paramref name="first"/>.</summary>
    /// <param name="pages">Pages of the sequence; entries up to the last position are read.</param>
    /// <param name="first">Position of the first token.</param>
    /// <param name="count">Tokens.</param>
    public void Add(ReadOnlySpan<int> pages, int first, int count)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(first);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(count, _contextMax - first);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(count, _positions.Count - Count);
        int used = (first + count + KvPages.PageTokens - 1) / KvPages.PageTokens;
        ReadOnlySpan<int> known = pages[..used];
        foreach (int page in known)
        {
            ArgumentOutOfRangeException.ThrowIfNegative(page);
            PagesEnd = Math.Max(PagesEnd, page + 1);
        }

        known.CopyTo(new Span<int>(Pages + _pageCount, used));
        for (int i = 0; i < count; i++)
        {
            Positions[Count + i] = first + i;
            PageStarts[Count + i] = _pageCount;
        }

        Count += count;
        _pageCount += used;
    }

    /// <summary>Cosines and sines of every token's position.</summary>
    /// <param name="frequencies">[pairs] radians per position.</param>
    /// <param name="magnitude">Factor on both.</param>
    /// <param name="angles">[tokens, 2 · pairs].</param>
    public void FillAngles(ReadOnlySpan<double> frequencies, double magnitude, FloatMatrix angles)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(2 * frequencies.Length, angles.Columns);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(Count, angles.Rows);
        for (int i = 0; i < Count; i++)
            RopeTable.Fill(frequencies, magnitude, Positions[i], angles.Pointer + (long)i * angles.Stride);
    }

    public void Dispose()
    {
        _positions.Dispose();
        _pageStarts.Dispose();
        _pages.Dispose();
    }
}
