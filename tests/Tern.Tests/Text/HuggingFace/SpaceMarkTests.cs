using System.Text;
using System.Text.Json.Nodes;
using Tern.Files;
using Tern.Text;

namespace Tern.Tests.Text.HuggingFace;

/// <summary>Byte-pair encoding over characters with U+2581 against its definition: of all neighbours that a merge joins those of the lowest rank, leftmost first.</summary>
public sealed class SpaceMarkTests
{
    [Fact]
    public void Ids_are_those_of_the_ranked_merges()
    {
        var random = new Random(11);
        int differsByScores = 0;
        for (int round = 0; round < 60; round++)
        {
            (string[] tokens, (string, string)[] merges) = RandomMerges(random, round % 2 == 0 ? "ab▁" : "abcé");
            using ModelDirectory directory = ModelDirectory.SpaceMarks(tokens, merges);
            Metadata metadata = directory.Read();
            Assert.Empty(directory.Warnings);
            Tokenizer tokenizer = Tokenizer.From(metadata, line => Assert.Fail(line));
            metadata.Set("tern.tokenizer.merges_decide", false);
            Tokenizer byScores = Tokenizer.From(metadata, line => Assert.Fail(line));
            for (int i = 0; i < 20; i++)
            {
                string text = string.Concat(Enumerable.Range(0, 1 + random.Next(i < 15 ? 24 : 150)).Select(_ => "aabbcé z"[random.Next(8)]));
                int[] expected = [.. Reference("▁" + text.Replace(' ', '▁'), tokens, merges)];
                int[] actual = tokenizer.Encode(text, addSpecial: false);
                Assert.Equal(expected, actual);
                Assert.Equal(text, tokenizer.Decode(actual));
                differsByScores += byScores.Encode(text, addSpecial: false).SequenceEqual(expected) ? 0 : 1;
            }
        }

        // Scores alone cannot say it, or the merges would not have to be written.
        Assert.True(differsByScores > 0);
    }

    [Fact]
    public void Types_scores_and_keys_are_those_of_a_converted_file()
    {
        using ModelDirectory directory = ModelDirectory.SpaceMarks(["▁", "a", "b", "ab", "▁ab", "xy", "▁▁"], [("a", "b"), ("▁", "ab"), ("▁", "▁")]);
        directory.Added.Add(ModelDirectory.AddedToken(264, "xy", special: false));
        directory.Added.Add(ModelDirectory.AddedToken(265, "▁▁", special: false));
        directory.Rows = 268;
        Metadata metadata = directory.Read();
        Assert.Empty(directory.Warnings);
        Assert.Equal("llama", metadata.String("tokenizer.ggml.model"));
        Assert.Equal("default", metadata.String("tokenizer.ggml.pre"));
        Assert.True(metadata.Boolean("tokenizer.ggml.add_space_prefix"));
        Assert.True(metadata.Boolean("tokenizer.ggml.add_bos_token"));
        Assert.Equal([2, 3, 3, .. Enumerable.Repeat(6, 256), 1, 1, 1, 1, 1, 4, 1, 5, 5], metadata.Array<int>("tokenizer.ggml.token_type")!);
        Assert.Equal([-3, -4, -5, 0, -1, -6, -2, -6, -6], metadata.Array<float>("tokenizer.ggml.scores")![259..]);
        Assert.Equal("[PAD266]", metadata.Strings("tokenizer.ggml.tokens")!.Text(266));
        Tokenizer tokenizer = Tokenizer.From(metadata, line => Assert.Fail(line));
        Assert.Equal([1, 263, 263, 264], tokenizer.Encode("ab abxy"));
        Assert.Equal("ab abxy", tokenizer.Decode([1, 263, 263, 264]));
    }

