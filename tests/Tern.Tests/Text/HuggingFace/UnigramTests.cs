using System.Text;
using System.Text.Json.Nodes;
using Tern.Files;
using Tern.Text;

namespace Tern.Tests.Text.HuggingFace;

/// <summary>Unigram against its definition: of all ways to cut a text the one with the largest sum of scores.</summary>
public sealed class UnigramTests
{
    private const string Prefix = "tokenizer.ggml.";

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Ids_are_those_of_the_most_probable_cut(bool hasBytes)
    {
        var random = new Random(21);
        int unknown = 0;
        for (int round = 0; round < 40; round++)
        {
            // Half of the vocabularies have tokens that go on after a space, for which the text may not be cut into words.
            string alphabet = round % 2 == 0 ? "ab▁" : "abcé";
            string[] tokens = [.. Enumerable.Range(0, 25).Select(_ => Word(random, alphabet, 1 + random.Next(5))).Append("▁").Distinct()];
            double[] scores = [.. tokens.Select(_ => -1 - (12 * random.NextDouble()))];
            using ModelDirectory directory = ModelDirectory.Unigram(tokens, scores, hasBytes);
            Metadata metadata = directory.Read();
            Assert.Empty(directory.Warnings);
            float[] stored = metadata.Array<float>(Prefix + "scores")!;
            int first = stored.Length - tokens.Length;
            Tokenizer tokenizer = Tokenizer.From(metadata, line => Assert.Fail(line));
            for (int i = 0; i < 25; i++)
            {
                string text = Word(random, "aabbcé z", 1 + random.Next(i < 20 ? 24 : 200));
                int[] expected = [.. Reference("▁" + text.Replace(' ', '▁'), tokens, stored.AsSpan(first).ToArray())
                    .SelectMany(piece => Array.IndexOf(tokens, piece) is var index and >= 0 ? [first + index] : hasBytes ? Encoding.UTF8.GetBytes(piece).Select(value => 3 + value) : [0])];
                Assert.Equal(expected, tokenizer.Encode(text, addSpecial: false));
                unknown += expected.Contains(0) ? 1 : 0;
                if (hasBytes)
                    Assert.Equal(text, tokenizer.Decode(expected));
            }
        }

        Assert.Equal(!hasBytes, unknown > 0);
    }

    [Fact]
    public void Keys_are_those_of_llama_cpp()
    {
        using ModelDirectory directory = ModelDirectory.Unigram(["▁", "a", "▁a"], [-3, -2, -1.5], hasBytes: true);
        directory.Added.Add(ModelDirectory.AddedToken(262, "<x>", special: false));
        directory.Rows = 264;
        Metadata metadata = directory.Read();
        Assert.Equal("t5", metadata.String(Prefix + "model"));
        Assert.True(metadata.Boolean(Prefix + "add_space_prefix"));
        Assert.False(metadata.Boolean(Prefix + "remove_extra_whitespaces"));
        Assert.False(metadata.Boolean(Prefix + "add_eos_token"));
        Assert.Null(metadata.Find(Prefix + "merges"));
        Assert.Equal([2, 3, 3, .. Enumerable.Repeat(6, 256), 1, 1, 1, 4, 5], metadata.Array<int>(Prefix + "token_type")!);
        Assert.Equal([-3, -2, -1.5f, 0, float.MinValue], metadata.Array<float>(Prefix + "scores")![259..]);
        Tokenizer tokenizer = Tokenizer.From(metadata, line => Assert.Fail(line));
        Assert.Equal([1, 261, 262, 261], tokenizer.Encode("a<x>a"));
    }

    [Fact]
    public void A_file_that_says_nothing_has_the_familys_ends()
    {
        var metadata = new Metadata("made.gguf");
        metadata.Set(Prefix + "model", "t5");
        metadata.Set(Prefix + "tokens", StringTable.From(["<pad>", "</s>", "<unk>", "▁", "▁a"]));
        metadata.Set(Prefix + "token_type", new[] { 3, 3, 2, 1, 1 });
        metadata.Set(Prefix + "scores", new float[] { 0, 0, 0, -2, -1 });
        Assert.Equal([4, 2, 1], Tokenizer.From(metadata, line => Assert.Fail(line)).Encode("azz"));
    }

