using System.Buffers;
using System.Globalization;
using System.Text;
using Tern.Files;

namespace Tern.Text;

/// <summary>
/// Text to token ids and back, as the model's metadata define it: byte-level byte-pair encoding (<c>tokenizer.ggml.model</c> = gpt2), SentencePiece
/// (llama) and SentencePiece's Unigram (t5). Immutable after load, so any number of threads may use one.
/// </summary>
internal sealed class Tokenizer
{
    /// <summary>Longest text that is encoded at once, in UTF-8 bytes.</summary>
    public const int TextBytesMax = 1 << 28;

    private const string ModelKey = "tokenizer.ggml.model";
    private const string PreKey = "tokenizer.ggml.pre";

    private readonly Vocabulary _vocabulary;
    private readonly TextEncoder _encoder;
    private readonly SpecialIds _special;
    private readonly SpecialTokens _userDefined;
    private readonly SpecialTokens _allSpecial;

    private Tokenizer(Vocabulary vocabulary, TextEncoder encoder, SpecialIds special)
    {
        _vocabulary = vocabulary;
        _encoder = encoder;
        _special = special;

        IEnumerable<int> Of(params TokenKind[] kinds) => Enumerable.Range(0, vocabulary.Count).Where(id => kinds.Contains(vocabulary.Kinds[id]));
        _userDefined = new SpecialTokens(vocabulary.Spellings, Of(TokenKind.UserDefined));
        _allSpecial = new SpecialTokens(vocabulary.Spellings, Of(TokenKind.UserDefined, TokenKind.Control, TokenKind.Unknown));
    }

    /// <summary>Number of tokens.</summary>
    public int Count => _vocabulary.Count;

    /// <summary>Beginning-of-sequence id, or -1.</summary>
    public int Bos => _special.Bos;

    /// <summary>End-of-sequence id, or -1.</summary>
    public int Eos => _special.Eos;

    /// <summary>Ids after which generation stops: those that keys name, and the end tokens that the chat formats in use spell.</summary>
    public IReadOnlySet<int> StopIds => _special.Stops;

    /// <summary>Reads <c>tokenizer.ggml.*</c>.</summary>
    /// <param name="metadata">A model's keys.</param>
    /// <param name="warn">Receives one line for everything that had to be assumed.</param>
    /// <param name="preTokenizer">Overrides <c>tokenizer.ggml.pre</c>.</param>
    /// <exception cref="TernException">Semantic: a key is missing or cannot be true; Unsupported: another kind of tokenizer or an unknown pre-tokenizer; Limit: a token is too long.</exception>
    public static Tokenizer From(Metadata metadata, Action<string> warn, string? preTokenizer = null)
    {
        string model = metadata.String(ModelKey)
            ?? throw metadata.Missing(ModelKey, "it must be 'gpt2' (byte-level BPE), 'llama' (SentencePiece) or 't5' (Unigram)");
        switch (model)
        {
            case "gpt2":
                {
                    Vocabulary vocabulary = Vocabulary.Read(metadata, bytePair: true, warn);
                    vocabulary.CheckScores(metadata);
                    PreTokenizer pre = ChoosePreTokenizer(metadata, vocabulary, preTokenizer, warn);
                    SpecialIds special = SpecialIds.Read(metadata, vocabulary, new SpecialDefaults(vocabulary.FindSpelling("<|begin_of_text|>"u8), -1, -1, pre.AddBos, AddEos: false));
                    return new Tokenizer(vocabulary, TextEncoder.BytePair(vocabulary, pre, metadata, special.Unknown, warn), special);
                }

            case "llama":
                {
                    if (preTokenizer is not null)
                        warn($"{metadata.Path}: pre-tokenizer '{preTokenizer}' has no effect, because a SentencePiece tokenizer has none");
                    Vocabulary vocabulary = Vocabulary.Read(metadata, bytePair: false, warn);
                    SpecialIds special = SpecialIds.Read(metadata, vocabulary, new SpecialDefaults(1, 2, 0, AddBos: true, AddEos: false));
                    bool prefix = metadata.Boolean("tokenizer.ggml.add_space_prefix") ?? true;
                    return new Tokenizer(vocabulary, TextEncoder.SentencePiece(vocabulary, metadata, prefix, special.Unknown, warn), special);
                }

            case "t5":
                {
                    RefuseNormalizing(metadata);
                    if (preTokenizer is not null)
                        warn($"{metadata.Path}: pre-tokenizer '{preTokenizer}' has no effect, because a Unigram tokenizer has none");
                    Vocabulary vocabulary = Vocabulary.Read(metadata, bytePair: false, warn);
                    SpecialIds special = SpecialIds.Read(metadata, vocabulary, new SpecialDefaults(-1, 1, 2, AddBos: false, AddEos: true));
                    bool prefix = metadata.Boolean("tokenizer.ggml.add_space_prefix") ?? true;
                    return new Tokenizer(vocabulary, TextEncoder.Unigram(vocabulary, metadata, prefix, special.Unknown), special);
                }

            default:
                throw Vocabulary.Refuse(
                    metadata, ErrorKind.Unsupported, metadata.Find(ModelKey)!, $"the tokenizer '{model}' is not supported, only 'gpt2', 'llama' and 't5' are");
        }
    }

