using System.Text;
using Tern.Text;

namespace Tern.Tests.Text;

/// <summary>Merging against the definition: join the neighbours of lowest rank, leftmost first, until none join.</summary>
public sealed class MergeTests
{
    [Fact]
    public void Byte_pairs_merge_by_the_definition()
    {
        var random = new Random(5);
        for (int round = 0; round < 60; round++)
        {
            string[] merges = RandomMerges(random, alphabet: "abc", count: 1 + random.Next(40));
            Tokenizer tokenizer = Vocabularies.Load(Vocabularies.BytePair(merges));
            var ranks = merges.Select((merge, rank) => (merge, rank)).DistinctBy(row => row.merge).ToDictionary(row => row.merge, row => row.rank);
            for (int i = 0; i < 20; i++)
            {
                // Both sides of the border between the plain loop and the heap.
                string word = RandomWord(random, "abc", 1 + random.Next(i < 15 ? WordMerger.ShortSymbols : 4 * WordMerger.ShortSymbols));
                List<string> symbols = Merge([.. word.Select(c => c.ToString())], (left, right) => ranks.GetValueOrDefault($"{left} {right}", int.MaxValue));
                Assert.Equal(symbols, tokenizer.Encode(word).Select(id => Encoding.UTF8.GetString(tokenizer.Bytes(id))));
            }
        }
    }

    [Fact]
    public void SentencePiece_merges_by_the_definition()
    {
        var random = new Random(6);
        for (int round = 0; round < 60; round++)
        {
            // Half of the vocabularies have pieces that go on after a space, for which the text may not be cut into words.
            string alphabet = round % 2 == 0 ? "ab▁" : "abc";
            string[] pieces = [.. Enumerable.Range(0, 30).Select(_ => RandomWord(random, alphabet, 1 + random.Next(5))).Concat(["▁a", "▁"]).Distinct()];
            Tern.Files.Metadata metadata = Vocabularies.SentencePiece(pieces);

            // Equal scores too.
            float[] scores = metadata.Array<float>("tokenizer.ggml.scores")!;
            for (int i = 259; i < scores.Length; i++)
                scores[i] = random.Next(12);
            Tokenizer tokenizer = Vocabularies.Load(metadata);
            for (int i = 0; i < 20; i++)
            {
                string text = RandomWord(random, "aabbc ", 1 + random.Next(i < 15 ? 30 : 200));
                int Rank(string left, string right) =>
                    Array.IndexOf(pieces, left + right) is var index and >= 0 ? 100 - (int)scores[259 + index] : int.MaxValue;
                List<string> symbols = Merge([.. ("▁" + text.Replace(' ', '▁')).Select(c => c.ToString())], Rank);
                IEnumerable<int> expected = symbols.SelectMany(symbol => Array.IndexOf(pieces, symbol) is var index and >= 0
                    ? [259 + index]
                    : Encoding.UTF8.GetBytes(symbol).Select(value => 3 + value));
                Assert.Equal(expected, tokenizer.Encode(text, addSpecial: false));
            }
        }
    }

    [Fact]
    public void A_megabyte_of_one_letter_is_not_quadratic()
    {
        // The plain loop would take about 10^12 steps.
        string text = new('a', 1 << 20);
        Tokenizer bytePair = Vocabularies.Load(Vocabularies.BytePair(["a a", "aa aa", "aaaa aaaa"]));
        Assert.Equal((1 << 20) / 8, bytePair.Encode(text).Length);
        Tokenizer sentencePiece = Vocabularies.Load(Vocabularies.SentencePiece(["aa", "aaaa", "a", "▁"]));
        Assert.Equal(2 + ((1 << 20) / 4), sentencePiece.Encode(text).Length);
    }

    [Fact]
    public void Ignore_merges_takes_a_whole_word_that_merges_would_not_reach()
    {
        string[] merges = ["h e", "l l"];
        (string, TokenKind)[] more = [("hello", TokenKind.Normal)];
        Assert.Equal(3, Vocabularies.Load(Vocabularies.BytePair(merges, more)).Encode("hello").Length);
        Assert.Single(Vocabularies.Load(Vocabularies.BytePair(merges, more, pre: "llama-bpe")).Encode("hello"));
    }

    private static List<string> Merge(List<string> symbols, Func<string, string, int> rank)
    {
        while (true)
        {
            int best = -1;
            int bestRank = int.MaxValue;
            for (int i = 0; i + 1 < symbols.Count; i++)
            {
                if (rank(symbols[i], symbols[i + 1]) is var r && r < bestRank)
                    (best, bestRank) = (i, r);
            }

            if (best < 0)
                return symbols;
            symbols[best] += symbols[best + 1];
            symbols.RemoveAt(best + 1);
        }
    }

    private static string[] RandomMerges(Random random, string alphabet, int count)
    {
        List<string> tokens = [.. alphabet.Select(c => c.ToString())];
        var merges = new List<string>();
        for (int i = 0; i < count; i++)
        {
            string left = tokens[random.Next(tokens.Count)];
            string right = tokens[random.Next(tokens.Count)];
            if (merges.Contains($"{left} {right}"))
                continue;
            merges.Add($"{left} {right}");
            if (!tokens.Contains(left + right))
                tokens.Add(left + right);
        }

        return [.. merges];
    }

    private static string RandomWord(Random random, string alphabet, int length) =>
        string.Concat(Enumerable.Range(0, length).Select(_ => alphabet[random.Next(alphabet.Length)]));
}
