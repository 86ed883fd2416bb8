using System.Diagnostics;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Tern.Files;
using Tern.Text;
using Tern.Text.HuggingFace;

namespace Tern.Tests.Text.HuggingFace;

/// <summary>Malformed and odd directories, each made by one change to a good one: what is refused is refused in its class, with file, field and offset.</summary>
public sealed class MalformedDirectoryTests
{
    private const string Format = "REJECT_FORMAT";
    private const string Semantic = "REJECT_SEMANTIC";
    private const string Limit = "REJECT_LIMIT";
    private const string Unsupported = "REJECT_UNSUPPORTED";
    private const string Same = "ACCEPT_SAME";
    private const string Warn = "ACCEPT_WARN";

    /// <summary>Cases by name: what must happen, a word of the error or warning, and the change. Those with the prefix tj_ are the shared corpus.</summary>
    private static readonly Dictionary<string, (string Expect, string Word, Action<ModelDirectory> Change)> s_cases = new()
    {
        ["tj_not_json"] = (Format, "JSON", d => Raw(d, "this is not json"u8)),
        ["tj_200mb"] = (Limit, "TokenizerBytes of 134217728", d => Sparse(d, "tokenizer.json", 200L << 20)),
        ["tj_vocab_id_4g"] = (Semantic, "'model.vocab'", d => d.Vocabulary["th"] = 4_000_000_000),
        ["tj_vocab_gap"] = (Warn, "first of them 257", d => Remove(d, "he")),
        ["tj_merges_both_forms_ok"] = (Same, "", d => d.Model["merges"] = new JsonArray(ModelDirectory.Strings("t", "h"), "h e", ModelDirectory.Strings("th", "e"), "Ġ the")),
        ["tj_pretokenizer_bad_regex"] = (Format, "'pre_tokenizer.pretokenizers[0].pattern.Regex'", d => d.Tokenizer["pre_tokenizer"] = ModelDirectory.Pre(ModelDirectory.Split(@"\p{L}+|(\p{N}"), ModelDirectory.Bytes(false))),
        ["tj_added_token_empty"] = (Semantic, "'added_tokens[3].id'", d => d.Added.Add(ModelDirectory.AddedToken(263, ""))),
        ["tj_unknown_model_type"] = (Unsupported, "'WordPiece'", d => d.Model["type"] = "WordPiece"),
        ["tj_template_list_of_names_ok"] = (Same, "", d => d.Others["tokenizer_config.json"]["chat_template"] = new JsonArray(new JsonObject { ["name"] = "default", ["template"] = "{{ 1 }}" }, new JsonObject { ["name"] = "tool_use", ["template"] = "{{ 2 }}" })),

        ["empty file"] = (Format, "is empty", d => Raw(d, [])),
        ["truncated"] = (Format, "ends in the middle", d => Raw(d, d.TokenizerBytes().AsSpan()[..^20])),
        ["zeros"] = (Format, "JSON", d => Raw(d, new byte[64])),
        ["a list"] = (Semantic, "object", d => Raw(d, "[]"u8)),
        ["a number"] = (Semantic, "object", d => Raw(d, "3"u8)),
        ["invalid UTF-8"] = (Format, "0xFF", d => Raw(d, [.. "{\"a\":\""u8, 0xFF, .. "\"}"u8])),
        ["half surrogate"] = (Format, "surrogate", d => Raw(d, "{\"\\ud800\":1}"u8)),
        ["deep"] = (Limit, "JsonDepth of 64", d => Raw(d, Encoding.UTF8.GetBytes("{\"a\":" + new string('[', 100_000) + new string(']', 100_000) + "}"))),
        ["field twice"] = (Format, "'model'", d => Raw(d, "{\"model\":{},\"model\":{}}"u8)),
        ["token twice"] = (Format, "'a'", d => Raw(d, "{\"model\":{\"type\":\"BPE\",\"merges\":[],\"vocab\":{\"a\":0,\"\\u0061\":1}}}"u8)),
        ["byte order mark"] = (Same, "", d => Raw(d, [.. Encoding.UTF8.Preamble, .. d.TokenizerBytes()])),
        ["no tokenizer.json"] = ("REJECT_FILE", "save_pretrained", _ => { }
        ),
        ["no model"] = (Semantic, "'model.type'", d => d.Tokenizer.Remove("model")),
        ["model is a string"] = (Semantic, "'model'", d => d.Tokenizer["model"] = "BPE"),
        ["type is a number"] = (Semantic, "'model.type'", d => d.Model["type"] = 3),
        ["type left out"] = (Same, "", d => d.Model.Remove("type")),
        ["WordLevel"] = (Unsupported, "'WordLevel'", d => d.Model["type"] = "WordLevel"),
        ["Unigram with an object of tokens"] = (Semantic, "model.vocab", d => d.Model["type"] = "Unigram"),
        ["subword prefix"] = (Unsupported, "'##'", d => d.Model["continuing_subword_prefix"] = "##"),
        ["word suffix"] = (Unsupported, "'</w>'", d => d.Model["end_of_word_suffix"] = "</w>"),
        ["no vocabulary"] = (Semantic, "'model.vocab'", d => d.Model.Remove("vocab")),
        ["vocabulary is a list"] = (Semantic, "'model.vocab'", d => d.Model["vocab"] = new JsonArray()),
        ["vocabulary is empty"] = (Semantic, "at least one", d => d.Model["vocab"] = new JsonObject()),
        ["id of text"] = (Semantic, "'model.vocab'", d => d.Vocabulary["th"] = "256"),
        ["id with fraction"] = (Semantic, "'model.vocab'", d => d.Vocabulary["th"] = 256.5),
        ["id of null"] = (Semantic, "'model.vocab'", d => d.Vocabulary["th"] = null),
        ["id negative"] = (Semantic, "-1", d => d.Vocabulary["th"] = -1),
        ["id at the rows"] = (Semantic, "has the id 264, but the embedding has 264 rows", d => d.Vocabulary["th"] = 264),
        ["id twice"] = (Semantic, "same id 257", d => d.Vocabulary["th"] = 257),
        ["token of a megabyte"] = (Limit, "TokenBytesMax of 65535", d => d.Vocabulary[new string('x', 1 << 20)] = 263),
        ["fewer rows than tokens"] = (Semantic, "the embedding has 100 rows", d => d.Rows = 100),
        ["no rows"] = (Semantic, "0 rows", d => d.Rows = 0),
        ["two billion rows"] = (Limit, "Tokens of 4194304", d => d.Rows = int.MaxValue),
        ["no merges"] = (Semantic, "'model.merges'", d => d.Model.Remove("merges")),
        ["merges are an object"] = (Semantic, "'model.merges'", d => d.Model["merges"] = new JsonObject()),
        ["merge without space"] = (Semantic, "'model.merges[1]'", d => d.Model["merges"]![1] = "he"),
        ["merge of three"] = (Semantic, "'model.merges[1]'", d => d.Model["merges"]![1] = "h e e"),
        ["merge of one"] = (Semantic, "'model.merges[1]'", d => d.Model["merges"]![1] = ModelDirectory.Strings("h")),
        ["merge of numbers"] = (Semantic, "'model.merges[1]'", d => d.Model["merges"]![1] = new JsonArray(1, 2)),
        ["merge with an empty part"] = (Semantic, "'model.merges[1]'", d => d.Model["merges"]![1] = ModelDirectory.Strings("", "he")),
        ["merge with a space in it"] = (Warn, "1 merges have a space", d => d.Model["merges"]!.AsArray().Add(ModelDirectory.Strings("a b", "c"))),
        ["merges with the first line of merges.txt"] = (Same, "", d => d.Model["merges"]!.AsArray().Insert(0, "#version: 0.2")),
        ["added token without content"] = (Semantic, "'added_tokens[3].content'", d => d.Added.Add(new JsonObject { ["id"] = 263 })),
        ["added token without id"] = (Semantic, "'added_tokens[3].id'", d => d.Added.Add(new JsonObject { ["content"] = "x" })),
        ["added token far out"] = (Semantic, "264 rows", d => d.Added.Add(ModelDirectory.AddedToken(1_000_000, "<x>"))),
        ["added token in the place of another"] = (Semantic, "same id 260", d => d.Added.Add(ModelDirectory.AddedToken(260, "<x>"))),
        ["added token is a string"] = (Semantic, "'added_tokens[3]'", d => d.Added.Add("<x>")),
        ["added token with another id"] = (Warn, "but 262", d => Insert(d, "<turn>", 262, 263)),
        ["added token with rstrip"] = (Warn, "rstrip", d => d.Added[2]!["rstrip"] = true),
        ["added tokens are an object"] = (Semantic, "'added_tokens'", d => d.Tokenizer["added_tokens"] = new JsonObject()),
        ["no pre-tokenizer"] = (Unsupported, "--pre NAME", d => d.Tokenizer["pre_tokenizer"] = null),
        ["unknown regex"] = (Unsupported, @"'\w+'", d => d.Tokenizer["pre_tokenizer"] = ModelDirectory.Pre(ModelDirectory.Split(@"\w+"), ModelDirectory.Bytes(false))),
        ["unknown step"] = (Unsupported, "'UnicodeScripts'", d => d.Tokenizer["pre_tokenizer"] = ModelDirectory.Pre(new JsonObject { ["type"] = "UnicodeScripts" }, ModelDirectory.Bytes(true))),
        ["other behaviour"] = (Unsupported, "'Isolated'", d => d.Tokenizer["pre_tokenizer"] = ModelDirectory.Pre(ModelDirectory.Split(ModelDirectory.Llama3Pattern, "MergedWithNext"), ModelDirectory.Bytes(false))),
        ["no pattern"] = (Semantic, "pattern", d => d.Tokenizer["pre_tokenizer"] = ModelDirectory.Pre(new JsonObject { ["type"] = "Split" }, ModelDirectory.Bytes(false))),
        ["space in front of bytes"] = (Unsupported, "add_prefix_space", d => d.Tokenizer["pre_tokenizer"]!["pretokenizers"]![1]!["add_prefix_space"] = true),
        ["NFC"] = (Warn, "NFC", d => d.Tokenizer["normalizer"] = new JsonObject { ["type"] = "NFC" }),
        ["lower case"] = (Unsupported, "'Lowercase'", d => d.Tokenizer["normalizer"] = new JsonObject { ["type"] = "Lowercase" }),
        ["neither bytes nor marks"] = (Unsupported, "'ByteLevel'", d => (d.Tokenizer["pre_tokenizer"], d.Tokenizer["decoder"], d.Model["ignore_merges"]) = (null, null, null)),
        ["template adds a stranger"] = (Semantic, "'<x>'", d => d.Tokenizer["post_processor"] = new JsonObject { ["type"] = "TemplateProcessing", ["single"] = new JsonArray(new JsonObject { ["SpecialToken"] = new JsonObject { ["id"] = "<x>" } }) }),
        ["unknown post-processor"] = (Warn, "'Strange'", d => d.Tokenizer["post_processor"] = new JsonObject { ["type"] = "Sequence", ["processors"] = new JsonArray(d.Tokenizer["post_processor"]!.DeepClone(), new JsonObject { ["type"] = "Strange" }) }),
        ["eos at the rows"] = (Semantic, "'eos_token_id'", d => d.Others["generation_config.json"] = new JsonObject { ["eos_token_id"] = 264 }),
        ["one of many eos far out"] = (Semantic, "'eos_token_id[1]'", d => d.Others["generation_config.json"] = new JsonObject { ["eos_token_id"] = new JsonArray(261, 99_999) }),
        ["eos of text"] = (Semantic, "'eos_token_id'", d => d.Others["generation_config.json"] = new JsonObject { ["eos_token_id"] = "261" }),
        ["bos negative"] = (Same, "", d => d.Others["config.json"] = new JsonObject { ["bos_token_id"] = -1 }),
        ["padding behind the rows"] = (Warn, "pad_token_id", d => d.Others["config.json"] = new JsonObject { ["pad_token_id"] = 264 }),
        ["tokenizer_config.json is a list"] = (Semantic, "must be an object", d => d.Others["tokenizer_config.json"] = new JsonArray()),
        ["tokenizer_config.json of 20 MB"] = (Limit, "ConfigurationBytes", d =>
        {
            d.Others.Clear();
            d.Write("tokenizer.json", d.TokenizerBytes());
            Sparse(d, "tokenizer_config.json", 20 << 20);
        }
        ),
        ["decoder with a word for an id"] = (Semantic, "added_tokens_decoder.x", d => d.Others["tokenizer_config.json"]["added_tokens_decoder"] = new JsonObject { ["x"] = new JsonObject { ["content"] = "y" } }),
        ["add_bos_token of text"] = (Semantic, "'add_bos_token'", d => d.Others["tokenizer_config.json"]["add_bos_token"] = "yes"),
        ["template of number"] = (Semantic, "'chat_template'", d => d.Others["tokenizer_config.json"]["chat_template"] = 3),
        ["template without a name"] = (Semantic, "name", d => d.Others["tokenizer_config.json"]["chat_template"] = new JsonArray(new JsonObject { ["template"] = "" })),
        ["template with a path for a name"] = (Warn, "'../x'", d => d.Others["tokenizer_config.json"]["chat_template"] = new JsonArray(new JsonObject { ["name"] = "../x", ["template"] = "" })),
        ["65 templates"] = (Limit, "NamedTemplates of 64", d => d.Others["tokenizer_config.json"]["chat_template"] = new JsonArray([.. Enumerable.Range(0, 65).Select(i => (JsonNode)new JsonObject { ["name"] = $"n{i}", ["template"] = "" })])),
        ["added_tokens.json is a list"] = (Semantic, "must be an object", d => d.Others["added_tokens.json"] = new JsonArray()),
    };

