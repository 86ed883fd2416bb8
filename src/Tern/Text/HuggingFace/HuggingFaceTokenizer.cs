using System.Globalization;
using System.Text.Json;
using Tern.Files;

namespace Tern.Text.HuggingFace;

/// <summary>
/// The tokenizer of a Hugging Face model directory as the keys <c>tokenizer.ggml.*</c> and <c>tokenizer.chat_template</c> that a GGUF file of the same
/// model carries, so that <see cref="Tokenizer"/> and chat templates know only one form.
/// <code>
/// tokenizer.json           model (tokens, merges), added_tokens, normalizer, pre_tokenizer, post_processor      required
/// tokenizer_config.json    names of the special tokens, add_bos_token, add_eos_token, chat_template
/// special_tokens_map.json  the same names                  added_tokens.json  tokens and ids
/// generation_config.json   ids that end an answer          config.json        bos, eos and padding ids
/// chat_template.jinja, chat_template.json, additional_chat_templates/
/// </code>
/// Three kinds of tokenizer.json can be said in GGUF: byte-level byte-pair encoding (model gpt2), and, with U+2581 for a space, byte-pair encoding
/// over characters (model llama) and Unigram (model t5). The files are a stranger's: everything is bounded by their sizes and by the rows of the embedding.
/// </summary>
internal static class HuggingFaceTokenizer
{
    private const string Prefix = "tokenizer.ggml.";
    private const string TokenizerName = "tokenizer.json";
    private const string Unigram = "Unigram";

    /// <summary>Reads the files and writes the keys.</summary>
    /// <param name="directory">The model's directory.</param>
    /// <param name="vocabularySize">Rows of the embedding. A tokenizer with fewer tokens is filled up with unused ones.</param>
    /// <param name="into">Receives the keys.</param>
    /// <param name="warn">Receives one line for everything that GGUF cannot say or that had to be assumed.</param>
    /// <param name="preTokenizer">Names the pre-tokenizer where the file's own is not known.</param>
    /// <param name="limits">What the files may ask for; null for the defaults.</param>
    /// <exception cref="TernException">
    /// File: tokenizer.json is missing; Format: a file is no JSON, or a pattern no regular expression; Semantic: a field cannot be true; Limit: a file
    /// or the vocabulary is too large; Unsupported: another kind of tokenizer, or an unknown pre-tokenizer.
    /// </exception>
    public static void Read(string directory, int vocabularySize, Metadata into, Action<string> warn, string? preTokenizer = null, HuggingFaceLimits? limits = null) =>
        Read(directory, TokenizerName, vocabularySize, into, warn, preTokenizer, limits ?? HuggingFaceLimits.Default);

    /// <summary>Reads a tokenizer without a model: it has as many tokens as its file names.</summary>
    /// <param name="path">A tokenizer.json. Under another name nothing but the file itself is read, since what lies beside it need not belong to it.</param>
    /// <param name="into">Receives the keys.</param>
    /// <param name="warn">Receives one line for everything that GGUF cannot say or that had to be assumed.</param>
    /// <exception cref="TernException">As above.</exception>
    public static void Read(string path, Metadata into, Action<string> warn) =>
        Read(Path.GetDirectoryName(path) is { Length: > 0 } folder ? folder : ".", Path.GetFileName(path), null, into, warn, null, HuggingFaceLimits.Default);

