using System.Text;
using System.Text.Json;
using Tern.Files;
using Tern.Tests.Files;
using Tern.Text;
using Tern.Training.Data;
using Tern.Training.Vocabulary;

namespace Tern.Tests.Training.Data;

/// <summary>Tokenizer training beside the plain definition: count everything, merge, count everything again.</summary>
public sealed class BytePairTrainerTests
{
    private static readonly PreTokenizer s_gpt2 = PreTokenizers.Find("gpt-2")!;

    public static TheoryData<string> Corpora => new(
        TinyCorpus.Text(1, 400),
        TinyCorpus.Text(2, 30),
        string.Concat(Enumerable.Repeat("aaaa aaa aaaaaaa aa ", 9)),
        string.Concat(Enumerable.Repeat("abababab bababa ", 5)),
        "äöü äöü ßß 日本語 日本 \n\n\n   x",
        new string('z', 700) + " zz");

    [Theory]
    [MemberData(nameof(Corpora))]
    public void Merges_are_those_of_the_plain_definition(string corpus)
    {
        var words = new WordCounts(s_gpt2);
        words.Add(Encoding.UTF8.GetBytes(corpus));

        List<(int Left, int Right)> learned = BytePairTrainer.Learn(words, 80, _ => { }, CancellationToken.None);

        Assert.NotEmpty(learned);
        Assert.Equal(Plain(words, 80), learned);
    }

    [Fact]
    public void Words_add_up_to_the_text()
    {
        var words = new WordCounts(s_gpt2);
        string text = TinyCorpus.Text(3, 500);
        words.Add(Encoding.UTF8.GetBytes(text));

        Assert.Equal(Encoding.UTF8.GetByteCount(text), words.All.Sum(word => word.Key.Length * word.Value));
        Assert.Contains(words.All, word => Encoding.UTF8.GetString(word.Key) == " cat");
    }

    [Fact]
    public void The_engine_cuts_text_as_the_merges_do()
    {
        using var folder = new TempFolder();
        (string path, string tokenizerPath) = TinyCorpus.Write(folder, tokens: 512);
        (Metadata metadata, Tokenizer tokenizer) = TinyCorpus.Open(tokenizerPath);
        StringTable merges = metadata.Strings("tokenizer.ggml.merges")!;
        var rank = new Dictionary<(string, string), int>();
        for (int i = 0; i < merges.Count; i++)
            rank[(merges.Text(i).Split(' ')[0], merges.Text(i).Split(' ')[1])] = i;
        var spelling = metadata.Strings("tokenizer.ggml.tokens")!;

        string text = File.ReadAllText(path) + TinyCorpus.Text(99, 50);
        int[] ids = tokenizer.Encode(text, addSpecial: false);

        var expected = new List<string>();
        var words = new WordCounts(s_gpt2);
        words.Add(Encoding.UTF8.GetBytes(text));
        byte[] bytes = Encoding.UTF8.GetBytes(text);
        for (int at = 0; at < bytes.Length;)
        {
            int next = s_gpt2.Stages[0](bytes, at);
            expected.AddRange(Segment(bytes[at..next], rank));
            at = next;
        }

        Assert.Equal(expected, ids.Select(id => spelling.Text(id)));
        Assert.Equal(text, tokenizer.Decode(ids));
    }

    [Theory]
    [InlineData("日本語のテキスト \0 \t mixed \r\n and 🎈")]
    [InlineData("")]
    public void Text_that_was_never_seen_comes_back(string text)
    {
        using var folder = new TempFolder();
        (_, Tokenizer tokenizer) = TinyCorpus.Open(TinyCorpus.Write(folder).Tokenizer);

        Assert.Equal(text, tokenizer.Decode(tokenizer.Encode(text)));
    }

    [Fact]
    public void The_vocabulary_has_bytes_merges_special_tokens_and_padding()
    {
        using var folder = new TempFolder();
        (Metadata metadata, Tokenizer tokenizer) = TinyCorpus.Open(TinyCorpus.Write(folder, tokens: 330, special: ["<|user|>"]).Tokenizer);
        StringTable tokens = metadata.Strings("tokenizer.ggml.tokens")!;

        Assert.Equal(384, tokenizer.Count);
        Assert.Equal(330 - 3, tokenizer.Bos);
        Assert.Equal(tokenizer.Bos + 1, tokenizer.Eos);
        Assert.Contains(tokenizer.Eos, tokenizer.StopIds);
        Assert.Equal(["<|begin|>", "<|end|>", "<|user|>", "<|unused0|>"], Enumerable.Range(tokenizer.Bos, 4).Select(tokens.Text));
        Assert.Equal([tokenizer.Bos, (int)'t'], [tokenizer.Encode("t")[0], tokenizer.Encode("t")[1]]);
    }

