using System.Globalization;
using Tern.Files;

namespace Tern.Text;

/// <summary>What a token is, with the numbers of <c>tokenizer.ggml.token_type</c>.</summary>
internal enum TokenKind : byte
{
    /// <summary>Not said.</summary>
    Undefined = 0,

    /// <summary>Text.</summary>
    Normal = 1,

    /// <summary>Stands for text that no token covers.</summary>
    Unknown = 2,

    /// <summary>Marks structure; invisible in decoded text.</summary>
    Control = 3,

    /// <summary>Text that is matched as a whole wherever it appears.</summary>
    UserDefined = 4,

    /// <summary>Padding of the vocabulary.</summary>
    Unused = 5,

    /// <summary>One byte, spelled <c>&lt;0xXX&gt;</c>.</summary>
    Byte = 6,
}

/// <summary>
/// The tokens of a model file, checked: <c>tokenizer.ggml.tokens</c>, <c>.token_type</c> and <c>.scores</c>, with the bytes that every token
/// stands for and a table to find tokens by those bytes.
/// </summary>
internal sealed class Vocabulary
{
    /// <summary>Longest token that is accepted, in bytes.</summary>
    public const int TokenBytesMax = 65_535;

    private const string TokensKey = "tokenizer.ggml.tokens";
    private const string TypesKey = "tokenizer.ggml.token_type";
    private const string ScoresKey = "tokenizer.ggml.scores";

    private Vocabulary(StringTable spellings, StringTable bytes, TokenKind[] kinds, TokenTable table, int[] byteIds)
    {
        Spellings = spellings;
        Bytes = bytes;
        Kinds = kinds;
        Table = table;
        ByteIds = byteIds;
    }

    /// <summary>Number of tokens.</summary>
    public int Count => Kinds.Length;

    /// <summary>Tokens as the file spells them.</summary>
    public StringTable Spellings { get; }

    /// <summary>The bytes that tokens stand for in decoded text.</summary>
    public StringTable Bytes { get; }

    /// <summary>What tokens are.</summary>
    public TokenKind[] Kinds { get; }

    /// <summary>
    /// Ids of tokens that text can become by merging, which leaves out control, unknown and byte tokens. The keys are what the encoder works on:
    /// decoded bytes for byte-pair vocabularies, spellings (with U+2581 for a space) for SentencePiece.
    /// </summary>
    public TokenTable Table { get; }

    /// <summary>The token of every byte value, or -1.</summary>
    public int[] ByteIds { get; }

