using Tern.Files;

namespace Tern.Text;

/// <summary>
/// Everything that encoding needs and that never changes after load: the vocabulary, what merges, and how text is cut. Byte-pair encoders work on
/// the text's own bytes; SentencePiece encoders on text in which U+2581 replaces the space.
/// </summary>
internal sealed class TextEncoder
{
    private readonly MergeTable? _merges;
    private readonly UnigramRule? _unigram;
    private readonly int[] _scoreRanks = [];
    private readonly bool _ignoreMerges;

    private TextEncoder(Vocabulary vocabulary, Scanner[] stages, int unknown)
    {
        Vocabulary = vocabulary;
        Stages = stages;
        Unknown = unknown;
    }

    private TextEncoder(Vocabulary vocabulary, PreTokenizer preTokenizer, MergeTable merges, int unknown)
        : this(vocabulary, preTokenizer.Stages, unknown)
    {
        _merges = merges;
        _ignoreMerges = preTokenizer.IgnoreMerges;
    }

    private TextEncoder(Vocabulary vocabulary, MergeTable? merges, int[] scoreRanks, UnigramRule? unigram, bool addSpacePrefix, int unknown)
        : this(vocabulary, HasInnerSpace(vocabulary) ? [] : [Scanners.SpaceWord], unknown)
    {
        _merges = merges;
        _scoreRanks = scoreRanks;
        _unigram = unigram;
        EscapesSpaces = true;
        AddSpacePrefix = addSpacePrefix;
    }

    /// <summary>The tokens.</summary>
    public Vocabulary Vocabulary { get; }

    /// <summary>How a text is cut into words, stage by stage; none when it is one word.</summary>
    public Scanner[] Stages { get; }

    /// <summary>What stands for text without tokens, or -1 when such text is dropped.</summary>
    public int Unknown { get; }

    /// <summary>Whether spaces become U+2581 before encoding.</summary>
    public bool EscapesSpaces { get; }

    /// <summary>Whether a space is put in front of a text and of what follows a special token.</summary>
    public bool AddSpacePrefix { get; }

    /// <summary>A byte-pair encoder.</summary>
    public static TextEncoder BytePair(Vocabulary vocabulary, PreTokenizer preTokenizer, Metadata metadata, int unknown, Action<string> warn)
    {
        int missing = vocabulary.ByteIds.Count(id => id < 0);
        if (missing > 0)
        {
            string fate = unknown < 0 ? "is dropped" : "becomes the unknown token";
            warn($"{metadata.Path}: the vocabulary has no token for {missing} of the 256 bytes; text with such bytes {fate}");
        }

        return new TextEncoder(vocabulary, preTokenizer, MergeReader.Read(metadata, vocabulary, bytePair: true, warn), unknown);
    }

    /// <summary>
    /// A SentencePiece encoder. It merges by scores, or by merges where the file says that these decide (<see cref="MergeReader.DecideKey"/>), as
    /// what comes from a Hugging Face tokenizer.json does, because that is what its scores were made from.
    /// </summary>
    public static TextEncoder SentencePiece(Vocabulary vocabulary, Metadata metadata, bool addSpacePrefix, int unknown, Action<string> warn)
    {
        if (metadata.Boolean(MergeReader.DecideKey) != true)
            return new TextEncoder(vocabulary, null, vocabulary.ScoreRanks(metadata, warn), null, addSpacePrefix, unknown);
        vocabulary.CheckScores(metadata);
        return new TextEncoder(vocabulary, MergeReader.Read(metadata, vocabulary, bytePair: false, warn), [], null, addSpacePrefix, unknown);
    }

    /// <summary>An encoder that looks for the most probable tokens.</summary>
    public static TextEncoder Unigram(Vocabulary vocabulary, Metadata metadata, bool addSpacePrefix, int unknown) =>
        new(vocabulary, null, [], vocabulary.Unigram(metadata), addSpacePrefix, unknown);

    /// <summary>The id of a word that needs no merging, or -1.</summary>
    public int WholeWord(ReadOnlySpan<byte> word, uint hash) => _ignoreMerges ? Vocabulary.Table.Find(word, hash) : -1;

    /// <summary>Cuts a word into the symbols that merging starts from: bytes, or characters in SentencePiece.</summary>
    /// <param name="word">At least one byte.</param>
    /// <param name="ids">Receives the ids, or -1; room for one per byte.</param>
    /// <param name="starts">Receives where they begin and, behind the last, the word's length.</param>
    /// <returns>Number of symbols.</returns>
    public int Symbols(ReadOnlySpan<byte> word, Span<int> ids, Span<int> starts)
    {
        int count = 0;
        for (int at = 0; at < word.Length; count++)
        {
            int length = 1;
            if (EscapesSpaces)
            {
                CharacterClasses.CodePoint(word, at, out length);
                ids[count] = Vocabulary.Table.Find(word.Slice(at, length));
            }
            else
            {
                ids[count] = Vocabulary.ByteIds[word[at]];
            }

            starts[count] = at;
            at += length;
        }

        starts[count] = word.Length;
        return count;
    }

    /// <summary>Joins symbols to tokens in place; returns how many are left.</summary>
    public int Merge(ReadOnlySpan<byte> word, Span<int> ids, Span<int> starts)
    {
        if (_unigram is not null)
            return _unigram.Segment(word, ids, starts);
        bool isShort = ids.Length <= WordMerger.ShortSymbols;
        if (_merges is not null)
        {
            var rule = new PairRule(_merges);
            return isShort ? WordMerger.MergeShort(rule, word, ids, starts) : WordMerger.MergeLong(rule, word, ids, starts);
        }
        else
        {
            var rule = new ScoreRule(Vocabulary.Table, _scoreRanks);
            return isShort ? WordMerger.MergeShort(rule, word, ids, starts) : WordMerger.MergeLong(rule, word, ids, starts);
        }
    }

    /// <summary>Whether some token goes on after a space, so that merges may cross from one word to the next.</summary>
    private static bool HasInnerSpace(Vocabulary vocabulary)
    {
        for (int id = 0; id < vocabulary.Count; id++)
        {
            ReadOnlySpan<byte> spelling = vocabulary.Spellings[id];
            if (vocabulary.Kinds[id] is not (TokenKind.Control or TokenKind.Unknown or TokenKind.Byte)
                && spelling.Length > 0 && Scanners.SpaceWord(spelling, 0) < spelling.Length)
                return true;
        }

        return false;
    }
}