    /// <summary>Ids of <paramref name="text"/>; half surrogate pairs count as U+FFFD.</summary>
    /// <param name="text">Any text.</param>
    /// <param name="addSpecial">Add BOS/EOS where the metadata say so.</param>
    /// <param name="parseSpecial">Read control tokens such as &lt;|eot_id|&gt; in the text as tokens instead of characters.</param>
    /// <exception cref="TernException">Limit: the text is longer than <see cref="TextBytesMax"/>.</exception>
    public int[] Encode(string text, bool addSpecial = true, bool parseSpecial = false)
    {
        int length = text.Length <= TextBytesMax ? Encoding.UTF8.GetByteCount(text) : int.MaxValue;
        if (length > TextBytesMax)
        {
            throw new TernException(
                ErrorKind.Limit,
                string.Create(CultureInfo.InvariantCulture, $"the text is longer than the limit of {TextBytesMax} bytes per call; encode it in parts"));
        }

        byte[] utf8 = ArrayPool<byte>.Shared.Rent(length);
        Encoding.UTF8.GetBytes(text, utf8);
        var session = new EncodeSession(_encoder, length);
        if (addSpecial && _special.AddBos)
            session.Append(Bos);
        AppendParts(ref session, utf8.AsSpan(0, length), parseSpecial ? _allSpecial : _userDefined);
        if (addSpecial && _special.AddEos)
            session.Append(Eos);

        int[] ids = session.Ids.ToArray();
        session.Return();
        ArrayPool<byte>.Shared.Return(utf8);
        return ids;
    }

    /// <summary>The bytes that a token stands for.</summary>
    /// <param name="id">In [0, Count).</param>
    /// <param name="special">Whether control tokens give their text instead of nothing.</param>
    /// <exception cref="TernException">Request: there is no such token.</exception>
    public ReadOnlySpan<byte> Bytes(int id, bool special = false)
    {
        if ((uint)id >= (uint)Count)
            throw new TernException(ErrorKind.Request, string.Create(CultureInfo.InvariantCulture, $"token id {id} is outside [0, {Count - 1}]"));
        bool hidden = _vocabulary.Kinds[id] is TokenKind.Control or TokenKind.Unknown or TokenKind.Unused;
        return hidden && !special ? [] : _vocabulary.Bytes[id];
    }

    /// <summary>
    /// Text of ids; invalid UTF-8 becomes U+FFFD, one for each maximal part of a character. Where encoding puts a space in front of a text, the one
    /// at the very start is dropped again.
    /// </summary>
    public string Decode(ReadOnlySpan<int> ids, bool special = false)
    {
        var decoder = new StreamingDecoder(this, special);
        var text = new StringBuilder();
        foreach (int id in ids)
            decoder.Append(id, text);
        return text.Append(decoder.Flush()).ToString();
    }

