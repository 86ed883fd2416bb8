using System.Text;

namespace Tern.Generation;

/// <summary>
/// Finds stop strings in the bytes of an answer, wherever the tokens cut them. It keeps no text: for each stop string it knows how many
/// of its first bytes the answer ends with (Knuth, Morris and Pratt 1977). The longest such beginning is what must be held back.
/// <code>
/// answer    … the end of th
///                        └┘ may become "the end": held back
/// released  ────────────►
/// </code>
/// The first stop string that is complete ends the answer; of two that end at the same byte, the longer.
/// </summary>
internal sealed class StopMatcher
{
    private readonly byte[][] _stops; // [stops][bytes]
    private readonly int[][] _fallbacks; // [stops][bytes], length of the longest beginning that is also an end of the first i + 1 bytes
    private readonly int[] _matched; // [stops], bytes of the stop that the answer ends with
    private long _total;

    /// <summary>A matcher for texts of at least one character; there may be none.</summary>
    public StopMatcher(IReadOnlyList<string> stops)
    {
        _stops = [.. stops.Select(Encoding.UTF8.GetBytes)];
        _fallbacks = [.. _stops.Select(Fallbacks)];
        _matched = new int[_stops.Length];
    }

    /// <summary>Bytes of the answer that no stop string can claim any more.</summary>
    public long Released { get; private set; }

    /// <summary>Adds the bytes of a token; true when a stop string is complete, and then <see cref="Released"/> is where it begins.</summary>
    public bool Append(ReadOnlySpan<byte> bytes)
    {
        foreach (byte next in bytes)
        {
            _total++;
            int held = 0;
            bool complete = false;
            for (int i = 0; i < _stops.Length; i++)
            {
                byte[] stop = _stops[i];
                int matched = _matched[i];
                while (matched > 0 && stop[matched] != next)
                    matched = _fallbacks[i][matched - 1];
                if (stop[matched] == next)
                    matched++;
                _matched[i] = matched;
                if (matched == stop.Length)
                    (held, complete) = (complete ? Math.Max(held, matched) : matched, true);
                else if (!complete)
                    held = Math.Max(held, matched);
            }

            Released = _total - held;
            if (complete)
                return true;
        }

        return false;
    }

    /// <summary>Says that the answer ended: what was held back is part of it.</summary>
    public void Finish() => Released = _total;

    private static int[] Fallbacks(byte[] stop)
    {
        var fallbacks = new int[stop.Length];
        for (int i = 1, length = 0; i < stop.Length; i++)
        {
            while (length > 0 && stop[i] != stop[length])
                length = fallbacks[length - 1];
            if (stop[i] == stop[length])
                length++;
            fallbacks[i] = length;
        }

        return fallbacks;
    }
}
