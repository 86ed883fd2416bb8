using Tern.Files;
using Tern.Text;

namespace Tern.Tests.Text;

/// <summary>What keys mean, what is assumed without them, and what is refused.</summary>
public sealed class MetadataTests
{
    private const string Prefix = "tokenizer.ggml.";

    /// <summary>Every way to break a model, with the kind of error and a word that its message must have.</summary>
    private static readonly Dictionary<string, (Func<Metadata, Metadata> Break, ErrorKind Kind, string Word)> s_broken = new()
    {
        ["model missing"] = (m => Without(m, "model"), ErrorKind.Semantic, "tokenizer.ggml.model"),
        ["model unknown"] = (m => With(m, "model", "bert"), ErrorKind.Unsupported, "'bert'"),
        ["tokens missing"] = (m => Without(m, "tokens"), ErrorKind.Semantic, "tokenizer.ggml.tokens"),
        ["tokens of numbers"] = (m => With(m, "tokens", new uint[] { 1, 2 }), ErrorKind.Semantic, "tokenizer.ggml.tokens"),
        ["no tokens"] = (m => With(m, "tokens", StringTable.From([])), ErrorKind.Semantic, "tokenizer.ggml.tokens"),
        ["token of a megabyte"] = (m => Add(m, new string('x', 1 << 20), TokenKind.Normal), ErrorKind.Limit, "65535"),
        ["token twice"] = (m => Add(m, "a", TokenKind.Normal), ErrorKind.Semantic, "tokenizer.ggml.tokens"),
        ["types short"] = (m => With(m, "token_type", new int[255]), ErrorKind.Semantic, "tokenizer.ggml.token_type"),
        ["types long"] = (m => With(m, "token_type", new int[10_000]), ErrorKind.Semantic, "tokenizer.ggml.token_type"),
        ["types of text"] = (m => With(m, "token_type", StringTable.From(["1"])), ErrorKind.Semantic, "tokenizer.ggml.token_type"),
        ["type 7"] = (m => WithType(m, 5, 7), ErrorKind.Semantic, "token 5"),
        ["type -1"] = (m => WithType(m, 5, -1), ErrorKind.Semantic, "token 5"),
        ["scores short"] = (m => With(m, "scores", new float[3]), ErrorKind.Semantic, "tokenizer.ggml.scores"),
        ["scores of text"] = (m => With(m, "scores", "high"), ErrorKind.Semantic, "tokenizer.ggml.scores"),
        ["byte token -1"] = (m => Add(m, "<0x-1>", TokenKind.Byte), ErrorKind.Semantic, "<0xXX>"),
        ["byte token lower case"] = (m => Add(m, "<0xab>", TokenKind.Byte), ErrorKind.Semantic, "<0xXX>"),
        ["byte token of three digits"] = (m => Add(m, "<0x100>", TokenKind.Byte), ErrorKind.Semantic, "<0xXX>"),
        ["byte token of a word"] = (m => Add(m, "abcdef", TokenKind.Byte), ErrorKind.Semantic, "<0xXX>"),
        ["byte token of nothing"] = (m => Add(m, "", TokenKind.Byte), ErrorKind.Semantic, "<0xXX>"),
        ["merges missing"] = (m => Without(m, "merges"), ErrorKind.Semantic, "tokenizer.ggml.merges"),
        ["merges of numbers"] = (m => With(m, "merges", new int[] { 1 }), ErrorKind.Semantic, "tokenizer.ggml.merges"),
        ["merge without space"] = (m => With(m, "merges", StringTable.From(["ab"])), ErrorKind.Semantic, "merge 0"),
        ["merge without right"] = (m => With(m, "merges", StringTable.From(["a "])), ErrorKind.Semantic, "merge 0"),
        ["merge without left"] = (m => With(m, "merges", StringTable.From([" a"])), ErrorKind.Semantic, "merge 0"),
        ["merge empty"] = (m => With(m, "merges", StringTable.From(["t h", ""])), ErrorKind.Semantic, "merge 1"),
        ["eos at the count"] = (m => With(m, "eos_token_id", m.Strings(Prefix + "tokens")!.Count), ErrorKind.Semantic, "eos_token_id"),
        ["bos far out"] = (m => With(m, "bos_token_id", uint.MaxValue), ErrorKind.Semantic, "bos_token_id"),
        ["eot negative"] = (m => With(m, "eot_token_id", -1), ErrorKind.Semantic, "eot_token_id"),
        ["padding far out"] = (m => With(m, "padding_token_id", 1_000_000), ErrorKind.Semantic, "padding_token_id"),
        ["unknown of text"] = (m => With(m, "unknown_token_id", "0"), ErrorKind.Semantic, "unknown_token_id"),
        ["add_bos of number"] = (m => With(m, "add_bos_token", 1), ErrorKind.Semantic, "add_bos_token"),
        ["add_bos without bos"] = (m => With(m, "add_bos_token", true), ErrorKind.Semantic, "bos_token_id"),
        ["add_eos without eos"] = (m => With(m, "add_eos_token", true), ErrorKind.Semantic, "eos_token_id"),
        ["pre unknown"] = (m => With(m, "pre", "no-such"), ErrorKind.Unsupported, "'no-such'"),
        ["pre of number"] = (m => With(m, "pre", 1), ErrorKind.Semantic, "tokenizer.ggml.pre"),
    };

