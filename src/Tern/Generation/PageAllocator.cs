using Tern.Kernels;

namespace Tern.Generation;

/// <summary>
/// Who holds which page of the KV cache, in integers only. A page is in one of three states:
/// <code>
///          Take                       Release, not registered
/// free ───────────► held (references ≥ 1) ───────────► free
///   ▲                 │      ▲
///   │ evicted by Take │      │ Match
///   └──── cached ◄────┘──────┘
///          Release of the last reference, registered
/// </code>
/// A full page can be registered under (the prefix before it, its tokens); later sequences that start with the same tokens find it. A
/// prefix has a number of its own, never used twice, so a hit is exact: same number before, same 32 tokens compared one by one. Hashes
/// only choose the bucket. Only full pages are registered, nobody writes into a full page, so a shared page is never written.
/// </summary>
internal sealed class PageAllocator
{
    /// <summary>The prefix of no tokens.</summary>
    public const long Root = 0;

    private const int None = -1;
    private const int PageTokens = KvPages.PageTokens;

    private readonly int[] _references; // [pages]
    private readonly int[] _free; // [pages], a stack of FreeCount
    private readonly int[] _tokens; // [pages, PageTokens], of registered pages
    private readonly long[] _before; // [pages], number of the prefix before a registered page
    private readonly long[] _prefix; // [pages], number of the prefix that ends with a registered page; 0 when not registered
    private readonly int[] _buckets; // [power of two], first page of a hash chain
    private readonly int[] _next; // [pages], next page of the same bucket
    private readonly int[] _older, _newer; // [pages], cached pages by time of release
    private int _oldest = None, _newest = None;
    private long _lastPrefix;