    private static void Read(string directory, string name, int? vocabularySize, Metadata into, Action<string> warn, string? preTokenizer, HuggingFaceLimits limits)
    {
        string path = Path.Combine(directory, name);
        if (vocabularySize is { } given)
            CheckSize(path, given, limits);
        using JsonFile file = JsonFile.Open(directory, name, limits.OfTokenizer)
            ?? throw FileError.Whole(ErrorKind.File, path, "file", "is missing", "save the tokenizer again with `AutoTokenizer.from_pretrained(…).save_pretrained(…)`, which writes it");

        JsonFile? Open(string other) => name == TokenizerName ? JsonFile.Open(directory, other, limits.OfConfiguration) : null;
        using JsonFile? configuration = Open("tokenizer_config.json");
        using JsonFile? map = Open("special_tokens_map.json");
        using JsonFile? generation = Open("generation_config.json");
        using JsonFile? model = Open("config.json");
        using JsonFile? older = Open("added_tokens.json");

        // A file that is absent says nothing, like an empty one.
        JsonField RootOf(JsonFile? found) => found?.Root ?? new JsonField(file, default, "");
        JsonField root = file.Root;
        if (!root.IsObject)
            throw root.Semantic("must be an object");
        CheckKind(root["model"]);

        int rows = vocabularySize ?? CountTokens(root);
        CheckSize(path, rows, limits);
        var tokens = new TokenList(rows);
        var special = new SpecialTokenReader(tokens, RootOf(configuration), RootOf(map), RootOf(generation), RootOf(model), warn);
        bool isUnigram = root["model"]["type"].Text == Unigram;
        if (isUnigram)
            tokens.AddScored(root["model"]["vocab"]);
        else
            tokens.AddVocabulary(root["model"]["vocab"]);
        tokens.AddTokens(root["added_tokens"], warn);
        tokens.AddDecoder(RootOf(configuration)["added_tokens_decoder"], warn);
        if (older is not null)
            tokens.AddOlder(older.Root, special.IsNamed, warn);
        MergeList? merges = isUnigram ? null : MergeList.Read(root["model"]["merges"], warn);
        tokens.Fill(path, warn);

        if (merges is null)
            WriteUnigram(root, tokens, into, warn);
        else if (SpaceRules.IsByteLevel(root))
            WriteByteLevel(root, preTokenizer, into, warn);
        else
            WriteSpaceMarks(root, tokens, merges, into, warn);
        into.Set(Prefix + "tokens", StringTable.From(tokens.Spellings));
        into.Set(Prefix + "token_type", tokens.Kinds.ToArray().Select(kind => (int)kind).ToArray());
        if (merges is not null)
            into.Set(Prefix + "merges", merges.ToTable());
        special.Write(AddedEnds.Read(root["post_processor"], tokens, warn), into);
        if (name == TokenizerName)
            TemplateFiles.Write(directory, RootOf(configuration), limits, into, warn);
    }

    /// <summary>One more than the largest id in the file; what is no id is refused when it is read.</summary>
    private static int CountTokens(JsonField root)
    {
        JsonField vocabulary = root["model"]["vocab"];
        long last = vocabulary.IsArray ? vocabulary.Element.GetArrayLength() - 1 : 0;
        if (vocabulary.IsObject)
            foreach (JsonProperty token in vocabulary.Element.EnumerateObject())
                last = Math.Max(last, new JsonField(root.File, token.Value, vocabulary.Name).Integer ?? 0);
        foreach (JsonField token in root["added_tokens"].Items)
            last = Math.Max(last, token["id"].Integer ?? 0);
        return (int)Math.Min(last, int.MaxValue - 1) + 1;
    }

    private static void CheckSize(string path, int vocabularySize, HuggingFaceLimits limits)
    {
        string count = vocabularySize.ToString(CultureInfo.InvariantCulture);
        if (vocabularySize < 1)
            throw FileError.Whole(ErrorKind.Semantic, path, "key 'vocab_size'", $"the embedding has {count} rows, must have at least one", "take config.json from another source");
        if (vocabularySize > limits.Tokens)
            throw FileError.Whole(ErrorKind.Limit, path, "key 'vocab_size'", $"the embedding has {count} rows, above the limit {nameof(HuggingFaceLimits)}.{nameof(HuggingFaceLimits.Tokens)} of {limits.Tokens.ToString(CultureInfo.InvariantCulture)}", "raise the limit if the model is to be trusted");
    }

    /// <summary>Refuses what is no byte-pair encoding over whole tokens.</summary>
    private static void CheckKind(JsonField model)
    {
        // Files of early versions leave the type out.
        string type = model["type"].Text ?? (model["merges"].Exists ? "BPE" : throw model["type"].Semantic("is missing: the file does not say what kind of tokenizer it holds"));
        if (type is not ("BPE" or Unigram))
            throw model["type"].Error(ErrorKind.Unsupported, $"a tokenizer of the type {FileError.Quote(type)} is not supported, only 'BPE' and 'Unigram' are", "use a model with one of these tokenizers");
        foreach (string affix in new[] { "continuing_subword_prefix", "end_of_word_suffix" })
            if (model[affix].Text is { Length: > 0 } text)
                throw model[affix].Error(ErrorKind.Unsupported, $"is {FileError.Quote(text)}, and tokens that are spelled otherwise inside a word are not supported", "use a model with another tokenizer");
    }

