using System.Text.Json;
using Tern.Files;
using Tern.Text;
using Tern.Text.HuggingFace;

namespace Tern.Conversion.HuggingFace;

/// <summary>Writes <c>tokenizer.json</c> and <c>tokenizer_config.json</c> from the keys of a GGUF file.</summary>
internal sealed class TokenizerJson
{
    private const string Prefix = "tokenizer.ggml.", TemplateKey = "tokenizer.chat_template", Mark = "▁";

    private readonly Metadata _metadata;
    private readonly Tokenizer _tokenizer;
    private readonly StringTable _tokens;
    private readonly int[] _kinds;
    private readonly bool _addsBos;
    private readonly bool _addsEos;

    /// <exception cref="TernException">The tokenizer is Unigram, whose unused ids that file cannot say.</exception>
    public TokenizerJson(Metadata metadata, Tokenizer tokenizer)
    {
        if (metadata.String(Prefix + "model") == "t5")
            throw metadata.Semantic(metadata.Find(Prefix + "model")!, "a Unigram tokenizer (t5) cannot be written as tokenizer.json; take that file from the model's checkpoint");
        (_metadata, _tokenizer) = (metadata, tokenizer);
        _tokens = metadata.Strings(Prefix + "tokens")!;
        _kinds = metadata.Array<int>(Prefix + "token_type") ?? [.. Enumerable.Repeat((int)TokenKind.Normal, _tokens.Count)];

        // What is added around a text shows on the empty one.
        int[] around = tokenizer.Encode("");
        _addsBos = around.Length > 0 && around[0] == tokenizer.Bos;
        _addsEos = around.Length > 0 && around[^1] == tokenizer.Eos && (around.Length > 1 || !_addsBos);
    }

    /// <summary>Writes the tokenizer alone to a file.</summary>
    /// <exception cref="TernException">The file cannot be written, or the pre-tokenizer has no known form as patterns.</exception>
    public static void WriteFile(string path, Metadata metadata)
    {
        string full = Path.GetFullPath(path);
        HuggingFaceExport.WriteJson(Path.GetDirectoryName(full)!, Path.GetFileName(full), new TokenizerJson(metadata, Tokenizer.From(metadata, _ => { })).Write);
    }

    private bool IsByteLevel => _metadata.String(Prefix + "model") == "gpt2";

    /// <summary>The tokenizer.</summary>
    /// <exception cref="TernException">Its pre-tokenizer has no known form as patterns.</exception>
    public void Write(Utf8JsonWriter writer)
    {
        writer.WriteStartObject();
        writer.WriteString("version", "1.0");
        writer.WriteNull("truncation");
        writer.WriteNull("padding");
        WriteAdded(writer);
        if (IsByteLevel)
            WriteByteLevel(writer);
        else
            WriteSpaceMarks(writer);
        WritePostProcessor(writer);
        writer.WriteEndObject();
    }

    /// <summary>Its special tokens and chat templates.</summary>
    public void WriteConfig(Utf8JsonWriter writer, int contextLength)
    {
        writer.WriteStartObject();
        writer.WriteString("tokenizer_class", "PreTrainedTokenizerFast");
        writer.WriteNumber("model_max_length", contextLength);
        writer.WriteBoolean("clean_up_tokenization_spaces", false);
        writer.WriteBoolean("add_bos_token", _addsBos);
        writer.WriteBoolean("add_eos_token", _addsEos);
        WriteToken(writer, "bos_token", _tokenizer.Bos);
        WriteToken(writer, "eos_token", _tokenizer.Eos);
        WriteToken(writer, "pad_token", (int)(_metadata.Integer(Prefix + "padding_token_id") ?? -1));
        WriteToken(writer, "unk_token", (int)(_metadata.Integer(Prefix + "unknown_token_id") ?? -1));
        WriteTemplates(writer);
        writer.WriteEndObject();
    }

    private void WriteTemplates(Utf8JsonWriter writer)
    {
        (string Name, string Text)[] templates =
        [
            .. _metadata.Entries.Where(e => e.Value is string && (e.Key == TemplateKey || e.Key.StartsWith(TemplateKey + ".", StringComparison.Ordinal)))
                .Select(e => (e.Key == TemplateKey ? "default" : e.Key[(TemplateKey.Length + 1)..], (string)e.Value)),
        ];
        if (templates is [("default", var only)])
        {
            writer.WriteString("chat_template", only);
            return;
        }

        if (templates.Length == 0)
            return;
        writer.WriteStartArray("chat_template");
        foreach ((string name, string text) in templates)
        {
            writer.WriteStartObject();
            writer.WriteString("name", name);
            writer.WriteString("template", text);
            writer.WriteEndObject();
        }

        writer.WriteEndArray();
    }