    [Fact]
    public void The_json_file_says_the_same_as_the_model_file()
    {
        using var folder = new TempFolder();
        string corpus = folder.Write("c.txt", Encoding.UTF8.GetBytes(TinyCorpus.Documents(4, 100)));
        TrainedVocabulary vocabulary = TokenizerTraining.Run(
            new TokenizerTrainingOptions { Corpus = new CorpusOptions([corpus], DocumentSeparator.WholeFile), Tokens = 384 }, _ => { }, CancellationToken.None);
        HuggingFaceTokenizerFile.Write(folder.File("tokenizer.json"), vocabulary);
        var metadata = new Metadata("test");
        vocabulary.WriteTo(metadata, chatTemplate: null);

        using JsonDocument json = JsonDocument.Parse(File.ReadAllBytes(folder.File("tokenizer.json")));
        JsonElement model = json.RootElement.GetProperty("model");
        StringTable tokens = metadata.Strings("tokenizer.ggml.tokens")!;
        Assert.Equal("BPE", model.GetProperty("type").GetString());
        Assert.Equal("ByteLevel", json.RootElement.GetProperty("pre_tokenizer").GetProperty("type").GetString());
        Assert.Equal(tokens.Count, model.GetProperty("vocab").EnumerateObject().Count());
        Assert.All(model.GetProperty("vocab").EnumerateObject(), token => Assert.Equal(tokens.Text(token.Value.GetInt32()), token.Name));
        Assert.Equal(
            Enumerable.Range(0, vocabulary.Merges.Count).Select(metadata.Strings("tokenizer.ggml.merges")!.Text),
            model.GetProperty("merges").EnumerateArray().Select(pair => $"{pair[0].GetString()} {pair[1].GetString()}"));
        Assert.Equal(
            Enumerable.Range(vocabulary.FirstSpecial, vocabulary.Count - vocabulary.FirstSpecial),
            json.RootElement.GetProperty("added_tokens").EnumerateArray().Select(token => token.GetProperty("id").GetInt32()));
    }

    [Theory]
    [InlineData(100, "outside")]
    [InlineData(320, "twice", "<|begin|>")]
    [InlineData(320, "two characters", "x")]
    public void Options_that_cannot_be_are_refused(int tokens, string says, params string[] special)
    {
        using var folder = new TempFolder();
        string corpus = folder.Write("c.txt", "some text"u8.ToArray());

        var error = Assert.Throws<TernException>(() => TokenizerTraining.Run(
            new TokenizerTrainingOptions { Corpus = new CorpusOptions([corpus], DocumentSeparator.WholeFile), Tokens = tokens, Special = special }, _ => { }, CancellationToken.None));
        Assert.Contains(says, error.Message, StringComparison.Ordinal);
    }

    /// <summary>Every pair of every word, counted anew for every merge.</summary>
    private static List<(int Left, int Right)> Plain(WordCounts counts, int mergesMax)
    {
        List<(List<int> Symbols, long Count)> words = [.. counts.All.Select(word => (word.Key.Select(value => (int)value).ToList(), word.Value))];
        var merges = new List<(int, int)>();
        while (merges.Count < mergesMax)
        {
            var pairs = new Dictionary<(int Left, int Right), long>();
            foreach ((List<int> symbols, long count) in words)
                for (int i = 0; i + 1 < symbols.Count; i++)
                    pairs[(symbols[i], symbols[i + 1])] = pairs.GetValueOrDefault((symbols[i], symbols[i + 1])) + count;
            KeyValuePair<(int Left, int Right), long> best = pairs.OrderByDescending(pair => pair.Value).ThenBy(pair => pair.Key).FirstOrDefault();
            if (best.Value < 2)
                break;
            merges.Add(best.Key);
            foreach ((List<int> symbols, _) in words)
            {
                for (int i = 0; i + 1 < symbols.Count; i++)
                {
                    if ((symbols[i], symbols[i + 1]) == best.Key)
                    {
                        symbols[i] = 255 + merges.Count;
                        symbols.RemoveAt(i + 1);
                    }
                }
            }
        }

        return merges;
    }

    /// <summary>A word by its merges: the lowest rank first, the leftmost of equals.</summary>
    private static List<string> Segment(byte[] word, Dictionary<(string, string), int> rank)
    {
        List<string> parts = [.. word.Select(value => ByteAlphabet.Spell(value).ToString())];
        while (true)
        {
            int best = -1;
            for (int i = 0; i + 1 < parts.Count; i++)
                if (rank.TryGetValue((parts[i], parts[i + 1]), out int here) && (best < 0 || here < rank[(parts[best], parts[best + 1])]))
                    best = i;
            if (best < 0)
                return parts;
            parts[best] += parts[best + 1];
            parts.RemoveAt(best + 1);
        }
    }
}
