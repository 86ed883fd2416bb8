using System.Text;
using System.Text.Json.Nodes;
using Tern.Files;
using Tern.Text;
using Tern.Text.HuggingFace;
using Tern.Text.Templates;

namespace Tern.Tests.Text.HuggingFace;

/// <summary>Special tokens, what is added around a text, chat templates and the cut of words, wherever the files say so.</summary>
public sealed class SpecialTokenFilesTests
{
    private const string Prefix = "tokenizer.ggml.";

    [Fact]
    public void Names_count_before_ids_and_all_ends_stop()
    {
        using ModelDirectory directory = ModelDirectory.ByteLevel();
        directory.Others["special_tokens_map.json"] = new JsonObject { ["eos_token"] = "<turn>", ["pad_token"] = new JsonObject { ["content"] = "<turn>" } };
        directory.Others["generation_config.json"] = new JsonObject { ["bos_token_id"] = 1, ["eos_token_id"] = new JsonArray(262, 261, 5, 6) };
        directory.Others["config.json"] = new JsonObject { ["bos_token_id"] = 2, ["eos_token_id"] = 7, ["pad_token_id"] = 3 };
        Metadata metadata = directory.Read();
        Assert.Empty(directory.Warnings);
        Assert.Equal(260, metadata.Integer(Prefix + "bos_token_id"));
        Assert.Equal(261, metadata.Integer(Prefix + "eos_token_id"));
        Assert.Equal(262, metadata.Integer(Prefix + "eot_token_id"));
        Assert.Equal(5, metadata.Integer(Prefix + "eom_token_id"));
        Assert.Equal(262, metadata.Integer(Prefix + "padding_token_id"));
        Assert.Equal([261, 262, 5, 6, 7], metadata.Array<int>(Prefix + "eos_token_ids")!);
        Assert.Equal([5, 6, 7, 261, 262], Tokenizer.From(metadata, line => Assert.Fail(line)).StopIds.Order());

        directory.Others.Remove("tokenizer_config.json");
        directory.Others.Remove("special_tokens_map.json");
        File.Delete(Path.Combine(directory.Path, "tokenizer_config.json"));
        File.Delete(Path.Combine(directory.Path, "special_tokens_map.json"));
        metadata = directory.Read();
        Assert.Equal(262, metadata.Integer(Prefix + "eos_token_id"));
        Assert.Equal(3, metadata.Integer(Prefix + "padding_token_id"));
        Assert.Equal(260, metadata.Integer(Prefix + "bos_token_id"));
    }