    public static TheoryData<string> Names => [.. s_cases.Keys];

    [Theory]
    [MemberData(nameof(Names))]
    public void A_directory_is_decided_as_it_should(string name)
    {
        (string expect, string word, Action<ModelDirectory> change) = s_cases[name];
        using ModelDirectory directory = ModelDirectory.ByteLevel();
        change(directory);
        bool written = name == "no tokenizer.json" || File.Exists(Path.Combine(directory.Path, "tokenizer.json"));
        long before = GC.GetAllocatedBytesForCurrentThread();
        long start = Stopwatch.GetTimestamp();
        Metadata? metadata = null;
        TernException? error = null;
        try
        {
            metadata = written ? directory.ReadAsIs() : directory.Read();
        }
        catch (TernException e)
        {
            error = e;
        }

        Assert.True(Stopwatch.GetElapsedTime(start).TotalSeconds < 5, $"{name} took {Stopwatch.GetElapsedTime(start)}");
        Assert.True(GC.GetAllocatedBytesForCurrentThread() - before < 64 << 20, $"{name} allocated {GC.GetAllocatedBytesForCurrentThread() - before} bytes");
        if (expect.StartsWith("REJECT_", StringComparison.Ordinal))
        {
            Assert.NotNull(error);
            Assert.True(expect == "REJECT_" + error.Kind.ToString().ToUpperInvariant(), error.Message);
            Assert.Contains(word, error.Message, StringComparison.Ordinal);
            Assert.StartsWith(directory.Path, error.Message, StringComparison.Ordinal);
            Assert.Contains("; ", error.Message, StringComparison.Ordinal);
            if (error.Kind is ErrorKind.Format or ErrorKind.Unsupported)
                Assert.Contains(" at offset ", error.Message, StringComparison.Ordinal);
            return;
        }

        Assert.True(error is null, error?.Message);
        if (expect == Warn)
            Assert.Contains(word, Assert.Single(directory.Warnings), StringComparison.Ordinal);
        else
            Assert.Empty(directory.Warnings);
        Tokenizer tokenizer = Tokenizer.From(metadata!, _ => { });
        Assert.Equal([260, 259], tokenizer.Encode(" the"));
        Assert.Equal(264, tokenizer.Count);
    }

