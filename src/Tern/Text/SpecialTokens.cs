using System.Buffers;
using Tern.Files;

namespace Tern.Text;

/// <summary>Finds tokens that are matched in the text itself before it is split: the leftmost first, and of those that start there the longest.</summary>
internal sealed class SpecialTokens
{
    private readonly StringTable _tokens;
    private readonly int[] _sorted;
    private readonly SearchValues<byte> _firstBytes;

    /// <summary>A finder of the given tokens.</summary>
    /// <param name="tokens">The bytes of every id.</param>
    /// <param name="ids">The tokens to find; empty ones are left out.</param>
    public SpecialTokens(StringTable tokens, IEnumerable<int> ids)
    {
        _tokens = tokens;
        _sorted = [.. ids.Where(id => tokens[id].Length > 0)];
        Array.Sort(_sorted, (a, b) => tokens[a].SequenceCompareTo(tokens[b]));
        _firstBytes = SearchValues.Create([.. _sorted.Select(id => tokens[id][0]).Distinct()]);
    }

    /// <summary>The first token at or after a position.</summary>
    /// <param name="text">UTF-8.</param>
    /// <param name="from">Where to begin.</param>
    /// <param name="at">Where the token stands, or the end of the text.</param>
    /// <returns>Its id, or -1.</returns>
    public int Next(ReadOnlySpan<byte> text, int from, out int at)
    {
        for (at = from; at < text.Length; at++)
        {
            int skip = text[at..].IndexOfAny(_firstBytes);
            if (skip < 0)
                break;
            at += skip;
            if (LongestAt(text[at..]) is var id and >= 0)
                return id;
        }

        at = text.Length;
        return -1;
    }

    /// <summary>Narrows the sorted tokens byte by byte to those that the text starts with.</summary>
    private int LongestAt(ReadOnlySpan<byte> text)
    {
        int longest = -1;
        int low = 0;
        int high = _sorted.Length;
        for (int depth = 0; depth < text.Length; depth++)
        {
            low = FirstAtLeast(low, high, depth, text[depth]);
            high = FirstAtLeast(low, high, depth, text[depth] + 1);
            if (low == high)
                break;
            if (_tokens[_sorted[low]].Length == depth + 1)
                longest = _sorted[low];
        }

        return longest;
    }

    /// <summary>Among [low, high), which agree up to <paramref name="depth"/>, the first whose next byte is at least <paramref name="value"/>.</summary>
    private int FirstAtLeast(int low, int high, int depth, int value)
    {
        while (low < high)
        {
            int middle = (low + high) >> 1;
            ReadOnlySpan<byte> token = _tokens[_sorted[middle]];
            if ((token.Length > depth ? token[depth] : -1) < value)
                low = middle + 1;
            else
                high = middle;
        }

        return low;
    }
}
