using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using Tern.Files;
using Tern.Tests.Files;
using Tern.Text;
using Tern.Text.HuggingFace;

namespace Tern.Tests.Text.HuggingFace;

/// <summary>A Hugging Face directory made in memory, changed by a test, written and read.</summary>
internal sealed class ModelDirectory : IDisposable
{
    public const string Llama3Pattern =
        @"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

    public const string Qwen2Pattern =
        @"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

    private static readonly JsonSerializerOptions s_plain = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    private readonly TempFolder _folder = new();

    private ModelDirectory(JsonObject tokenizer, int rows) => (Tokenizer, Rows) = (tokenizer, rows);

    public JsonObject Tokenizer { get; }

    public JsonObject Model => Tokenizer["model"]!.AsObject();

    public JsonObject Vocabulary => Model["vocab"]!.AsObject();

    public JsonArray Added => Tokenizer["added_tokens"]!.AsArray();

    /// <summary>Rows of the embedding.</summary>
    public int Rows { get; set; }

    /// <summary>Files beside tokenizer.json.</summary>
    public Dictionary<string, JsonNode> Others { get; } = [];

    /// <summary>Lines that the last reading gave.</summary>
    public List<string> Warnings { get; } = [];

    public string Path => _folder.Path;

    /// <summary>Byte-level: 256 bytes, "th", "he", "the", " the", begin, end and end of turn as special tokens; 264 rows, the last one unused.</summary>
    public static ModelDirectory ByteLevel()
    {
        string[] merges = ["t h", "h e", "th e", "Ġ the"];
        var vocabulary = new JsonObject();
        foreach (string token in Enumerable.Range(0, 256).Select(value => Vocabularies.Spell((byte)value)).Concat(merges.Select(merge => merge.Replace(" ", "", StringComparison.Ordinal))))
            vocabulary[token] = vocabulary.Count;
        var directory = new ModelDirectory(
            new JsonObject
            {
                ["version"] = "1.0",
                ["added_tokens"] = new JsonArray(AddedToken(260, "<begin>"), AddedToken(261, "<end>"), AddedToken(262, "<turn>")),
                ["normalizer"] = null,
                ["pre_tokenizer"] = Pre(Split(Llama3Pattern), Bytes(false)),
                ["post_processor"] = Post("<begin>", 260, null, 0),
                ["decoder"] = Bytes(true),
                ["model"] = new JsonObject { ["type"] = "BPE", ["unk_token"] = null, ["byte_fallback"] = false, ["ignore_merges"] = true, ["vocab"] = vocabulary, ["merges"] = Strings(merges) },
            },
            264);
        directory.Others["tokenizer_config.json"] = new JsonObject { ["bos_token"] = "<begin>", ["eos_token"] = new JsonObject { ["content"] = "<end>", ["special"] = true } };
        return directory;
    }

    /// <summary>Characters with U+2581 and byte fallback, as Llama 2's: unknown, begin, end, 256 bytes, then the given tokens.</summary>
    public static ModelDirectory SpaceMarks(IEnumerable<string> tokens, IEnumerable<(string Left, string Right)> merges)
    {
        var vocabulary = new JsonObject { ["<unk>"] = 0, ["<s>"] = 1, ["</s>"] = 2 };
        foreach (string token in Enumerable.Range(0, 256).Select(value => $"<0x{value:X2}>").Concat(tokens))
            vocabulary[token] = vocabulary.Count;
        var directory = new ModelDirectory(
            new JsonObject
            {
                ["added_tokens"] = new JsonArray(AddedToken(0, "<unk>"), AddedToken(1, "<s>"), AddedToken(2, "</s>")),
                ["normalizer"] = new JsonObject { ["type"] = "Sequence", ["normalizers"] = new JsonArray(Prepend(), Replace()) },
                ["pre_tokenizer"] = null,
                ["post_processor"] = Post("<s>", 1, null, 0),
                ["decoder"] = new JsonObject { ["type"] = "Sequence", ["decoders"] = new JsonArray(new JsonObject { ["type"] = "ByteFallback" }) },
                ["model"] = new JsonObject
                {
                    ["type"] = "BPE",
                    ["unk_token"] = "<unk>",
                    ["fuse_unk"] = true,
                    ["byte_fallback"] = true,
                    ["vocab"] = vocabulary,
                    ["merges"] = new JsonArray([.. merges.Select(merge => (JsonNode)new JsonArray(merge.Left, merge.Right))]),
                },
            },
            vocabulary.Count);
        directory.Others["tokenizer_config.json"] = new JsonObject { ["bos_token"] = "<s>", ["eos_token"] = "</s>", ["unk_token"] = "<unk>" };
        return directory;
    }