    /// <summary>Reads and checks a vocabulary.</summary>
    /// <param name="metadata">A model's keys.</param>
    /// <param name="bytePair">Whether normal tokens are spelled in <see cref="ByteAlphabet"/> rather than in SentencePiece's way.</param>
    /// <param name="warn">Receives one line for everything unusual.</param>
    /// <exception cref="TernException">A key is missing, of the wrong type or length, or a token is malformed.</exception>
    public static Vocabulary Read(Metadata metadata, bool bytePair, Action<string> warn)
    {
        StringTable spellings = metadata.Strings(TokensKey) ?? throw metadata.Missing(TokensKey, "convert the model again with its tokenizer");
        MetadataEntry entry = metadata.Find(TokensKey)!;
        if (spellings.Count == 0)
            throw metadata.Semantic(entry, "is empty, must hold at least one token");

        int total = 0;
        int empty = 0;
        for (int id = 0; id < spellings.Count; id++)
        {
            int length = spellings[id].Length;
            if (length > TokenBytesMax)
                throw Refuse(metadata, ErrorKind.Limit, entry, $"token {id} has {length} bytes, more than the limit of {TokenBytesMax} bytes per token");
            total += length;
            empty += length == 0 ? 1 : 0;
        }

        if (empty > 0)
            warn(Text($"{metadata.Path}: key '{TokensKey}': {empty} tokens are empty and will never be produced from text"));

        TokenKind[] kinds = ReadKinds(metadata, spellings.Count);
        var bytes = new byte[total];
        var offsets = new int[spellings.Count + 1];
        var byteIds = new int[256];
        Array.Fill(byteIds, -1);
        var decodes = new bool[spellings.Count];
        for (int id = 0; id < spellings.Count; id++)
        {
            Span<byte> room = bytes.AsSpan(offsets[id]);
            ReadOnlySpan<byte> spelling = spellings[id];
            int count = spelling.Length;
            if (kinds[id] == TokenKind.Byte)
            {
                room[0] = ParseByte(metadata, entry, id, spelling);
                count = 1;
                byteIds[room[0]] = id;
            }
            else if (kinds[id] != TokenKind.Normal)
            {
                spelling.CopyTo(room);
                decodes[id] = kinds[id] is TokenKind.UserDefined or TokenKind.Unused or TokenKind.Undefined;
            }
            else if (!bytePair)
            {
                count = Unescape(spelling, room);
                decodes[id] = true;
            }
            else if (ByteAlphabet.TryDecode(spelling, room, out int decoded))
            {
                count = decoded;
                decodes[id] = true;
            }
            else
            {
                spelling.CopyTo(room);
            }

            offsets[id + 1] = offsets[id] + count;
        }

        var table = new StringTable(bytes, offsets);
        var vocabulary = new Vocabulary(spellings, table, kinds, new TokenTable(bytePair ? table : spellings), byteIds);
        vocabulary.Fill(metadata, entry, decodes, bytePair);
        return vocabulary;
    }

    /// <summary>The first token that is spelled so, or -1. Reads the whole vocabulary: for use at load.</summary>
    public int FindSpelling(ReadOnlySpan<byte> spelling)
    {
        for (int id = 0; id < Count; id++)
            if (Spellings[id].SequenceEqual(spelling))
                return id;
        return -1;
    }

    /// <summary>
    /// Merge ranks for SentencePiece: 0 for the tokens with the highest score, equal for equal scores; all 0 when the file has no scores.
    /// </summary>
    public int[] ScoreRanks(Metadata metadata, Action<string> warn)
    {
        var ranks = new int[Count];
        if (Scores(metadata) is not { } scores)
        {
            warn($"{metadata.Path}: key '{ScoresKey}' is missing; assuming equal scores, so that text is merged from the left");
            return ranks;
        }

        int[] ids = [.. Enumerable.Range(0, Count)];
        Array.Sort([.. scores.Select(score => -score)], ids);
        for (int i = 1; i < ids.Length; i++)
            ranks[ids[i]] = ranks[ids[i - 1]] + (scores[ids[i]] == scores[ids[i - 1]] ? 0 : 1);
        return ranks;
    }

    /// <summary>What cuts text into the most probable tokens.</summary>
    /// <exception cref="TernException">Scores are missing or infinite, or a token is too long for this kind of tokenizer.</exception>
    public UnigramRule Unigram(Metadata metadata)
    {
        if (Table.LongestBytes > UnigramRule.TokenBytesMax)
            throw Refuse(metadata, ErrorKind.Limit, metadata.Find(TokensKey)!, $"has a token of {Table.LongestBytes} bytes, more than the limit {nameof(UnigramRule)}.{nameof(UnigramRule.TokenBytesMax)} of {UnigramRule.TokenBytesMax}; take the file from another source");
        float[] scores = Scores(metadata) ?? throw metadata.Missing(ScoresKey, "a Unigram tokenizer cannot work without scores, convert the model again with its tokenizer");
        float least = 0;
        for (int id = 0; id < Count; id++)
        {
            if (!float.IsFinite(scores[id]))
                throw metadata.Semantic(metadata.Find(ScoresKey)!, Text($"the score of token {id} is infinite"));
            if (Kinds[id] == TokenKind.Normal)
                least = Math.Min(least, scores[id]);
        }

        return new UnigramRule(Table, scores, least);
    }

