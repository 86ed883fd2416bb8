using System.Text;
using Tern.Text;

namespace Tern.Tests.Text;

/// <summary>Text → ids → text, whole and piece by piece.</summary>
public sealed class RoundTripTests
{
    public static TheoryData<string> VectorNames => VectorTests.VectorNames;

    [SharedTheory]
    [MemberData(nameof(VectorNames))]
    public void Decoding_gives_the_text_back(string name)
    {
        Tokenizer tokenizer = Vocabularies.Vector(name);
        var random = new Random(23);
        for (int i = 0; i < 3_000; i++)
        {
            string text = RandomText.Next(random, 20);
            Assert.Equal(text, tokenizer.Decode(tokenizer.Encode(text)));
        }
    }

    [Fact]
    public void Small_vocabularies_give_the_text_back()
    {
        Tokenizer[] tokenizers =
        [
            Vocabularies.Load(Vocabularies.BytePair(["t h", "th e", "Ġ the", "à ¤"])),
            Vocabularies.Load(Vocabularies.SentencePiece(["▁", "▁the", "the", "th", "▁▁", "▁t"])),
        ];
        var random = new Random(29);
        for (int i = 0; i < 3_000; i++)
        {
            string text = RandomText.Next(random, 20);
            foreach (Tokenizer tokenizer in tokenizers)
                Assert.Equal(text, tokenizer.Decode(tokenizer.Encode(text)));
        }
    }

    [Fact]
    public void Half_surrogate_pairs_become_replacement_characters()
    {
        Tokenizer tokenizer = Vocabularies.Load(Vocabularies.BytePair([]));
        Assert.Equal("a\uFFFDb\uFFFD", tokenizer.Decode(tokenizer.Encode("a\uD800b\uDC00")));
    }

    [Fact]
    public void Streaming_equals_whole_decoding_for_any_ids()
    {
        Tokenizer[] tokenizers =
        [
            Vocabularies.Load(Vocabularies.BytePair(["Ġ a", "ð Ł", "ðŁ ĺ", "â Ĥ"], [("<|x|>", TokenKind.Control), ("<é>", TokenKind.UserDefined)])),
            Vocabularies.Load(Vocabularies.SentencePiece(["▁", "▁a", "é", "▁▁"], ["<u>"])),
        ];
        var random = new Random(31);
        foreach (Tokenizer tokenizer in tokenizers)
        {
            for (int i = 0; i < 5_000; i++)
            {
                int[] ids = i % 2 == 0
                    ? Soup(random, tokenizer.Count)
                    : tokenizer.Encode(RandomText.Next(random, 10));
                bool special = random.Next(2) == 0;
                byte[] bytes = [.. ids.SelectMany(id => tokenizer.Bytes(id, special).ToArray())];
                string expected = Encoding.UTF8.GetString(bytes);
                bool dropsSpace = tokenizer == tokenizers[1] && expected.StartsWith(' ');
                Assert.Equal(dropsSpace ? expected[1..] : expected, tokenizer.Decode(ids, special));

                var decoder = new StreamingDecoder(tokenizer, special);
                var pieces = new List<string>();
                foreach (int id in ids)
                    pieces.Add(decoder.Append(id));
                foreach (string piece in pieces.Where(piece => piece.Length > 0))
                    Assert.False(char.IsLowSurrogate(piece[0]) || char.IsHighSurrogate(piece[^1]), "half a character");
                Assert.Equal(tokenizer.Decode(ids, special), string.Concat(pieces) + decoder.Flush());
            }
        }
    }

    [Fact]
    public void A_character_comes_when_its_last_byte_does()
    {
        Tokenizer tokenizer = Vocabularies.Load(Vocabularies.BytePair([]));
        var decoder = new StreamingDecoder(tokenizer);
        Assert.Equal(["", "", "", "😀"], tokenizer.Encode("😀").Select(decoder.Append));
        Assert.Equal("", decoder.Flush());
    }

    [Theory]
    [InlineData(new byte[] { 0xE2, 0x82 }, "\uFFFD")]
    [InlineData(new byte[] { 0xE2, 0x82, 0x41 }, "\uFFFDA")]
    [InlineData(new byte[] { 0xF0, 0x9F, 0x98, 0xE2, 0x82, 0xAC }, "\uFFFD€")]
    [InlineData(new byte[] { 0xE0, 0x80 }, "\uFFFD\uFFFD")]
    [InlineData(new byte[] { 0xC0, 0xAF }, "\uFFFD\uFFFD")]
    [InlineData(new byte[] { 0xF5, 0x80 }, "\uFFFD\uFFFD")]
    [InlineData(new byte[] { 0xED, 0xA0, 0x80 }, "\uFFFD\uFFFD\uFFFD")]
    public void Broken_bytes_give_one_replacement_per_maximal_part(byte[] bytes, string expected)
    {
        // The Encoding Standard's rule; the ids are found by their bytes because a text cannot hold them.
        Tokenizer tokenizer = Vocabularies.Load(Vocabularies.BytePair([]));
        int[] ids = [.. bytes.Select(value => Enumerable.Range(0, 256).Single(id => tokenizer.Bytes(id).SequenceEqual([value])))];
        var decoder = new StreamingDecoder(tokenizer);
        Assert.Equal(expected, string.Concat(ids.Select(decoder.Append)) + decoder.Flush());
        Assert.Equal(expected, tokenizer.Decode(ids));
    }

    [Fact]
    public void Only_the_space_that_encoding_added_is_dropped()
    {
        Tokenizer prefixed = Vocabularies.Load(Vocabularies.SentencePiece(["▁", "▁a", "a"]));
        Assert.Equal(" a a", prefixed.Decode(prefixed.Encode(" a a")));
        var continued = new StreamingDecoder(prefixed, continues: true);
        Assert.Equal(" a", continued.Append(prefixed.Encode("a")[^1]));

        Tern.Files.Metadata metadata = Vocabularies.SentencePiece(["▁", "▁a", "a"]);
        metadata.Set("tokenizer.ggml.add_space_prefix", false);
        Tokenizer plain = Vocabularies.Load(metadata);
        Assert.Equal(" a", plain.Decode(plain.Encode(" a")));
        Assert.Equal([plain.Bos, 261], plain.Encode("a"));
    }

    [Fact]
    public void Threads_share_a_tokenizer()
    {
        Tokenizer tokenizer = Vocabularies.Load(Vocabularies.BytePair(["t h", "th e", "Ġ the"]));
        string[] texts = [.. Enumerable.Range(0, 64).Select(seed => RandomText.Next(new Random(seed), 200))];
        int[][] expected = [.. texts.Select(text => tokenizer.Encode(text))];
        Parallel.For(0, 2_000, i => Assert.Equal(expected[i % 64], tokenizer.Encode(texts[i % 64])));
    }

    private static int[] Soup(Random random, int count) => [.. Enumerable.Range(0, random.Next(20)).Select(_ => random.Next(count))];
}