    /// <summary>Unigram with U+2581: unknown, begin, end, 256 bytes where they are wanted, then the given tokens.</summary>
    public static ModelDirectory Unigram(string[] tokens, double[] scores, bool hasBytes)
    {
        ModelDirectory directory = SpaceMarks([], []);
        var vocabulary = new JsonArray(new JsonArray("<unk>", 0), new JsonArray("<s>", 0), new JsonArray("</s>", 0));
        foreach (string token in Enumerable.Range(0, hasBytes ? 256 : 0).Select(value => $"<0x{value:X2}>"))
            vocabulary.Add(new JsonArray(token, 0));
        for (int i = 0; i < tokens.Length; i++)
            vocabulary.Add(new JsonArray(tokens[i], scores[i]));
        directory.Tokenizer["model"] = new JsonObject { ["type"] = "Unigram", ["unk_id"] = 0, ["byte_fallback"] = hasBytes, ["vocab"] = vocabulary };
        directory.Rows = vocabulary.Count;
        return directory;
    }

    /// <summary>What a directory of the model of a GGUF vocabulary would hold: its tokens and types, its merges or those that its scores mean, and its cut.</summary>
    public static ModelDirectory From(Metadata gguf)
    {
        StringTable tokens = gguf.Strings("tokenizer.ggml.tokens")!;
        int[] types = gguf.Array<int>("tokenizer.ggml.token_type")!;
        bool spaceMarks = gguf.String("tokenizer.ggml.model") == "llama";
        ModelDirectory directory = spaceMarks ? SpaceMarks([], []) : ByteLevel();
        directory.Rows = tokens.Count;
        directory.Vocabulary.Clear();
        directory.Added.Clear();
        for (int id = 0; id < tokens.Count; id++)
        {
            if (types[id] is not (int)TokenKind.Control || spaceMarks)
                directory.Vocabulary[tokens.Text(id)] = id;
            if (types[id] is (int)TokenKind.Control or (int)TokenKind.UserDefined or (int)TokenKind.Unknown)
                directory.Added.Add(AddedToken(id, tokens.Text(id), types[id] != (int)TokenKind.UserDefined));
        }

        directory.Model["merges"] = spaceMarks
            ? new JsonArray([.. MergesOfScores(gguf, tokens, types).Select(merge => (JsonNode)new JsonArray(merge.Left, merge.Right))])
            : Strings([.. Enumerable.Range(0, gguf.Strings("tokenizer.ggml.merges")!.Count).Select(gguf.Strings("tokenizer.ggml.merges")!.Text)]);
        if (!spaceMarks)
        {
            string pre = gguf.String("tokenizer.ggml.pre")!;
            directory.Model["ignore_merges"] = pre == "llama-bpe";
            directory.Tokenizer["pre_tokenizer"] = pre switch
            {
                "llama-bpe" => Pre(Split(Llama3Pattern), Bytes(false)),
                "qwen2" => Pre(Split(Qwen2Pattern), Bytes(false)),
                "gpt-2" => Bytes(true),
                _ => throw new ArgumentException(pre),
            };
        }

        string Name(string key) => tokens.Text((int)gguf.Integer("tokenizer.ggml." + key)!.Value);
        directory.Others["tokenizer_config.json"] = new JsonObject { ["bos_token"] = Name("bos_token_id"), ["eos_token"] = Name("eos_token_id") };
        directory.Tokenizer["post_processor"] = null;
        return directory;
    }

    public static JsonObject AddedToken(int id, string content, bool special = true) =>
        new() { ["id"] = id, ["content"] = content, ["single_word"] = false, ["lstrip"] = false, ["rstrip"] = false, ["normalized"] = false, ["special"] = special };

    public static JsonObject Pre(params JsonNode[] steps) => new() { ["type"] = "Sequence", ["pretokenizers"] = new JsonArray(steps) };