    private float[]? Scores(Metadata metadata)
    {
        if (metadata.Find(ScoresKey) is not { } entry)
            return null;
        float[] scores = entry.Value switch
        {
            int[] values => [.. values.Select(value => (float)value)],
            _ => metadata.Array<float>(ScoresKey)!,
        };
        CheckLength(metadata, entry, scores.Length);
        int notNumber = Array.FindIndex(scores, float.IsNaN);
        if (notNumber >= 0)
            throw metadata.Semantic(entry, Text($"the score of token {notNumber} is not a number"));
        return scores;
    }

    /// <summary>Checks a key that a byte-pair file may carry although nothing reads it.</summary>
    public void CheckScores(Metadata metadata)
    {
        if (metadata.Find(ScoresKey) is { } entry)
            CheckLength(metadata, entry, entry.Value is Array { Length: var length } ? length : -1);
    }

    /// <summary>An error of another kind than Semantic that names key, offset and value.</summary>
    public static TernException Refuse(Metadata metadata, ErrorKind kind, MetadataEntry entry, FormattableString what) =>
        new(kind, Text($"{metadata.Path}: key '{entry.Key}' at offset {entry.Offset}: ") + Text(what));

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);

    private static TokenKind[] ReadKinds(Metadata metadata, int count)
    {
        var kinds = new TokenKind[count];
        if (metadata.Find(TypesKey) is not { } entry)
        {
            Array.Fill(kinds, TokenKind.Normal);
            return kinds;
        }

        int[] types = metadata.Array<int>(TypesKey)!;
        if (types.Length != count)
            throw metadata.Semantic(entry, Text($"has {types.Length} values, must have one for each of the {count} tokens of '{TokensKey}'"));
        for (int id = 0; id < count; id++)
        {
            if ((uint)types[id] > (uint)TokenKind.Byte)
                throw metadata.Semantic(entry, Text($"the type of token {id} is {types[id]}, must be in [0, {(int)TokenKind.Byte}]"));
            kinds[id] = (TokenKind)types[id];
        }

        return kinds;
    }

    private void CheckLength(Metadata metadata, MetadataEntry entry, int length)
    {
        if (length != Count)
            throw metadata.Semantic(entry, Text($"has {length} values, must have one for each of the {Count} tokens of '{TokensKey}'"));
    }

    private static byte ParseByte(Metadata metadata, MetadataEntry entry, int id, ReadOnlySpan<byte> spelling)
    {
        if (spelling.Length == 6 && spelling.StartsWith("<0x"u8) && spelling[5] == '>' && !spelling[3..5].ContainsAnyInRange((byte)'a', (byte)'f')
            && byte.TryParse(spelling[3..5], NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out byte value))
            return value;
        throw metadata.Semantic(entry, Text($"token {id} is a byte token but is not spelled <0xXX> with two digits of 0-9 and A-F"));
    }

    private void Fill(Metadata metadata, MetadataEntry entry, bool[] decodes, bool bytePair)
    {
        for (int id = 0; id < Count; id++)
        {
            if (!decodes[id] || Spellings[id].Length == 0)
                continue;
            int other = Table.Add(id);
            if (other >= 0 && Spellings[id].SequenceEqual(Spellings[other]))
                throw metadata.Semantic(entry, Text($"tokens {other} and {id} are spelled the same"));
        }

        Span<byte> single = stackalloc byte[1];
        for (int value = 0; value < 256; value++)
        {
            single[0] = (byte)value;
            int id = Table.Find(single);
            if (id >= 0 && (bytePair || ByteIds[value] < 0))
                ByteIds[value] = id;
        }
    }

    private static int Unescape(ReadOnlySpan<byte> spelling, Span<byte> room)
    {
        int count = 0;
        while (spelling.Length > 0)
        {
            bool space = spelling.StartsWith(Scanners.SpaceMark);
            room[count++] = space ? (byte)' ' : spelling[0];
            spelling = spelling[(space ? Scanners.SpaceMark.Length : 1)..];
        }

        return count;
    }
}