    public static TheoryData<string> Broken => [.. s_broken.Keys];

    [Theory]
    [MemberData(nameof(Broken))]
    public void Broken_metadata_is_refused_and_named(string name)
    {
        Vocabularies.Load(Vocabularies.BytePair(["t h"]));
        Metadata metadata = s_broken[name].Break(Vocabularies.BytePair(["t h"]));
        TernException error = Assert.Throws<TernException>(() => Tokenizer.From(metadata, _ => { }));
        Assert.True(error.Kind == s_broken[name].Kind, $"{error.Kind}: {error.Message}");
        Assert.Contains(s_broken[name].Word, error.Message, StringComparison.Ordinal);
        Assert.Contains("made.gguf", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void SentencePiece_scores_must_be_numbers()
    {
        Metadata metadata = Vocabularies.SentencePiece(["a"]);
        metadata.Array<float>(Prefix + "scores")![259] = float.NaN;
        Assert.Contains("token 259", Assert.Throws<TernException>(() => Tokenizer.From(metadata, _ => { })).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Merges_of_a_SentencePiece_file_count_only_where_it_says_so()
    {
        // By scores "b"+"c" comes first, by merges "a"+"b".
        Metadata metadata = Vocabularies.SentencePiece(["▁", "a", "b", "c", "ab", "bc"]);
        float[] scores = metadata.Array<float>(Prefix + "scores")!;
        (scores[263], scores[264]) = (-2, -1);
        metadata.Set("tokenizer.ggml.add_space_prefix", false);
        int[] byScores = Vocabularies.Load(metadata).Encode("abc", addSpecial: false);
        metadata.Set(Prefix + "merges", StringTable.From(["a b", "b c"]));
        Assert.Equal([260, 264], byScores);
        Assert.Equal(byScores, Vocabularies.Load(metadata).Encode("abc", addSpecial: false));
        metadata.Set("tern.tokenizer.merges_decide", true);
        Assert.Equal([263, 262], Vocabularies.Load(metadata).Encode("abc", addSpecial: false));
        Assert.Equal(ErrorKind.Semantic, Assert.Throws<TernException>(() => Tokenizer.From(Without(metadata, "merges"), _ => { })).Kind);
    }

    [Fact]
    public void An_unknown_pre_tokenizer_can_be_overridden()
    {
        Metadata metadata = Vocabularies.BytePair([], pre: "no-such");
        TernException error = Assert.Throws<TernException>(() => Tokenizer.From(metadata, _ => { }));
        Assert.Contains("--pre NAME", error.Message, StringComparison.Ordinal);
        Assert.Contains("qwen2", error.Message, StringComparison.Ordinal);
        Assert.Equal(3, Tokenizer.From(metadata, line => Assert.Fail(line), "qwen2").Encode("abc").Length);
        Assert.Equal(ErrorKind.Unsupported, Assert.Throws<TernException>(() => Tokenizer.From(metadata, _ => { }, "neither")).Kind);
    }

    [Theory]
    [InlineData("llama3", "<|begin_of_text|>", "<|eot_id|>")]
    [InlineData("qwen2", "<|im_start|>", "<|endoftext|>")]
    [InlineData("default", "<|endoftext|>", "<pad>")]
    public void A_missing_pre_tokenizer_is_guessed_with_one_warning(string expected, string first, string second)
    {
        Metadata metadata = Without(
            Vocabularies.BytePair(["1 2", "12 3", "123 4"], [(first, TokenKind.Control), (second, TokenKind.Control)]), "pre");
        var warnings = new List<string>();
        Tokenizer tokenizer = Tokenizer.From(metadata, warnings.Add);
        Assert.Contains($"'{expected}'", Assert.Single(warnings), StringComparison.Ordinal);
        int digits = tokenizer.Encode("1234", addSpecial: false).Length;
        Assert.Equal(expected == "qwen2" ? 4 : 2, digits);
    }

    [SharedFact]
    public void The_golden_without_a_pre_tokenizer_is_taken_for_llama3()
    {
        var warnings = new List<string>();
        Tokenizer.From(VectorMetadata.Read(SharedData.File("goldens", "m01-bitnet-b158-i2s.gguf")), warnings.Add);
        Assert.Contains("'llama3'", Assert.Single(warnings), StringComparison.Ordinal);
    }

    [Fact]
    public void Begin_and_end_are_added_as_the_family_does_and_as_keys_say()
    {
        (string, TokenKind)[] control = [("<|begin_of_text|>", TokenKind.Control), ("<|eot_id|>", TokenKind.Control)];
        Assert.Single(Vocabularies.Load(Vocabularies.BytePair([], control)).Encode("a"));
        Metadata llama = Vocabularies.BytePair([], control, pre: "llama-bpe");
        Assert.Equal(256, Vocabularies.Load(llama).Encode("a")[0]);
        llama.Set(Prefix + "add_bos_token", false);
        Assert.Single(Vocabularies.Load(llama).Encode("a"));
        llama.Set(Prefix + "eos_token_id", 257u);
        llama.Set(Prefix + "add_eos_token", true);
        Assert.Equal(257, Vocabularies.Load(llama).Encode("a")[^1]);
        Assert.Single(Vocabularies.Load(llama).Encode("a", addSpecial: false));

        Metadata piece = Vocabularies.SentencePiece(["▁", "▁a"]);
        Assert.Equal([1, 260], Vocabularies.Load(piece).Encode("a"));
        Assert.Equal([1], Vocabularies.Load(piece).Encode(""));
        piece.Set(Prefix + "add_bos_token", false);
        Assert.Equal([260], Vocabularies.Load(piece).Encode("a"));
    }

    [Fact]
    public void Control_tokens_are_read_only_when_asked_and_user_defined_ones_always()
    {
        (string, TokenKind)[] more = [("<|eot_id|>", TokenKind.Control), ("<tool>", TokenKind.UserDefined), ("<tool>>", TokenKind.UserDefined)];
        Tokenizer tokenizer = Vocabularies.Load(Vocabularies.BytePair([], more));
        Assert.Equal([256], tokenizer.Encode("<|eot_id|>", parseSpecial: true));
        Assert.DoesNotContain(256, tokenizer.Encode("<|eot_id|>"));
        Assert.Equal([257, 258, 256, 257], tokenizer.Encode("<tool><tool>><|eot_id|><tool>", parseSpecial: true));
        Assert.Equal(3, tokenizer.Encode("a<tool>b").Length);
        Assert.Equal("", tokenizer.Decode([256]));
        Assert.Equal("<|eot_id|><tool>", tokenizer.Decode([256, 257], special: true));

        // Not even pieces that happen to join to the spelling of a control token make one.
        Tokenizer piece = Vocabularies.Load(Vocabularies.SentencePiece(["<s", "<", "s", ">", "▁"], ["<u>"]));
        Assert.DoesNotContain(1, piece.Encode("<s>", addSpecial: false));
        Assert.Equal([1, 263, 261], piece.Encode("<s>s", addSpecial: false, parseSpecial: true));
        Assert.Equal([264, 263, 261], piece.Encode("<u>s", addSpecial: false));
    }

    [Fact]
    public void Merges_of_strangers_are_left_out_with_one_warning()
    {
        Metadata metadata = Vocabularies.BytePair(["t h"]);
        metadata.Set(Prefix + "merges", StringTable.From(["x y", "t h", "q zz"]));
        var warnings = new List<string>();
        Tokenizer tokenizer = Tokenizer.From(metadata, warnings.Add);
        Assert.Contains("2 merges", Assert.Single(warnings), StringComparison.Ordinal);
        Assert.Single(tokenizer.Encode("th"));
        Assert.Equal(2, tokenizer.Encode("xy").Length);
    }

    [Fact]
    public void Answers_stop_at_named_ids_and_at_known_end_tokens()
    {
        (string, TokenKind)[] more =
            [("<|end_of_text|>", TokenKind.Control), ("<|eot_id|>", TokenKind.Control), ("x1", TokenKind.Control), ("</s>", TokenKind.Normal), ("<|im_end|>", TokenKind.Normal)];
        Metadata metadata = Vocabularies.BytePair([], more);
        metadata.Set(Prefix + "eos_token_id", 256);
        Assert.Equal([256, 257], Vocabularies.Load(metadata).StopIds.Order());
        metadata.Set(Prefix + "eot_token_id", 258);
        Assert.Equal([256, 257, 258], Vocabularies.Load(metadata).StopIds.Order());
    }

    [Fact]
    public void Ids_that_are_no_tokens_are_a_request_error()
    {
        Tokenizer tokenizer = Vocabularies.Load(Vocabularies.BytePair([]));
        foreach (int id in new[] { -1, 256, int.MaxValue, int.MinValue })
            Assert.Equal(ErrorKind.Request, Assert.Throws<TernException>(() => tokenizer.Decode([id])).Kind);
    }

    private static Metadata With(Metadata metadata, string key, object value)
    {
        metadata.Set(Prefix + key, value);
        return metadata;
    }

    private static Metadata Without(Metadata metadata, string key)
    {
        var rest = new Metadata(metadata.Path);
        foreach (MetadataEntry entry in metadata.Entries.Where(entry => entry.Key != Prefix + key))
            rest.TryAdd(entry);
        return rest;
    }

    private static Metadata WithType(Metadata metadata, int id, int type)
    {
        metadata.Array<int>(Prefix + "token_type")![id] = type;
        return metadata;
    }

    private static Metadata Add(Metadata metadata, string token, TokenKind kind)
    {
        StringTable tokens = metadata.Strings(Prefix + "tokens")!;
        With(metadata, "tokens", StringTable.From(Enumerable.Range(0, tokens.Count).Select(tokens.Text).Append(token)));
        return With(metadata, "token_type", metadata.Array<int>(Prefix + "token_type")!.Append((int)kind).ToArray());
    }
}