    public static JsonObject Split(string regex, string behavior = "Isolated", bool invert = false) =>
        new() { ["type"] = "Split", ["pattern"] = new JsonObject { ["Regex"] = regex }, ["behavior"] = behavior, ["invert"] = invert };

    public static JsonObject Bytes(bool regex) => new() { ["type"] = "ByteLevel", ["add_prefix_space"] = false, ["trim_offsets"] = true, ["use_regex"] = regex };

    public static JsonObject Prepend() => new() { ["type"] = "Prepend", ["prepend"] = "▁" };

    public static JsonObject Replace() => new() { ["type"] = "Replace", ["pattern"] = new JsonObject { ["String"] = " " }, ["content"] = "▁" };

    /// <summary>A post-processor that adds a token in front or behind.</summary>
    public static JsonObject Post(string? first, int firstId, string? last, int lastId)
    {
        var single = new JsonArray(new JsonObject { ["Sequence"] = new JsonObject { ["id"] = "A", ["type_id"] = 0 } });
        var table = new JsonObject();
        foreach ((string? token, int id, bool front) in new[] { (first, firstId, true), (last, lastId, false) })
        {
            if (token is null)
                continue;
            single.Insert(front ? 0 : single.Count, new JsonObject { ["SpecialToken"] = new JsonObject { ["id"] = token, ["type_id"] = 0 } });
            table[token] = new JsonObject { ["id"] = token, ["ids"] = new JsonArray(id), ["tokens"] = new JsonArray(token) };
        }

        return new() { ["type"] = "TemplateProcessing", ["single"] = single, ["pair"] = new JsonArray(), ["special_tokens"] = table };
    }

    public static JsonArray Strings(params string[] values) => new([.. values.Select(value => (JsonNode)value)]);

    /// <summary>tokenizer.json as it would be written.</summary>
    public byte[] TokenizerBytes() => JsonSerializer.SerializeToUtf8Bytes(Tokenizer, s_plain);

    /// <summary>Writes the files and reads them.</summary>
    public Metadata Read(string? preTokenizer = null, HuggingFaceLimits? limits = null)
    {
        Write("tokenizer.json", TokenizerBytes());
        return ReadAsIs(preTokenizer, limits);
    }

    /// <summary>Reads with a tokenizer.json that a test has written, or left out.</summary>
    public Metadata ReadAsIs(string? preTokenizer = null, HuggingFaceLimits? limits = null)
    {
        foreach ((string name, JsonNode content) in Others)
            Write(name, JsonSerializer.SerializeToUtf8Bytes(content, s_plain));
        Warnings.Clear();
        var metadata = new Metadata(Path);
        HuggingFaceTokenizer.Read(Path, Rows, metadata, Warnings.Add, preTokenizer, limits);
        return metadata;
    }

    /// <summary>Reads and loads; neither may warn.</summary>
    public Tokenizer Load()
    {
        Metadata metadata = Read();
        Assert.Empty(Warnings);
        return Tern.Text.Tokenizer.From(metadata, line => Assert.Fail(line));
    }

    public void Write(string name, byte[] bytes)
    {
        string path = System.IO.Path.Combine(Path, name);
        Directory.CreateDirectory(System.IO.Path.GetDirectoryName(path)!);
        File.WriteAllBytes(path, bytes);
    }

    public void Dispose() => _folder.Dispose();

    /// <summary>
    /// The merges that Hugging Face's own conversion makes of a SentencePiece model: every way to cut a piece into two, pieces with high scores first,
    /// and of the ways to cut one piece those with the longest left part.
    /// </summary>
    private static IEnumerable<(string Left, string Right)> MergesOfScores(Metadata gguf, StringTable tokens, int[] types)
    {
        float[] scores = gguf.Array<float>("tokenizer.ggml.scores")!;
        var ids = Enumerable.Range(0, tokens.Count).Where(id => types[id] == (int)TokenKind.Normal).ToDictionary(tokens.Text, id => id);
        foreach (string piece in ids.Keys.OrderByDescending(piece => scores[ids[piece]]))
            for (int cut = piece.Length - 1; cut > 0; cut--)
                if (ids.ContainsKey(piece[..cut]) && ids.ContainsKey(piece[cut..]))
                    yield return (piece[..cut], piece[cut..]);
    }
}