    private static void WriteByteLevel(JsonField root, string? preTokenizer, Metadata into, Action<string> warn)
    {
        SpaceRules.CheckByteLevel(root, warn);
        bool ignoreMerges = root["model"]["ignore_merges"].Flag ?? false;
        if (preTokenizer is not null)
        {
            PreTokenizerPatterns.Check(root["pre_tokenizer"]);
            if (PreTokenizers.Find(preTokenizer) is null)
                throw new TernException(ErrorKind.Unsupported, $"pre-tokenizer {FileError.Quote(preTokenizer)} is not known; known are {PreTokenizers.KnownNames}");
        }

        string name = preTokenizer ?? PreTokenizerPatterns.Name(root["pre_tokenizer"], ignoreMerges, warn);
        into.Set(Prefix + "model", "gpt2");
        into.Set(Prefix + "pre", name);
    }

    /// <summary>
    /// Keys of the other kind. GGUF knows it as SentencePiece, which merges by scores. Merges say more (which two parts may make a token, and which of
    /// two ways to make it comes first), so that they are written too, with a key that says so: Tern goes by them, and other programs by the scores.
    /// </summary>
    private static void WriteSpaceMarks(JsonField root, TokenList tokens, MergeList merges, Metadata into, Action<string> warn)
    {
        JsonField model = root["model"];
        if (model["unk_token"].Text is { } unknown && tokens.Find(unknown) is var id and >= 0)
        {
            tokens.Mark(id, TokenKind.Unknown);
            into.Set(Prefix + "unknown_token_id", (uint)id);
        }

        MarkBytes(model, tokens);
        if (model["ignore_merges"].Flag == true)
            throw model["ignore_merges"].Error(ErrorKind.Unsupported, "is true, which GGUF cannot say of a tokenizer that spells spaces U+2581", "use a model with another tokenizer");

        WriteSpaces("llama", root, tokens, into, warn);
        into.Set(MergeReader.DecideKey, true);

        // An added token with U+2581 stands for text with that character itself; where merges make it as well it stands for spaces.
        HashSet<int> made = merges.Made(tokens);
        for (int token = 0; token < tokens.Count; token++)
            if (tokens.Kinds[token] == TokenKind.UserDefined && made.Contains(token) && tokens[token]!.Contains('▁', StringComparison.Ordinal))
                tokens.Mark(token, TokenKind.Normal);
        into.Set(Prefix + "scores", merges.Scores(tokens));
    }

    /// <summary>Keys of the kind that has no merges but the logarithms of probabilities.</summary>
    private static void WriteUnigram(JsonField root, TokenList tokens, Metadata into, Action<string> warn)
    {
        JsonField model = root["model"];
        long unknown = model["unk_id"].Integer ?? throw model["unk_id"].Semantic("is missing: a Unigram tokenizer must have a token for what is none");
        if (unknown < 0 || unknown >= tokens.Count)
            throw model["unk_id"].Semantic("is no token");
        tokens.Mark((int)unknown, TokenKind.Unknown);
        into.Set(Prefix + "unknown_token_id", (uint)unknown);
        MarkBytes(model, tokens);
        WriteSpaces("t5", root, tokens, into, warn);
        into.Set(Prefix + "remove_extra_whitespaces", false);
        into.Set(Prefix + "add_eos_token", false); // what other readers assume is the opposite
        into.Set(Prefix + "scores", tokens.Scores());
    }

    private static void WriteSpaces(string kind, JsonField root, TokenList tokens, Metadata into, Action<string> warn)
    {
        bool prefix = SpaceRules.AddSpacePrefix(root, warn, () => !tokens.Spellings.Any(token => token.IndexOf('▁', Math.Min(1, token.Length)) > 0));
        into.Set(Prefix + "model", kind);
        into.Set(Prefix + "pre", "default");
        into.Set(Prefix + "add_space_prefix", prefix);
    }

    private static void MarkBytes(JsonField model, TokenList tokens)
    {
        if (model["byte_fallback"].Flag != true)
            return;
        for (int value = 0; value < 256; value++)
            if (tokens.Find(string.Create(CultureInfo.InvariantCulture, $"<0x{value:X2}>")) is var id and >= 0)
                tokens.Mark(id, TokenKind.Byte);
    }
}