    /// <summary>Control tokens are special ones; those a user defined are plain text that is never cut.</summary>
    private void WriteAdded(Utf8JsonWriter writer)
    {
        writer.WriteStartArray("added_tokens");
        for (int id = 0; id < _tokens.Count; id++)
        {
            if ((TokenKind)_kinds[id] is not (TokenKind.Control or TokenKind.UserDefined))
                continue;
            writer.WriteStartObject();
            writer.WriteNumber("id", id);
            writer.WriteString("content", _tokens[id]);
            writer.WriteBoolean("single_word", false);
            writer.WriteBoolean("lstrip", false);
            writer.WriteBoolean("rstrip", false);
            writer.WriteBoolean("normalized", false);
            writer.WriteBoolean("special", (TokenKind)_kinds[id] == TokenKind.Control);
            writer.WriteEndObject();
        }

        writer.WriteEndArray();
    }

    private void WriteByteLevel(Utf8JsonWriter writer)
    {
        string? named = _metadata.String(Prefix + "pre");
        PreTokenizer pre = PreTokenizers.Find(string.IsNullOrEmpty(named) ? Tokenizer.GuessPreTokenizer(_metadata) ?? "default" : named)!;
        string[] steps = PreTokenizerPatterns.StepsOf(pre)
            ?? throw new TernException(ErrorKind.Unsupported, $"{_metadata.Path}: the pre-tokenizer '{pre.Name}' has no form that tokenizer.json can say; keep the model as GGUF");
        writer.WriteNull("normalizer");
        writer.WriteStartObject("pre_tokenizer");
        writer.WriteString("type", "Sequence");
        writer.WriteStartArray("pretokenizers");
        foreach (string step in steps)
        {
            writer.WriteStartObject();
            writer.WriteString("type", "Split");
            writer.WriteStartObject("pattern");
            writer.WriteString("Regex", step);
            writer.WriteEndObject();
            writer.WriteString("behavior", "Isolated");
            writer.WriteBoolean("invert", false);
            writer.WriteEndObject();
        }

        WriteBytes(writer);
        writer.WriteEndArray();
        writer.WriteEndObject();
        writer.WritePropertyName("decoder");
        WriteBytes(writer);
        WriteModel(writer, unknown: null, byteFallback: false, pre.IgnoreMerges, GivenMerges());
    }

    private static void WriteBytes(Utf8JsonWriter writer)
    {
        writer.WriteStartObject();
        writer.WriteString("type", "ByteLevel");
        writer.WriteBoolean("add_prefix_space", false);
        writer.WriteBoolean("trim_offsets", true);
        writer.WriteBoolean("use_regex", false);
        writer.WriteEndObject();
    }

    private void WriteSpaceMarks(Utf8JsonWriter writer)
    {
        bool prefix = _metadata.Boolean(Prefix + "add_space_prefix") ?? true;
        writer.WriteStartObject("normalizer");
        writer.WriteString("type", "Sequence");
        writer.WriteStartArray("normalizers");
        if (prefix)
        {
            writer.WriteStartObject();
            writer.WriteString("type", "Prepend");
            writer.WriteString("prepend", Mark);
            writer.WriteEndObject();
        }

        WriteReplace(writer, " ", Mark);
        writer.WriteEndArray();
        writer.WriteEndObject();
        writer.WriteNull("pre_tokenizer");
        writer.WriteStartObject("decoder");
        writer.WriteString("type", "Sequence");
        writer.WriteStartArray("decoders");
        WriteReplace(writer, Mark, " ");
        WriteStep(writer, "ByteFallback");
        WriteStep(writer, "Fuse");
        if (prefix)
        {
            writer.WriteStartObject();
            writer.WriteString("type", "Strip");
            writer.WriteString("content", " ");
            writer.WriteNumber("start", 1);
            writer.WriteNumber("stop", 0);
            writer.WriteEndObject();
        }

        writer.WriteEndArray();
        writer.WriteEndObject();
        int unknown = Array.IndexOf(_kinds, (int)TokenKind.Unknown);
        bool hasBytes = Array.IndexOf(_kinds, (int)TokenKind.Byte) >= 0;
        bool hasMerges = _metadata.Boolean(MergeReader.DecideKey) == true;
        WriteModel(writer, unknown < 0 ? null : _tokens.Text(unknown), hasBytes, ignoreMerges: false, hasMerges ? GivenMerges() : MergesOfScores());
    }

    private static void WriteReplace(Utf8JsonWriter writer, string what, string with)
    {
        writer.WriteStartObject();
        writer.WriteString("type", "Replace");
        writer.WriteStartObject("pattern");
        writer.WriteString("String", what);
        writer.WriteEndObject();
        writer.WriteString("content", with);
        writer.WriteEndObject();
    }

    private static void WriteStep(Utf8JsonWriter writer, string type)
    {
        writer.WriteStartObject();
        writer.WriteString("type", type);
        writer.WriteEndObject();
    }

