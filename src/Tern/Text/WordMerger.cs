using System.Buffers;

namespace Tern.Text;

/// <summary>What may be merged: the one thing in which byte-pair encoding and SentencePiece differ once a word is cut into symbols.</summary>
internal interface IMergeRule
{
    /// <summary>The rank of merging two neighbours, lower first, or <see cref="int.MaxValue"/> when they do not merge.</summary>
    /// <param name="text">The bytes of both.</param>
    /// <param name="left">Id of the left symbol, or -1 when it is no token.</param>
    /// <param name="right">Id of the right symbol, or -1.</param>
    /// <param name="merged">Id of the merged symbol.</param>
    int Rank(ReadOnlySpan<byte> text, int left, int right, out int merged);
}

/// <summary>Byte-pair encoding: a list of merges of tokens.</summary>
internal readonly struct PairRule(MergeTable merges) : IMergeRule
{
    /// <inheritdoc/>
    public int Rank(ReadOnlySpan<byte> text, int left, int right, out int merged) => merges.Rank(left, right, out merged);
}

/// <summary>SentencePiece: whatever together is a token, the token with the highest score first.</summary>
internal readonly struct ScoreRule(TokenTable table, int[] ranks) : IMergeRule
{
    /// <inheritdoc/>
    public int Rank(ReadOnlySpan<byte> text, int left, int right, out int merged)
    {
        merged = table.Find(text);
        return merged < 0 ? int.MaxValue : ranks[merged];
    }
}

/// <summary>
/// Merges the symbols of one word: always the neighbours of lowest rank, of equal ranks the leftmost, until none merge.
/// Short words take the plain quadratic loop, which is also the definition; long ones a linked list and a heap, so that a megabyte of one letter
/// costs n log n.
/// </summary>
internal static class WordMerger
{
    /// <summary>Words of at most this many symbols take the plain loop.</summary>
    public const int ShortSymbols = 48;

    /// <summary>Merges in place by the plain loop.</summary>
    /// <param name="rule">What merges.</param>
    /// <param name="word">The word's bytes.</param>
    /// <param name="ids">Ids of the symbols, or -1; on return those of the merged symbols in front.</param>
    /// <param name="starts">Where every symbol begins in the word, with its length behind them; changed alike.</param>
    /// <returns>Number of symbols left.</returns>
    public static int MergeShort<TRule>(TRule rule, ReadOnlySpan<byte> word, Span<int> ids, Span<int> starts)
        where TRule : struct, IMergeRule
    {
        int count = ids.Length;
        Span<int> ranks = stackalloc int[ShortSymbols];
        Span<int> merged = stackalloc int[ShortSymbols];
        for (int i = 0; i + 1 < count; i++)
            ranks[i] = rule.Rank(word[starts[i]..starts[i + 2]], ids[i], ids[i + 1], out merged[i]);

        while (count > 1)
        {
            int best = 0;
            for (int i = 1; i + 1 < count; i++)
                if (ranks[i] < ranks[best])
                    best = i;
            if (ranks[best] == int.MaxValue)
                break;

            ids[best] = merged[best];
            ids[(best + 2)..count].CopyTo(ids[(best + 1)..]);
            starts[(best + 2)..(count + 1)].CopyTo(starts[(best + 1)..]);
            if (best + 2 < count)
            {
                ranks[(best + 2)..(count - 1)].CopyTo(ranks[(best + 1)..]);
                merged[(best + 2)..(count - 1)].CopyTo(merged[(best + 1)..]);
            }

            count--;
            if (best > 0)
                ranks[best - 1] = rule.Rank(word[starts[best - 1]..starts[best + 1]], ids[best - 1], ids[best], out merged[best - 1]);
            if (best + 1 < count)
                ranks[best] = rule.Rank(word[starts[best]..starts[best + 2]], ids[best], ids[best + 1], out merged[best]);
        }

        return count;
    }

    /// <summary>Merges in place with a linked list and a heap; parameters and result as in <see cref="MergeShort"/>.</summary>
    public static int MergeLong<TRule>(TRule rule, ReadOnlySpan<byte> word, Span<int> ids, Span<int> starts)
        where TRule : struct, IMergeRule
    {
        int count = ids.Length;
        int[] rented = ArrayPool<int>.Shared.Rent(count * 4);
        Span<int> ranks = rented.AsSpan(0, count);
        Span<int> merged = rented.AsSpan(count, count);
        Span<int> previous = rented.AsSpan(count * 2, count);
        Span<int> next = rented.AsSpan(count * 3, count);
        var heap = new MergeHeap(count);

        for (int i = 0; i < count; i++)
        {
            previous[i] = i - 1;
            next[i] = i + 1;
            ranks[i] = i + 1 < count ? rule.Rank(word[starts[i]..starts[i + 2]], ids[i], ids[i + 1], out merged[i]) : int.MaxValue;
            if (ranks[i] != int.MaxValue)
                heap.Push(ranks[i], i);
        }

        while (heap.TryPop(out int rank, out int left))
        {
            // An entry is stale when its left symbol has been swallowed or has another right neighbour by now.
            if (ranks[left] != rank)
                continue;

            int right = next[left];
            int after = next[right];
            ids[left] = merged[left];
            ranks[right] = int.MaxValue;
            next[left] = after;
            if (after < count)
                previous[after] = left;

            ranks[left] = after < count ? rule.Rank(word[starts[left]..End(starts, next, after)], ids[left], ids[after], out merged[left]) : int.MaxValue;
            if (ranks[left] != int.MaxValue)
                heap.Push(ranks[left], left);

            int before = previous[left];
            if (before < 0)
                continue;
            ranks[before] = rule.Rank(word[starts[before]..End(starts, next, left)], ids[before], ids[left], out merged[before]);
            if (ranks[before] != int.MaxValue)
                heap.Push(ranks[before], before);
        }

        int kept = 0;
        for (int i = 0; i < count; i = next[i])
        {
            ids[kept] = ids[i];
            starts[kept++] = starts[i];
        }

        starts[kept] = word.Length;
        heap.Return();
        ArrayPool<int>.Shared.Return(rented);
        return kept;

        static int End(Span<int> starts, Span<int> next, int symbol) => starts[next[symbol]];
    }

    /// <summary>A binary heap of (rank, position), smallest first.</summary>
    private struct MergeHeap(int capacity)
    {
        private ulong[] _items = ArrayPool<ulong>.Shared.Rent(capacity);
        private int _count;

        public void Push(int rank, int position)
        {
            if (_count == _items.Length)
            {
                ulong[] larger = ArrayPool<ulong>.Shared.Rent(_count * 2);
                _items.CopyTo(larger, 0);
                Return();
                _items = larger;
            }

            ulong item = ((ulong)(uint)rank << 32) | (uint)position;
            int at = _count++;
            while (at > 0 && _items[(at - 1) >> 1] > item)
            {
                _items[at] = _items[(at - 1) >> 1];
                at = (at - 1) >> 1;
            }

            _items[at] = item;
        }

        public bool TryPop(out int rank, out int position)
        {
            if (_count == 0)
            {
                rank = position = 0;
                return false;
            }

            rank = (int)(_items[0] >> 32);
            position = (int)(uint)_items[0];
            ulong item = _items[--_count];
            int at = 0;
            for (int child = 1; child < _count; child = (2 * at) + 1)
            {
                if (child + 1 < _count && _items[child + 1] < _items[child])
                    child++;
                if (_items[child] >= item)
                    break;
                _items[at] = _items[child];
                at = child;
            }

            _items[at] = item;
            return true;
        }

        public readonly void Return() => ArrayPool<ulong>.Shared.Return(_items);
    }
}