    [Fact]
    public void What_would_give_wrong_ids_is_refused()
    {
        foreach ((ErrorKind kind, string word, Action<Metadata> change) in new (ErrorKind, string, Action<Metadata>)[]
        {
            (ErrorKind.Unsupported, "precompiled_charsmap", m => m.Set(Prefix + "precompiled_charsmap", new sbyte[] { 1 })),
            (ErrorKind.Unsupported, "remove_extra_whitespaces", m => m.Set(Prefix + "remove_extra_whitespaces", true)),
            (ErrorKind.Semantic, "token 259 is infinite", m => m.Array<float>(Prefix + "scores")![259] = float.NegativeInfinity),
            (ErrorKind.Limit, "UnigramRule.TokenBytesMax", m => m.Set(Prefix + "tokens", StringTable.From(Enumerable.Range(0, 261).Select(id => id < 260 ? m.Strings(Prefix + "tokens")!.Text(id) : new string('x', 257))))),
        })
        {
            using ModelDirectory directory = ModelDirectory.Unigram(["▁", "a"], [-3, -2], hasBytes: true);
            Metadata metadata = directory.Read();
            change(metadata);
            TernException error = Assert.Throws<TernException>(() => Tokenizer.From(metadata, _ => { }));
            Assert.Equal(kind, error.Kind);
            Assert.Contains(word, error.Message, StringComparison.Ordinal);
        }

        foreach ((string field, JsonNode? value) in new (string, JsonNode?)[]
        {
            ("unk_id", null), ("unk_id", 9_999), ("vocab", new JsonArray()), ("vocab", new JsonObject()), ("vocab", new JsonArray(new JsonArray("a"))),
            ("vocab", new JsonArray(new JsonArray("a", "b"))), ("vocab", new JsonArray(new JsonArray("a", -1), new JsonArray("a", -2))),
            ("vocab", JsonNode.Parse("[[\"a\", 1e300]]")),
        })
        {
            using ModelDirectory directory = ModelDirectory.Unigram(["▁", "a"], [-3, -2], hasBytes: true);
            directory.Model[field] = value;
            TernException error = Assert.Throws<TernException>(() => directory.Read());
            Assert.Equal(ErrorKind.Semantic, error.Kind);
            Assert.Contains(field, error.Message, StringComparison.Ordinal);
        }
    }

    private static string Word(Random random, string alphabet, int length) => string.Concat(Enumerable.Range(0, length).Select(_ => alphabet[random.Next(alphabet.Length)]));

    /// <summary>
    /// The best cut of every beginning of the text, by its last piece: plain dynamic programming over characters. Sums of float32 scores are exact in
    /// double precision, so that "a aa" and "aa a" tie, and the longer last piece counts.
    /// </summary>
    private static List<string> Reference(string text, string[] tokens, float[] scores)
    {
        double unknown = scores.Min() - 10;
        var best = new (double Sum, int Length)[text.Length + 1];
        for (int end = 1; end <= text.Length; end++)
        {
            best[end] = (double.NegativeInfinity, 0);
            for (int length = end; length >= 1; length--)
            {
                int token = Array.IndexOf(tokens, text.Substring(end - length, length));
                if (token < 0 && length > 1)
                    continue;
                double sum = best[end - length].Sum + (token < 0 ? unknown : scores[token]);
                if (sum > best[end].Sum)
                    best[end] = (sum, length);
            }
        }

        var cuts = new Stack<int>();
        for (int end = text.Length; end > 0; end -= best[end].Length)
            cuts.Push(best[end].Length);
        var pieces = new List<string>();
        bool wasUnknown = false;
        for (int at = 0; cuts.TryPop(out int length); at += length)
        {
            string piece = text.Substring(at, length);
            bool isUnknown = !tokens.Contains(piece);
            if (isUnknown && wasUnknown)
                pieces[^1] += piece;
            else
                pieces.Add(piece);
            wasUnknown = isUnknown;
        }

        return pieces;
    }
}