    /// <summary>All pages free.</summary>
    public PageAllocator(int pageCount)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(pageCount);
        PageCount = FreeCount = pageCount;
        _references = new int[pageCount];
        _free = new int[pageCount];
        _tokens = new int[pageCount * PageTokens];
        _before = new long[pageCount];
        _prefix = new long[pageCount];
        _next = new int[pageCount];
        _older = new int[pageCount];
        _newer = new int[pageCount];
        _buckets = new int[System.Numerics.BitOperations.RoundUpToPowerOf2((uint)pageCount)];
        Array.Fill(_buckets, None);
        for (int i = 0; i < pageCount; i++)
            _free[i] = pageCount - 1 - i;
    }

    /// <summary>All pages.</summary>
    public int PageCount { get; }

    /// <summary>Pages that hold nothing.</summary>
    public int FreeCount { get; private set; }

    /// <summary>Pages that nobody holds but that a prefix may find again.</summary>
    public int CachedCount { get; private set; }

    /// <summary>Pages that sequences hold.</summary>
    public int UsedCount => PageCount - FreeCount - CachedCount;

    /// <summary>Pages that <see cref="Take"/> can still give.</summary>
    public int Available => FreeCount + CachedCount;

    /// <summary>A page to write into: a free one, else the cached one that was released longest ago.</summary>
    public int Take()
    {
        if (FreeCount == 0)
        {
            if (_oldest == None)
                throw new InvalidOperationException("Take needs an available page; all are held");
            int evicted = _oldest;
            RemoveFromCached(evicted);
            Unregister(evicted);
            _free[FreeCount++] = evicted;
        }

        int page = _free[--FreeCount];
        _references[page] = 1;
        return page;
    }

    /// <summary>Finds the longest run of registered pages that spell the beginning of a text, and holds them.</summary>
    /// <param name="tokens">The text; only its whole pages can match.</param>
    /// <param name="pages">Receives the pages.</param>
    /// <param name="prefix">The number of the prefix that was found.</param>
    /// <returns>Pages found.</returns>
    public int Match(ReadOnlySpan<int> tokens, Span<int> pages, out long prefix)
    {
        prefix = Root;
        int count = 0;
        for (; tokens.Length >= PageTokens; tokens = tokens[PageTokens..])
        {
            int page = Find(prefix, tokens[..PageTokens]);
            if (page == None)
                break;
            if (_references[page]++ == 0)
                RemoveFromCached(page);
            prefix = _prefix[page];
            pages[count++] = page;
        }

        return count;
    }

    /// <summary>Makes a full page findable.</summary>
    /// <param name="page">A page that the caller holds and will not write again.</param>
    /// <param name="before">The number of the prefix before it.</param>
    /// <param name="tokens">Its tokens.</param>
    /// <returns>The number of the prefix that ends with it; when another page holds the same text already, that one's.</returns>
    public long Register(int page, long before, ReadOnlySpan<int> tokens)
    {
        int same = Find(before, tokens);
        if (same != None)
            return _prefix[same];

        tokens.CopyTo(TokensOf(page));
        _before[page] = before;
        _prefix[page] = ++_lastPrefix;
        ref int bucket = ref Bucket(before, tokens);
        _next[page] = bucket;
        bucket = page;
        return _lastPrefix;
    }

    /// <summary>Lets go of pages that were taken or matched. The last ones are evicted first: a page is of no use without those before it.</summary>
    public void Release(ReadOnlySpan<int> pages)
    {
        for (int i = pages.Length - 1; i >= 0; i--)
        {
            int page = pages[i];
            if (_references[page] <= 0)
                throw new InvalidOperationException($"page {page} was released more often than it was held");
            if (--_references[page] > 0)
                continue;
            if (_prefix[page] == 0)
                _free[FreeCount++] = page;
            else
                AddToCached(page);
        }
    }

    /// <summary>How many hold a page.</summary>
    public int References(int page) => _references[page];

    /// <summary>Whether a page can be found by its tokens, so that it must not be written.</summary>
    public bool IsRegistered(int page) => _prefix[page] != 0;

    private int Find(long before, ReadOnlySpan<int> tokens)
    {
        int page = Bucket(before, tokens);
        while (page != None && !(_before[page] == before && tokens.SequenceEqual(TokensOf(page))))
            page = _next[page];
        return page;
    }

    private Span<int> TokensOf(int page) => _tokens.AsSpan(page * PageTokens, PageTokens);

    private ref int Bucket(long before, ReadOnlySpan<int> tokens)
    {
        unchecked
        {
            ulong hash = (ulong)before;
            foreach (int token in tokens)
                hash = (hash ^ (uint)token) * 0x9E3779B97F4A7C15;
            return ref _buckets[(hash ^ (hash >> 32)) & (ulong)(_buckets.Length - 1)];
        }
    }

    private void Unregister(int page)
    {
        ref int link = ref Bucket(_before[page], TokensOf(page));
        while (link != page)
            link = ref _next[link];
        link = _next[page];
        _prefix[page] = 0;
    }

    private void AddToCached(int page)
    {
        (_older[page], _newer[page]) = (_newest, None);
        if (_newest == None)
            _oldest = page;
        else
            _newer[_newest] = page;
        _newest = page;
        CachedCount++;
    }

    private void RemoveFromCached(int page)
    {
        (int older, int newer) = (_older[page], _newer[page]);
        if (older == None)
            _oldest = newer;
        else
            _newer[older] = newer;
        if (newer == None)
            _newest = older;
        else
            _older[newer] = older;
        CachedCount--;
    }

    /// <summary>Checks that every page is in exactly one state and every list agrees with it.</summary>
    /// <exception cref="InvalidOperationException">The bookkeeping is wrong; the message says where.</exception>
    public void CheckIntegrity()
    {
        Span<byte> seen = new byte[PageCount];
        foreach (int page in _free.AsSpan(0, FreeCount))
        {
            Require(seen[page]++ == 0, page, "is free twice");
            Require(_references[page] == 0 && _prefix[page] == 0, page, "is free, but held or registered");
        }

        int cached = 0, older = None;
        for (int page = _oldest; page != None; (older, page) = (page, _newer[page]))
        {
            Require(seen[page]++ == 0, page, "is cached twice, or cached and free");
            Require(_references[page] == 0 && _prefix[page] != 0, page, "is cached, but held or not registered");
            Require(_older[page] == older, page, "has a wrong neighbour in the list of cached pages");
            cached++;
        }

        Require(older == _newest && cached == CachedCount, older, "ends a list of cached pages of the wrong length");
        int registered = 0;
        for (int page = 0; page < PageCount; page++)
        {
            Require(seen[page] == 1 || _references[page] > 0, page, "is neither free, cached nor held");
            if (_prefix[page] == 0)
                continue;
            registered++;
            Require(Find(_before[page], TokensOf(page)) == page, page, "is registered, but not found by its tokens");
        }

        int chained = 0;
        foreach (int bucket in _buckets)
            for (int page = bucket; page != None; page = _next[page])
                chained++;
        Require(chained == registered, None, "stands in a hash chain without being registered");

        static void Require(bool condition, int page, string problem)
        {
            if (!condition)
                throw new InvalidOperationException($"page {page} {problem}");
        }
    }
}