    [Fact]
    public void Stop_ids_outside_the_vocabulary_are_refused_in_a_gguf_file()
    {
        using ModelDirectory directory = ModelDirectory.ByteLevel();
        Metadata metadata = directory.Read();
        metadata.Set(Prefix + "eos_token_ids", new[] { 261, 264 });
        Assert.Contains("264", Assert.Throws<TernException>(() => Tokenizer.From(metadata, _ => { })).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("<begin>", null, null, null, true, false)]
    [InlineData(null, "<end>", null, null, false, true)]
    [InlineData("<begin>", "<turn>", null, null, true, true)]
    [InlineData("<begin>", null, false, true, false, true)]
    [InlineData(null, null, true, false, true, false)]
    [InlineData(null, null, null, null, false, false)]
    public void What_the_files_add_is_added(string? first, string? last, bool? addBos, bool? addEos, bool begins, bool ends)
    {
        int Id(string? token) => token is "<begin>" ? 260 : token is "<end>" ? 261 : 262;
        using ModelDirectory directory = ModelDirectory.ByteLevel();
        directory.Tokenizer["post_processor"] = new JsonObject
        {
            ["type"] = "Sequence",
            ["processors"] = new JsonArray(ModelDirectory.Bytes(false), ModelDirectory.Post(first, Id(first), last, Id(last))),
        };
        directory.Others["tokenizer_config.json"]["add_bos_token"] = addBos;
        directory.Others["tokenizer_config.json"]["add_eos_token"] = addEos;
        int[] expected = [.. begins ? new[] { 260 } : [], 258, .. ends ? new[] { last is null ? 261 : Id(last) } : []];
        Tokenizer tokenizer = directory.Load();
        Assert.Equal(expected, tokenizer.Encode("the"));
        Assert.Contains(261, tokenizer.StopIds);
    }

    [Fact]
    public void Tokens_are_added_from_older_files_and_by_their_flags()
    {
        using ModelDirectory directory = ModelDirectory.ByteLevel();
        directory.Rows = 267;
        directory.Added.Add(ModelDirectory.AddedToken(263, "<tool>", special: false));
        directory.Others["tokenizer_config.json"]["added_tokens_decoder"] = new JsonObject { ["264"] = new JsonObject { ["content"] = "<more>", ["special"] = true }, ["260"] = new JsonObject { ["content"] = "<begin>" } };
        directory.Others["tokenizer_config.json"]["pad_token"] = "<pad>";
        directory.Others["added_tokens.json"] = new JsonObject { ["<pad>"] = 265, ["<old>"] = 266, ["<end>"] = 261 };
        Metadata metadata = directory.Read();
        Assert.Empty(directory.Warnings);
        Assert.Equal([3, 3, 3, 4, 3, 3, 4], metadata.Array<int>(Prefix + "token_type")![260..]);
        Assert.Equal(265, metadata.Integer(Prefix + "padding_token_id"));
        Tokenizer tokenizer = directory.Load();
        Assert.Equal([260, 263, 266], tokenizer.Encode("<tool><old>"));
    }

    [Fact]
    public void Templates_are_found_in_every_place()
    {
        using ModelDirectory directory = ModelDirectory.ByteLevel();
        Assert.Null(directory.Read().Find("tokenizer.chat_template"));
        directory.Others["chat_template.json"] = new JsonObject { ["chat_template"] = "json" };
        Assert.Equal("json", directory.Read().String("tokenizer.chat_template"));
        directory.Others["tokenizer_config.json"]["chat_template"] = new JsonArray(
            new JsonObject { ["name"] = "tool_use", ["template"] = "tools" }, new JsonObject { ["name"] = "default", ["template"] = "{{ bos_token }}listed" });
        Metadata metadata = directory.Read();
        Assert.Equal("{{ bos_token }}listed", metadata.String("tokenizer.chat_template"));
        Assert.Equal("tools", metadata.String("tokenizer.chat_template.tool_use"));
        Assert.Equal("tool_use", metadata.Strings("tokenizer.chat_templates")!.Text(0));
        Tokenizer tokenizer = Tokenizer.From(metadata, line => Assert.Fail(line));
        Assert.Equal("<begin>listed", ChatTemplate.From(metadata, tokenizer, line => Assert.Fail(line))!.Render([]));

        directory.Write("chat_template.jinja", Encoding.UTF8.GetBytes("\uFEFFjinja"));
        directory.Write("additional_chat_templates/rag.jinja", "retrieval"u8.ToArray());
        metadata = directory.Read();
        Assert.Equal("jinja", metadata.String("tokenizer.chat_template"));
        Assert.Equal("retrieval", metadata.String("tokenizer.chat_template.rag"));
        Assert.Null(metadata.Find("tokenizer.chat_template.tool_use"));
        Assert.Empty(directory.Warnings);
    }

    public static TheoryData<string, string> Cuts => new()
    {
        { "llama-bpe", Sequence(ModelDirectory.Split(ModelDirectory.Llama3Pattern), ModelDirectory.Bytes(false)) },
        { "llama-bpe", Sequence(ModelDirectory.Split(ModelDirectory.Llama3Pattern.Replace(@"]?\p{L}+", @"]?+\p{L}+", StringComparison.Ordinal).Replace("(?i:'s|'t|'re|'ve|'m|'ll|'d)", "'(?i:[sdmt]|ll|ve|re)", StringComparison.Ordinal), "Removed", invert: true), ModelDirectory.Bytes(false)) },
        { "qwen2", Sequence(ModelDirectory.Split(ModelDirectory.Qwen2Pattern.Replace(@"\r\n", "\r\n", StringComparison.Ordinal)), ModelDirectory.Bytes(false)) },
        { "qwen35", Sequence(ModelDirectory.Split(@"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"), ModelDirectory.Bytes(false)) },
        { "gpt-2", ModelDirectory.Bytes(true).ToJsonString() },
        { "gpt-2", Sequence(ModelDirectory.Split(@"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)"), ModelDirectory.Bytes(false)) },
        { "starcoder", Sequence(new JsonObject { ["type"] = "Digits", ["individual_digits"] = true }, ModelDirectory.Bytes(true)) },
        { "falcon", Sequence(Punctuation(), ModelDirectory.Bytes(true), new JsonObject { ["type"] = "Digits", ["individual_digits"] = false }, ModelDirectory.Split("[0-9][0-9][0-9]")) },
        { "falcon_e", Sequence(Punctuation(), ModelDirectory.Bytes(true), ModelDirectory.Split("[0-9]")) },
        { "falcon_e", Sequence(Punctuation(), ModelDirectory.Bytes(true), new JsonObject { ["type"] = "Digits", ["individual_digits"] = true }) },
        { "falcon_e", Sequence(ModelDirectory.Split(@"[\p{P}\$\+<=>\^~\|`]+"), ModelDirectory.Bytes(true), ModelDirectory.Split("[0-9]")) },
        { "deepseek-coder", Sequence(ModelDirectory.Split("[\r\n]"), ModelDirectory.Split(@"\s?\p{L}+"), ModelDirectory.Split(@"\s?\p{P}+"), ModelDirectory.Split("[一-龥ࠀ-一가-퟿]+"), new JsonObject { ["type"] = "Digits", ["individual_digits"] = true }, ModelDirectory.Bytes(false)) },
    };

    [Theory]
    [MemberData(nameof(Cuts))]
    public void Known_cuts_have_their_names(string name, string preTokenizer)
    {
        using ModelDirectory directory = ModelDirectory.ByteLevel();
        directory.Tokenizer["pre_tokenizer"] = JsonNode.Parse(preTokenizer);
        directory.Model["ignore_merges"] = name == "llama-bpe";
        Assert.Equal(name, directory.Read().String(Prefix + "pre"));
        Assert.Empty(directory.Warnings);
        directory.Load();

        // Only the llama-bpe row lets whole words pass by the merges.
        directory.Model["ignore_merges"] = name != "llama-bpe";
        Assert.Equal(name == "llama-bpe" ? "smaug-bpe" : name, directory.Read().String(Prefix + "pre"));
        Assert.Equal(name == "llama-bpe" ? 0 : 1, directory.Warnings.Count);
    }

    [Fact]
    public void An_unknown_cut_can_be_named_by_hand()
    {
        using ModelDirectory directory = ModelDirectory.ByteLevel();
        directory.Tokenizer["pre_tokenizer"] = ModelDirectory.Pre(ModelDirectory.Split(@"\w+|\W"), ModelDirectory.Bytes(false));
        TernException error = Assert.Throws<TernException>(() => directory.Read());
        Assert.Contains(@"\w+|\W", error.Message, StringComparison.Ordinal);
        Assert.Contains("--pre NAME", error.Message, StringComparison.Ordinal);
        Assert.Equal("qwen2", directory.Read(preTokenizer: "qwen2").String(Prefix + "pre"));
        Assert.Equal(ErrorKind.Unsupported, Assert.Throws<TernException>(() => directory.Read(preTokenizer: "no-such")).Kind);
    }

    [Theory]
    [InlineData(@"(?i:'s|'t)|[^\r\n\p{L}]?+\p{L}++|\p{N}{1,3}| ?[^\s\p{L}]+[\r\n]*|\s+(?!\S)")]
    [InlineData(@"[]a]|[^]]|[[a-z]&&[^b]]|a{,3}|a{x}|{|(?<name>a)|(?P<name>a)|(?<!a)b|(?>a)|(?i)a|(?#x)|\x{41}|\d+?|(a|b)*")]
    public void Sound_patterns_have_no_fault(string pattern) => Assert.Null(RegexSyntax.Fault(pattern));

    [Theory]
    [InlineData("(")]
    [InlineData("a)")]
    [InlineData("[a")]
    [InlineData(@"a\")]
    [InlineData("*a")]
    [InlineData("a|+")]
    [InlineData("(?a")]
    [InlineData("(?<a")]
    [InlineData("a{3,1}")]
    [InlineData("{1,2}")]
    [InlineData(@"\p")]
    [InlineData(@"\p{L")]
    [InlineData(@"[\p{}]")]
    [InlineData("[[a]")]
    public void Broken_patterns_have_a_fault(string pattern) => Assert.NotNull(RegexSyntax.Fault(pattern));

    private static JsonObject Punctuation() => new() { ["type"] = "Punctuation", ["behavior"] = "Contiguous" };

    private static string Sequence(params JsonNode[] steps) => ModelDirectory.Pre(steps).ToJsonString();
}