    [Theory]
    [InlineData("Prepend", true, 0)]
    [InlineData("Replace", false, 0)]
    [InlineData("always", true, 1)]
    [InlineData("first", true, 1)]
    [InlineData("never", false, 0)]
    [InlineData("old", true, 1)]
    [InlineData("Gemma", false, 0)]
    public void A_space_goes_in_front_where_the_file_says(string kind, bool prefix, int warnings)
    {
        using ModelDirectory directory = ModelDirectory.SpaceMarks(["▁", "a", "▁a"], [("▁", "a")]);
        JsonObject metaspace = new() { ["type"] = "Metaspace", ["replacement"] = "▁" };
        (JsonNode? normalizer, JsonNode? pre) = kind switch
        {
            "Prepend" => (directory.Tokenizer["normalizer"]!.DeepClone(), (JsonNode?)null),
            "Replace" => (ModelDirectory.Replace(), null),
            "Gemma" => (ModelDirectory.Replace(), new JsonObject { ["type"] = "Split", ["pattern"] = new JsonObject { ["String"] = " " }, ["behavior"] = "MergedWithPrevious", ["invert"] = false }),
            _ => (null, metaspace),
        };
        metaspace[kind == "old" ? "add_prefix_space" : "prepend_scheme"] = kind == "old" ? true : kind;
        metaspace["split"] = false;
        (directory.Tokenizer["normalizer"], directory.Tokenizer["pre_tokenizer"]) = (normalizer, pre);
        Metadata metadata = directory.Read();
        Assert.Equal(prefix, metadata.Boolean("tokenizer.ggml.add_space_prefix"));
        Assert.Equal(warnings, directory.Warnings.Count);
        Assert.Equal(prefix ? [261] : [260], Tokenizer.From(metadata, line => Assert.Fail(line)).Encode("a", addSpecial: false));
    }

    [Fact]
    public void What_cannot_be_said_is_refused()
    {
        foreach ((string word, Action<ModelDirectory> change) in new (string, Action<ModelDirectory>)[]
        {
            ("'Lowercase'", d => d.Tokenizer["normalizer"]!["normalizers"]!.AsArray().Add(new JsonObject { ["type"] = "Lowercase" })),
            ("'Precompiled'", d => d.Tokenizer["normalizer"] = new JsonObject { ["type"] = "Precompiled" }),
            ("'Digits'", d => d.Tokenizer["pre_tokenizer"] = new JsonObject { ["type"] = "Digits" }),
            ("ignore_merges", d => d.Model["ignore_merges"] = true),
            ("split", d => (d.Tokenizer["normalizer"], d.Tokenizer["pre_tokenizer"]) = (null, new JsonObject { ["type"] = "Metaspace" })),
        })
        {
            using ModelDirectory directory = ModelDirectory.SpaceMarks(["▁", "a", "▁a▁"], [("▁", "a"), ("▁a", "▁")]);
            change(directory);
            TernException error = Assert.Throws<TernException>(() => directory.Read());
            Assert.Equal(ErrorKind.Unsupported, error.Kind);
            Assert.Contains(word, error.Message, StringComparison.Ordinal);
        }
    }

    /// <summary>Merges at random, each of two symbols that exist by then, so that some tokens are made in several ways and some in none.</summary>
    private static (string[] Tokens, (string, string)[] Merges) RandomMerges(Random random, string alphabet)
    {
        List<string> tokens = [.. alphabet.Select(c => c.ToString()).Append("▁").Distinct()];
        var merges = new List<(string, string)>();
        for (int i = random.Next(1, 30); i > 0; i--)
        {
            (string left, string right) = (tokens[random.Next(tokens.Count)], tokens[random.Next(tokens.Count)]);
            if (left.Length + right.Length > 7)
                continue;
            if (!tokens.Contains(left + right))
                tokens.Add(left + right);
            if (random.Next(6) != 0 && !merges.Contains((left, right)))
                merges.Add((left, right));
        }

        (string, string)[] shuffled = [.. merges];
        random.Shuffle(shuffled);
        return ([.. tokens], shuffled);
    }

    private static IEnumerable<int> Reference(string text, string[] tokens, (string Left, string Right)[] merges)
    {
        List<string> symbols = [.. text.Select(c => c.ToString())];
        while (true)
        {
            int at = -1, rank = int.MaxValue;
            for (int i = 0; i + 1 < symbols.Count; i++)
            {
                int found = Array.IndexOf(merges, (symbols[i], symbols[i + 1]));
                if (found >= 0 && found < rank)
                    (at, rank) = (i, found);
            }

            if (at < 0)
                break;
            symbols[at] += symbols[at + 1];
            symbols.RemoveAt(at + 1);
        }

        return symbols.SelectMany(symbol => Array.IndexOf(tokens, symbol) is var index and >= 0 ? [259 + index] : Encoding.UTF8.GetBytes(symbol).Select(value => 3 + value));
    }
}
