namespace Tern.Training.Vocabulary;

/// <summary>
/// Byte-pair encoding learned from word counts (Sennrich, Haddow and Birch 2016, on bytes as in GPT-2): the most frequent pair of neighbouring
/// symbols becomes a symbol, again and again. Symbols 0 to 255 are the bytes; merge i makes symbol 256 + i.
/// </summary>
/// <remarks>
/// Counts change only in the words that hold the merged pair, so a merge costs as much as these words are long. Pairs that overlap themselves
/// ("aaa" has "aa" twice) count at every place, and merge from the left, as the encoder will.
/// </remarks>
internal sealed class BytePairTrainer
{
    /// <summary>A pair that occurs only once teaches nothing.</summary>
    private const long CountMin = 2;

    private readonly int[] _symbols; // all words one after the other; each shrinks in its place
    private readonly int[] _starts; // [words]
    private readonly int[] _lengths; // [words]
    private readonly long[] _wordCounts; // [words]
    private readonly PairCounts _pairs = new();
    private readonly HashSet<(int Left, int Right)> _raised = [];

    private BytePairTrainer(WordCounts words)
    {
        int count = words.Distinct;
        _starts = new int[count];
        _lengths = new int[count];
        _wordCounts = new long[count];
        _symbols = new int[checked((int)words.All.Sum(word => (long)word.Key.Length))];
        int at = 0;
        int index = 0;
        foreach ((byte[] word, long occurrences) in words.All)
        {
            (_starts[index], _lengths[index], _wordCounts[index]) = (at, word.Length, occurrences);
            foreach (byte value in word)
                _symbols[at++] = value;
            CountPairs(index++);
        }

        _pairs.Start();
    }

    /// <summary>Learns merges.</summary>
    /// <param name="words">The corpus.</param>
    /// <param name="mergesMax">Most merges to learn; fewer when no pair occurs twice any more.</param>
    /// <param name="progress">Receives the share of merges that is learned, in [0, 1].</param>
    /// <param name="cancellation">Ends the work between two merges.</param>
    /// <returns>The merges in their order.</returns>
    public static List<(int Left, int Right)> Learn(WordCounts words, int mergesMax, Action<double> progress, CancellationToken cancellation)
    {
        var trainer = new BytePairTrainer(words);
        var merges = new List<(int, int)>(mergesMax);
        while (merges.Count < mergesMax && trainer._pairs.TryTake(out int left, out int right, out long count) && count >= CountMin)
        {
            cancellation.ThrowIfCancellationRequested();
            merges.Add((left, right));
            trainer.Merge(left, right, byte.MaxValue + merges.Count);
            progress((double)merges.Count / mergesMax);
        }

        return merges;
    }

    private void Merge(int left, int right, int merged)
    {
        foreach (int word in _pairs.TakeWords(left, right))
        {
            ForgetPairs(word);
            MergeWord(word, left, right, merged);
            RecallPairs(word, merged);
        }

        foreach ((int raisedLeft, int raisedRight) in _raised)
            _pairs.Raised(raisedLeft, raisedRight);
        _raised.Clear();
    }

    private void CountPairs(int word)
    {
        ReadOnlySpan<int> symbols = Symbols(word);
        for (int i = 0; i + 1 < symbols.Length; i++)
            _pairs.Change(symbols[i], symbols[i + 1], _wordCounts[word], newIn: word);
    }

    private void ForgetPairs(int word)
    {
        ReadOnlySpan<int> symbols = Symbols(word);
        for (int i = 0; i + 1 < symbols.Length; i++)
            _pairs.Change(symbols[i], symbols[i + 1], -_wordCounts[word], newIn: -1);
    }

    /// <summary>Counts a word's pairs again. Only those with the merged symbol are new in it, and only they can have become more frequent.</summary>
    private void RecallPairs(int word, int merged)
    {
        ReadOnlySpan<int> symbols = Symbols(word);
        for (int i = 0; i + 1 < symbols.Length; i++)
        {
            bool isNew = symbols[i] == merged || symbols[i + 1] == merged;
            _pairs.Change(symbols[i], symbols[i + 1], _wordCounts[word], isNew ? word : -1);
            if (isNew)
                _raised.Add((symbols[i], symbols[i + 1]));
        }
    }

    private ReadOnlySpan<int> Symbols(int word) => _symbols.AsSpan(_starts[word], _lengths[word]);

    private void MergeWord(int word, int left, int right, int merged)
    {
        Span<int> symbols = _symbols.AsSpan(_starts[word], _lengths[word]);
        int kept = 0;
        for (int i = 0; i < symbols.Length; i++)
        {
            bool merges = symbols[i] == left && i + 1 < symbols.Length && symbols[i + 1] == right;
            symbols[kept++] = merges ? merged : symbols[i];
            i += merges ? 1 : 0;
        }

        _lengths[word] = kept;
    }
}