    [SharedFact]
    public void Cases_have_all_of_the_shared_list()
    {
        using var cases = JsonDocument.Parse(File.ReadAllBytes(SharedData.File("malformed", "cases.json")));
        IEnumerable<string> expected = cases.RootElement.GetProperty("other_files").EnumerateArray()
            .Where(c => c.GetProperty("group").GetString() == "tokenizer.json")
            .Select(c => c.GetProperty("name").GetString() + " " + c.GetProperty("expect").GetString());
        Assert.Equal(
            expected.Order(StringComparer.Ordinal),
            s_cases.Where(c => c.Key.StartsWith("tj_", StringComparison.Ordinal)).Select(c => $"{c.Key} {c.Value.Expect}").Order(StringComparer.Ordinal));
    }

    /// <summary>An offset is where the value stands, and a limit can be raised.</summary>
    [Fact]
    public void Offsets_are_true_and_limits_can_be_raised()
    {
        using ModelDirectory directory = ModelDirectory.ByteLevel();
        directory.Vocabulary["th"] = 4_000_000_000;
        byte[] bytes = [.. Encoding.UTF8.Preamble, .. directory.TokenizerBytes()];
        Raw(directory, bytes);
        string message = Assert.Throws<TernException>(() => directory.ReadAsIs()).Message;
        Assert.Contains($" at offset {bytes.AsSpan().IndexOf("4000000000"u8)}: ", message, StringComparison.Ordinal);

        directory.Vocabulary["th"] = 256;
        Assert.Equal(ErrorKind.Limit, Assert.Throws<TernException>(() => directory.Read(limits: new HuggingFaceLimits { TokenizerBytes = 1000 })).Kind);
        Assert.Equal(ErrorKind.Limit, Assert.Throws<TernException>(() => directory.Read(limits: new HuggingFaceLimits { JsonDepth = 4 })).Kind);
        directory.Read(limits: new HuggingFaceLimits { TokenizerBytes = 1 << 20, JsonDepth = 5 });
    }

    private static void Raw(ModelDirectory directory, ReadOnlySpan<byte> bytes) => directory.Write("tokenizer.json", bytes.ToArray());

    private static void Sparse(ModelDirectory directory, string name, long length)
    {
        using FileStream file = File.Create(Path.Combine(directory.Path, name));
        file.SetLength(length);
    }

    private static void Remove(ModelDirectory directory, string token) => directory.Vocabulary.Remove(token);

    /// <summary>Puts a token into the vocabulary and gives its added twin another id.</summary>
    private static void Insert(ModelDirectory directory, string token, int id, int otherId)
    {
        directory.Vocabulary[token] = id;
        directory.Added[2]!["id"] = otherId;
    }
}
