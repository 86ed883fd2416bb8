namespace Tern.Models;

/// <summary>Which positions of a slice want logits.</summary>
internal enum LogitRows
{
    None,
    Last,
    All,
}

/// <summary>A run of consecutive tokens of one sequence: a decode step is a slice of one, a prefill chunk a slice of many.</summary>
/// <param name="Pages">The sequence's page numbers, in order; page p holds positions [32p, 32p + 32).</param>
/// <param name="First">Position of the first token.</param>
/// <param name="Count">Tokens in the slice.</param>
/// <param name="Wants">Which of them want logits.</param>
/// <param name="Demand">What is enough of the last one's logits; null: all.</param>
internal readonly record struct Slice(int[] Pages, int First, int Count, LogitRows Wants, LogitDemand? Demand);

/// <summary>What one forward pass computes: slices of any number of sequences, travelling together. Reused; allocates nothing after it is made.</summary>
internal sealed class Batch(int tokensMax, int slicesMax)
{
    private readonly int[] _tokens = new int[tokensMax];
    private readonly Slice[] _slices = new Slice[slicesMax];

    public int TokensMax => tokensMax;

    public int TokenCount { get; private set; }

    public int SliceCount { get; private set; }

    /// <summary>Rows of logits that the forward pass will write, in the order of slices and positions.</summary>
    public int LogitRowCount { get; private set; }

    public ReadOnlySpan<int> Tokens => _tokens.AsSpan(0, TokenCount);

    public ReadOnlySpan<Slice> Slices => _slices.AsSpan(0, SliceCount);

    public void Clear() => (TokenCount, SliceCount, LogitRowCount) = (0, 0, 0);

    /// <summary>Adds the tokens of one sequence at position <paramref name="first"/>.</summary>
    /// <param name="pages">The sequence's pages.</param>
    /// <param name="first">Position of the first token.</param>
    /// <param name="tokens">At least one.</param>
    /// <param name="wants">Which of them want logits.</param>
    /// <param name="demand">What is enough of the last one's logits; null: all. The forward pass writes its answer there.</param>
    public void Add(int[] pages, int first, ReadOnlySpan<int> tokens, LogitRows wants, LogitDemand? demand = null)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(tokens.Length, tokensMax - TokenCount);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(SliceCount, slicesMax);
        ArgumentOutOfRangeException.ThrowIfZero(tokens.Length);
        tokens.CopyTo(_tokens.AsSpan(TokenCount));
        TokenCount += tokens.Length;
        _slices[SliceCount++] = new Slice(pages, first, tokens.Length, wants, wants == LogitRows.Last ? demand : null);
        LogitRowCount += wants switch { LogitRows.None => 0, LogitRows.Last => 1, _ => tokens.Length };
    }
}
