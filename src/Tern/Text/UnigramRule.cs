using System.Buffers;

namespace Tern.Text;

/// <summary>
/// Unigram segmentation (Kudo 2018): of all ways to cut a word into tokens the one whose scores, logarithms of probabilities, have the largest sum.
/// <code>
///   best(0) = 0        best(j) = max over i &lt; j of best(i) + score(characters i to j)        then back from the end
/// </code>
/// A character that is no token costs more than any token does, and neighbours of that kind become one piece. Of equal sums the one whose last
/// token is the longest counts, as in the library that trains these models.
/// </summary>
internal sealed class UnigramRule
{
    /// <summary>Longest token of such a vocabulary, in bytes: every start in a text tries all lengths.</summary>
    public const int TokenBytesMax = 256;

    /// <summary>How far an unknown character is below the worst token.</summary>
    private const double UnknownPenalty = 10;

    private readonly TokenTable _table;
    private readonly float[] _scores;
    private readonly double _unknown;

    /// <summary>Takes the scores of a vocabulary.</summary>
    /// <param name="table">Tokens that text can become, none longer than <see cref="TokenBytesMax"/>.</param>
    /// <param name="scores">One finite number for every id.</param>
    /// <param name="least">The lowest score of an ordinary token.</param>
    public UnigramRule(TokenTable table, float[] scores, float least) => (_table, _scores, _unknown) = (table, scores, least - UnknownPenalty);

    /// <summary>Cuts a word; parameters and result as in <see cref="WordMerger.MergeShort"/>.</summary>
    public int Segment(ReadOnlySpan<byte> word, Span<int> ids, Span<int> starts)
    {
        int count = ids.Length;
        double[] best = ArrayPool<double>.Shared.Rent(count + 1);
        int[] rented = ArrayPool<int>.Shared.Rent(2 * (count + 1));
        Span<int> from = rented.AsSpan(0, count + 1), token = rented.AsSpan(count + 1, count + 1);
        best.AsSpan(0, count + 1).Fill(double.NegativeInfinity);
        best[0] = 0;
        for (int i = 0; i < count; i++)
        {
            for (int j = i + 1; j <= count && starts[j] - starts[i] <= _table.LongestBytes; j++)
                if (_table.Find(word[starts[i]..starts[j]]) is var id and >= 0)
                    Offer(i, j, best[i] + _scores[id], id, best, from, token);
            if (ids[i] < 0)
                Offer(i, i + 1, best[i] + _unknown, -1, best, from, token);
        }

        // Back from the end, into the end of the same spans: what is written there was read before.
        //   starts   0 1 2 3 4 5 6        pieces [0 3) [3 4) [4 6)        →   . . . 0 3 4 6
        int to = count;
        for (int at = count; at > 0; at = from[at])
        {
            bool joins = token[at] < 0 && to < count && ids[to] < 0;
            if (!joins)
                ids[--to] = token[at];
            starts[to] = starts[from[at]];
        }

        ids[to..].CopyTo(ids);
        starts[to..].CopyTo(starts);
        ArrayPool<double>.Shared.Return(best);
        ArrayPool<int>.Shared.Return(rented);
        return count - to;
    }

    private static void Offer(int start, int end, double sum, int id, double[] best, Span<int> from, Span<int> token)
    {
        if (sum > best[end])
            (best[end], from[end], token[end]) = (sum, start, id);
    }
}