    private void WriteModel(Utf8JsonWriter writer, string? unknown, bool byteFallback, bool ignoreMerges, IEnumerable<string> merges)
    {
        writer.WriteStartObject("model");
        writer.WriteString("type", "BPE");
        writer.WriteNull("dropout");
        writer.WriteString("unk_token", unknown);
        writer.WriteNull("continuing_subword_prefix");
        writer.WriteNull("end_of_word_suffix");
        writer.WriteBoolean("fuse_unk", unknown is not null);
        writer.WriteBoolean("byte_fallback", byteFallback);
        writer.WriteBoolean("ignore_merges", ignoreMerges);
        writer.WriteStartObject("vocab");
        var seen = new HashSet<string>(StringComparer.Ordinal);
        for (int id = 0; id < _tokens.Count; id++)
        {
            // Unused ids are filled up again by whoever reads the file, and a spelling can stand in it once.
            string text = _tokens.Text(id);
            if ((TokenKind)_kinds[id] is not (TokenKind.Control or TokenKind.UserDefined or TokenKind.Unused) && seen.Add(text))
                writer.WriteNumber(text, id);
        }

        writer.WriteEndObject();
        writer.WriteStartArray("merges");
        foreach (string merge in merges)
            writer.WriteStringValue(merge);
        writer.WriteEndArray();
        writer.WriteEndObject();
    }

    private IEnumerable<string> GivenMerges()
    {
        StringTable? merges = _metadata.Strings(Prefix + "merges");
        for (int i = 0; i < (merges?.Count ?? 0); i++)
            yield return merges!.Text(i);
    }

    /// <summary>SentencePiece merges whatever makes the token of the highest score: every pair of tokens that makes one, in the order of their scores.</summary>
    private List<string> MergesOfScores()
    {
        float[] scores = _metadata.Array<float>(Prefix + "scores")!;
        var normal = new HashSet<string>(StringComparer.Ordinal);
        for (int id = 0; id < _tokens.Count; id++)
            if ((TokenKind)_kinds[id] == TokenKind.Normal)
                normal.Add(_tokens.Text(id));
        var merges = new List<string>();
        foreach (int id in Enumerable.Range(0, _tokens.Count).Where(id => (TokenKind)_kinds[id] == TokenKind.Normal).OrderByDescending(id => scores[id]))
        {
            string token = _tokens.Text(id);
            for (int cut = 1; cut < token.Length; cut++)
                if (normal.Contains(token[..cut]) && normal.Contains(token[cut..]))
                    merges.Add($"{token[..cut]} {token[cut..]}");
        }

        return merges;
    }

    private void WritePostProcessor(Utf8JsonWriter writer)
    {
        if (!_addsBos && !_addsEos)
        {
            writer.WriteNull("post_processor");
            return;
        }

        int[] added = [.. (_addsBos ? [_tokenizer.Bos] : Array.Empty<int>()).Concat(_addsEos ? [_tokenizer.Eos] : [])];
        writer.WriteStartObject("post_processor");
        writer.WriteString("type", "TemplateProcessing");
        foreach (string[] sequences in (string[][])[["A"], ["A", "B"]])
        {
            writer.WriteStartArray(sequences.Length == 1 ? "single" : "pair");
            for (int i = 0; i < sequences.Length; i++)
            {
                if (_addsBos)
                    WritePart(writer, "SpecialToken", _tokens.Text(_tokenizer.Bos), i);
                WritePart(writer, "Sequence", sequences[i], i);
                if (_addsEos)
                    WritePart(writer, "SpecialToken", _tokens.Text(_tokenizer.Eos), i);
            }

            writer.WriteEndArray();
        }

        writer.WriteStartObject("special_tokens");
        foreach (int id in added.Distinct())
        {
            writer.WriteStartObject(_tokens.Text(id));
            writer.WriteString("id", _tokens.Text(id));
            writer.WriteStartArray("ids");
            writer.WriteNumberValue(id);
            writer.WriteEndArray();
            writer.WriteStartArray("tokens");
            writer.WriteStringValue(_tokens.Text(id));
            writer.WriteEndArray();
            writer.WriteEndObject();
        }

        writer.WriteEndObject();
        writer.WriteEndObject();
    }

    private static void WritePart(Utf8JsonWriter writer, string kind, string id, int type)
    {
        writer.WriteStartObject();
        writer.WriteStartObject(kind);
        writer.WriteString("id", id);
        writer.WriteNumber("type_id", type);
        writer.WriteEndObject();
        writer.WriteEndObject();
    }

    private void WriteToken(Utf8JsonWriter writer, string name, int id)
    {
        if (id >= 0 && id < _tokens.Count)
            writer.WriteString(name, _tokens[id]);
    }
}
