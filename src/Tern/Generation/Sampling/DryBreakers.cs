using System.Text;

namespace Tern.Generation.Sampling;

/// <summary>
/// The sequence breakers of DRY as tokens. A breaker string stands in the text when a token contains it, or when a token ends with its
/// beginning and the tokens that spell the rest follow; so each breaker becomes a set of (first token, following tokens).
/// </summary>
internal sealed class DryBreakers
{
    /// <summary>Tokens after the first that are compared at most.</summary>
    private const int TailMax = 20;

    private readonly Dictionary<int, int[][]> _tails = [];

    /// <summary>Breakers that are given as token sequences, each of at least one token.</summary>
    public DryBreakers(IEnumerable<int[]> sequences)
    {
        foreach (IGrouping<int, int[]> sameFirst in sequences.GroupBy(s => s[0]))
            _tails[sameFirst.Key] = [.. sameFirst.Select(s => s[1..]).OrderByDescending(tail => tail.Length)];
    }

    /// <summary>No breakers.</summary>
    public static DryBreakers None { get; } = new([]);

    /// <summary>Finds the token sequences that spell the breakers; reads the whole vocabulary.</summary>
    public static DryBreakers From(IReadOnlyList<string> breakers, TokenTable vocabulary)
    {
        var sequences = new List<int[]>();
        foreach (string breaker in breakers)
        {
            byte[] bytes = Encoding.UTF8.GetBytes(breaker);
            for (int id = 0; id < vocabulary.Size; id++)
            {
                ReadOnlySpan<byte> token = vocabulary.Bytes(id);
                if (token.IndexOf(bytes) >= 0)
                {
                    sequences.Add([id]);
                    continue;
                }

                for (int overlap = Math.Min(token.Length, bytes.Length - 1); overlap > 0; overlap--)
                {
                    if (!token.EndsWith(bytes.AsSpan(0, overlap)))
                        continue;
                    int[] tail = vocabulary.Encode(Encoding.UTF8.GetString(bytes.AsSpan(overlap)));
                    sequences.Add([id, .. tail.Take(TailMax)]);
                }
            }
        }

        return new DryBreakers(sequences);
    }

    /// <summary>Whether a token alone breaks sequences.</summary>
    public bool IsBreaker(int token) => _tails.TryGetValue(token, out int[][]? tails) && tails[^1].Length == 0;

    /// <summary>Tokens at the end of the text that stand behind the last breaker: no repeat is longer.</summary>
    public int RepeatMax(ReadOnlySpan<int> window)
    {
        if (_tails.Count == 0)
            return window.Length;

        for (int after = 0; after < window.Length; after++)
        {
            if (!_tails.TryGetValue(window[^(after + 1)], out int[][]? tails))
                continue;
            ReadOnlySpan<int> following = window[^after..];
            foreach (int[] tail in tails)
                if (following.StartsWith(tail))
                    return after - tail.Length;
        }

        return window.Length;
    }
}
