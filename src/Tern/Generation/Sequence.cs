using Tern.Kernels;

namespace Tern.Generation;

/// <summary>
/// The integers of one request: its tokens, and how many of them stand in the KV cache.
/// <code>
/// tokens  [ prompt ………………… | generated … ]
///           0 … Computed        … Count         what lies between waits for a forward pass
/// pages   [ full, may be shared | full or being written ]
/// </code>
/// </summary>
internal class Sequence
{
    private int _registered; // full pages that were registered or matched
    private long _prefix; // the number of the prefix that they spell

    /// <summary>A sequence that starts with a prompt.</summary>
    /// <param name="prompt">At least one token.</param>
    /// <param name="tokensMax">Most tokens of prompt and answer.</param>
    public Sequence(ReadOnlySpan<int> prompt, int tokensMax)
    {
        ArgumentOutOfRangeException.ThrowIfZero(prompt.Length);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(prompt.Length, tokensMax);
        TokensMax = tokensMax;
        PromptCount = Count = prompt.Length;
        Tokens = new int[tokensMax];
        Pages = new int[PagesFor(tokensMax)];
        prompt.CopyTo(Tokens);
    }

    public int TokensMax { get; }

    public int PromptCount { get; }

    public int[] Tokens { get; } // [TokensMax]

    /// <summary>Tokens so far.</summary>
    public int Count { get; private set; }

    /// <summary>Tokens whose keys and values stand in the cache.</summary>
    public int Computed { get; private set; }

    public int[] Pages { get; } // [pages of TokensMax]

    /// <summary>Pages that the sequence holds.</summary>
    public int PageCount { get; private set; }

    /// <summary>Tokens that wait for a forward pass.</summary>
    public int Pending => Count - Computed;

    /// <summary>Whether anything of it was ever computed.</summary>
    public bool Started { get; private set; }

    /// <summary>Tokens that the cache held when the sequence was first admitted.</summary>
    public int CachedAtStart { get; private set; }

    /// <summary>Pages that hold <paramref name="tokens"/> tokens.</summary>
    public static int PagesFor(int tokens) => (tokens + KvPages.PageTokens - 1) / KvPages.PageTokens;

    /// <summary>Adds a generated token.</summary>
    public void Append(int token) => Tokens[Count++] = token;

    /// <summary>Holds what the cache has of the sequence's beginning. The last token is always computed: its logits are wanted.</summary>
    public void Match(PageAllocator allocator)
    {
        PageCount = _registered = allocator.Match(Tokens.AsSpan(0, Count - 1), Pages, out _prefix);
        Computed = PageCount * KvPages.PageTokens;
        if (!Started)
            CachedAtStart = Computed;
    }

    /// <summary>Takes pages for the first <paramref name="tokens"/> tokens as far as there are any; returns the tokens that have a place.</summary>
    public int Grow(PageAllocator allocator, int tokens)
    {
        int wanted = PagesFor(tokens);
        while (PageCount < wanted && allocator.Available > 0)
            Pages[PageCount++] = allocator.Take();
        return Math.Min(tokens, PageCount * KvPages.PageTokens);
    }

    /// <summary>Notes that the next <paramref name="count"/> tokens were computed; pages that became full can be found by others.</summary>
    public void Advance(PageAllocator allocator, int count)
    {
        Started = true;
        Computed += count;
        for (; (_registered + 1) * KvPages.PageTokens <= Computed; _registered++)
        {
            ReadOnlySpan<int> tokens = Tokens.AsSpan(_registered * KvPages.PageTokens, KvPages.PageTokens);
            _prefix = allocator.Register(Pages[_registered], _prefix, tokens);
        }
    }

    /// <summary>Gives all pages back; the tokens stay, so the sequence can start over.</summary>
    public void Release(PageAllocator allocator)
    {
        allocator.Release(Pages.AsSpan(0, PageCount));
        (PageCount, Computed, _registered, _prefix) = (0, 0, 0, PageAllocator.Root);
    }
}