    /// <summary>The bytes that a token adds to a text.</summary>
    /// <param name="id">In [0, Count).</param>
    /// <param name="special">Whether control tokens give their text.</param>
    /// <param name="atStart">Whether nothing was added before; cleared when something is.</param>
    public ReadOnlySpan<byte> Next(int id, bool special, ref bool atStart)
    {
        ReadOnlySpan<byte> bytes = Bytes(id, special);
        if (!atStart || bytes.IsEmpty)
            return bytes;
        atStart = false;
        return _encoder.AddSpacePrefix && bytes[0] == ' ' ? bytes[1..] : bytes;
    }

    private void AppendParts(ref EncodeSession session, ReadOnlySpan<byte> utf8, SpecialTokens tokens)
    {
        bool prefix = _encoder.AddSpacePrefix;
        for (int at = 0; at < utf8.Length;)
        {
            int id = tokens.Next(utf8, at, out int found);
            if (found > at)
                session.AppendText(utf8[at..found], prefix);
            at = found;
            if (id >= 0)
            {
                session.Append(id);
                at += _vocabulary.Spellings[id].Length;
            }
        }
    }

    /// <summary>Unigram files may carry a table that rewrites text before it is cut; without it ids would be wrong, and so they are refused.</summary>
    private static void RefuseNormalizing(Metadata metadata)
    {
        const string table = "tokenizer.ggml.precompiled_charsmap", spaces = "tokenizer.ggml.remove_extra_whitespaces";
        if (metadata.Find(table) is { Value: Array { Length: > 0 } } entry)
            throw Vocabulary.Refuse(metadata, ErrorKind.Unsupported, entry, $"a table that normalizes text is not supported; use a model with another tokenizer");
        if (metadata.Boolean(spaces) == true)
            throw Vocabulary.Refuse(metadata, ErrorKind.Unsupported, metadata.Find(spaces)!, $"to remove spaces from text is not supported; use a model with another tokenizer");
    }

    private static PreTokenizer ChoosePreTokenizer(Metadata metadata, Vocabulary vocabulary, string? preTokenizer, Action<string> warn)
    {
        if (preTokenizer is not null)
        {
            return PreTokenizers.Find(preTokenizer)
                ?? throw new TernException(ErrorKind.Unsupported, $"pre-tokenizer '{preTokenizer}' is not known; known are {PreTokenizers.KnownNames}");
        }

        if (metadata.String(PreKey) is { Length: > 0 } name)
        {
            return PreTokenizers.Find(name) ?? throw Vocabulary.Refuse(
                metadata,
                ErrorKind.Unsupported,
                metadata.Find(PreKey)!,
                $"the pre-tokenizer '{name}' is not known, and another would give wrong tokens; known are {PreTokenizers.KnownNames}; choose one with --pre NAME");
        }

        (string assumed, string because) = Guess(vocabulary);
        warn($"{metadata.Path}: key '{PreKey}' is missing; assuming '{assumed}', because {because}; --pre NAME chooses another");
        return PreTokenizers.Find(assumed)!;
    }

    /// <summary>The pre-tokenizer of a byte-pair vocabulary whose file names none, if its tokens name its family; else null.</summary>
    /// <exception cref="TernException">The vocabulary cannot be read.</exception>
    public static string? GuessPreTokenizer(Metadata metadata)
    {
        string name = Guess(Vocabulary.Read(metadata, bytePair: true, _ => { })).Name;
        return name == "default" ? null : PreTokenizers.Find(name)!.Name;
    }

    /// <summary>Which family a vocabulary without a name belongs to. The official BitNet 2B-4T file is such a one.</summary>
    private static (string Name, string Because) Guess(Vocabulary vocabulary)
    {
        if (vocabulary.FindSpelling("<|begin_of_text|>"u8) >= 0 && vocabulary.FindSpelling("<|eot_id|>"u8) >= 0)
            return ("llama3", "the vocabulary has Llama 3's <|begin_of_text|> and <|eot_id|>");
        if (vocabulary.FindSpelling("<|im_start|>"u8) >= 0 && vocabulary.FindSpelling("<|endoftext|>"u8) >= 0)
            return ("qwen2", "the vocabulary has Qwen's <|im_start|> and <|endoftext|>");
        return ("default", "the vocabulary has no token that names its family");
    }
}
