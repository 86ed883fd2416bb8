using System.Text;
using Tern.Files;
using Tern.Tests.Files;
using Tern.Text;
using Tern.Text.Templates;
using Tern.Training;
using Tern.Training.Data;

namespace Tern.Tests.Training.Data;

/// <summary>From documents to sequences: the cache, the split, packing, masks, positions.</summary>
public sealed class TokenDataTests
{
    private const string Template =
        "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{% if m.role == 'assistant' %}<|end|>{% endif %}{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}";

    [Fact]
    public void Every_document_is_in_the_cache_between_begin_and_end()
    {
        using var world = new World(documents: 5);
        string[] documents = File.ReadAllText(world.Text).Split("\n\n");

        Assert.Equal(documents.Length, world.Cache.Documents.Count);
        for (int i = 0; i < documents.Length; i++)
        {
            CachedDocument document = world.Cache.Documents[i];
            var ids = new int[document.Tokens];
            world.Cache.Read(document.Start, ids, new bool[ids.Length]);
            Assert.Equal([world.Tokenizer.Bos, .. world.Tokenizer.Encode(documents[i], addSpecial: false), world.Tokenizer.Eos], ids);
            Assert.Equal(Encoding.UTF8.GetByteCount(documents[i]), document.TextBytes);
        }

        Assert.Equal(world.Cache.Tokens, world.Cache.Documents.Sum(document => document.Tokens));
    }

    [Fact]
    public void A_damaged_cache_is_refused()
    {
        using var world = new World(documents: 3);
        byte[] whole = File.ReadAllBytes(world.CachePath);
        int table = whole.Length - 40;
        foreach (int at in (int[])[0, 8, 12, 16, 24, 40, 70, table])
        {
            byte[] damaged = [.. whole];
            damaged[at] ^= 0x15;
            Refuses(damaged, "format error at offset");
        }

        Refuses(whole[..^1], "format error");
        Refuses(whole[..50], "50 bytes");

        void Refuses(byte[] bytes, string says)
        {
            string path = world.Folder.Write("damaged.bin", bytes);
            Assert.Contains(says, Assert.Throws<TernException>(() => TokenCache.Open(path, world.Tokenizer.Count).Dispose()).Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void A_token_outside_the_vocabulary_is_refused()
    {
        using var world = new World(documents: 3);
        using TokenCache cache = TokenCache.Open(world.CachePath, vocabulary: 100);
        Assert.Throws<TernException>(() => cache.Read(0, new int[50], new bool[50]));
    }

    [Fact]
    public void An_epoch_gives_every_window_once_and_the_next_epoch_other_ones()
    {
        const int context = 16;
        using var world = new World(documents: 9);
        int[] all = [.. Enumerable.Range(0, 9)];
        var stream = new TrainingStream(world.Cache, all, context, world.Tokenizer.Bos, seed: 5);
        List<int[]> first = Epoch(stream), second = Epoch(stream);

        // What the windows of an epoch hold besides begin tokens is what the corpus holds, less the rest at both ends.
        Assert.True(first.Count >= (world.Cache.Tokens / context) - 2);
        Assert.All(first, row => Assert.Equal(world.Tokenizer.Bos, row[0]));
        Assert.Equal(first.Count, first.Select(row => string.Join(',', row)).Distinct().Count());
        Assert.NotEqual(first.SelectMany(row => row), second.SelectMany(row => row));
        Assert.Equal(2, stream.Epochs);

        Dictionary<int, int> corpus = Histogram(world.AllTokens());
        Assert.All(Histogram(first.SelectMany(row => row.Skip(1))), entry => Assert.True(entry.Value <= corpus[entry.Key]));
    }

    [Fact]
    public void Targets_are_what_follows_and_never_a_begin_token()
    {
        const int context = 12;
        using var world = new World(documents: 6);
        var stream = new TrainingStream(world.Cache, [0, 1, 2, 3, 4, 5], context, world.Tokenizer.Bos, seed: 1);
        var inputs = new int[context];
        var targets = new int[context];
        int masked = 0;
        for (int i = 0; i < stream.SequencesPerEpoch; i++)
        {
            stream.Next(inputs, targets);
            for (int t = 0; t + 1 < context; t++)
            {
                bool begins = inputs[t + 1] == world.Tokenizer.Bos;
                masked += begins ? 1 : 0;
                Assert.Equal(begins ? TokenBatch.NoLoss : inputs[t + 1], targets[t]);
            }
        }

        Assert.True(masked > 0);
    }

    [Fact]
    public void A_saved_position_goes_on_with_the_same_sequences()
    {
        const int context = 8;
        using var world = new World(documents: 4, words: 30);
        int[] documents = [0, 1, 3];
        var whole = new TrainingStream(world.Cache, documents, context, world.Tokenizer.Bos, seed: 9);
        int total = (2 * whole.SequencesPerEpoch) + 5;
        List<string> expected = [.. Enumerable.Range(0, total).Select(_ => Row(whole))];
        foreach (int cut in (int[])[0, 1, whole.SequencesPerEpoch - 1, whole.SequencesPerEpoch, whole.SequencesPerEpoch + 1, total - 1])
        {
            var first = new TrainingStream(world.Cache, documents, context, world.Tokenizer.Bos, seed: 9);
            for (int i = 0; i < cut; i++)
                Row(first);
            var second = new TrainingStream(world.Cache, documents, context, world.Tokenizer.Bos, seed: 9);
            second.Restore(first.Save());
            Assert.Equal(expected.Skip(cut), Enumerable.Range(cut, total - cut).Select(_ => Row(second)));
        }

        Assert.Throws<TernException>(() => whole.Restore(new byte[3]));
        Assert.Throws<TernException>(() => new TrainingStream(world.Cache, [0, 1], context, world.Tokenizer.Bos, 9).Restore(whole.Save()));
    }

    [Fact]
    public void Text_shorter_than_a_sequence_is_refused()
    {
        using var world = new World(documents: 2, words: 5);
        var error = Assert.Throws<TernException>(() => new TrainingStream(world.Cache, [0, 1], 1024, world.Tokenizer.Bos, 1));
        Assert.Contains("less than two sequences of 1024", error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(2)]
    [InlineData(7)]
    [InlineData(16)]
    [InlineData(500)]
    public void Held_out_text_is_scored_once_with_context(int context)
    {
        using var world = new World(documents: 5, words: 40);
        int[] documents = [1, 4];
        var heldOut = new HeldOutText(world.Cache, documents, context, world.Tokenizer);
        var scored = new List<int>();
        HeldOutScore score = heldOut.Score(
            batch =>
            {
                for (int row = 0; row < batch.Sequences; row++)
                {
                    int counted = 0;
                    for (int t = 0; t < context; t++)
                    {
                        int target = batch.Targets[(row * context) + t];
                        if (target < 0)
                            continue;
                        counted++;
                        scored.Add(target);
                        if (t + 1 < context)
                            Assert.Equal(target, batch.Inputs[(row * context) + t + 1]);
                    }

                    Assert.True(counted > 0);
                }

                return new LossSum(Math.Log(2) * batch.Targets.Count(target => target >= 0), batch.Targets.Count(target => target >= 0));
            },
            int.MaxValue,
            batchSequences: 3);

        // A loss of one bit per token, so bits per byte are tokens per byte; the end token stands for no text.
        List<int> expected = [.. documents.SelectMany(i => world.TokensOf(i).Skip(1))];
        Assert.Equal(expected, scored);
        Assert.Equal(expected.Count, score.Tokens);
        Assert.Equal((double)expected.Count / documents.Sum(i => world.Cache.Documents[i].TextBytes), score.BitsPerByte, 12);
        Assert.Equal(2, score.Perplexity, 12);
    }

    [Fact]
    public void The_split_is_by_whole_documents_and_by_seed()
    {
        using var world = new World(documents: 20);
        HeldOutSplit one = Split(0.1, [], 1);

        Assert.Equal(Enumerable.Range(0, 20), one.Train.Concat(one.HeldOut).Order());
        Assert.InRange(one.HeldOut.Length, 1, 4);
        Assert.Equal(one.HeldOut, Split(0.1, [], 1).HeldOut);
        Assert.Contains(Enumerable.Range(2, 20), seed => !Split(0.1, [], (ulong)seed).HeldOut.SequenceEqual(one.HeldOut));
        Assert.Equal([2, 6], Split(0.3, ["corpus.txt#3", "corpus.txt#7"], 1).HeldOut);
        Assert.Empty(Split(0, [], 1).HeldOut);
        Assert.Contains("'corpus.txt#21'", Assert.Throws<TernException>(() => Split(0, ["corpus.txt#21"], 1)).Message, StringComparison.Ordinal);
        Assert.Throws<TernException>(() => HeldOutSplit.Of([world.Cache.Documents[0]], new HeldOutOptions(0.1, [], 1)));
        Assert.Throws<TernException>(() => Split(0, [.. Enumerable.Range(1, 20).Select(i => $"corpus.txt#{i}")], 1));

        HeldOutSplit Split(double share, string[] names, ulong seed) => HeldOutSplit.Of(world.Cache.Documents, new HeldOutOptions(share, names, seed));
    }

    [Fact]
    public void Of_a_chat_the_answers_alone_are_learned()
    {
        using var world = new World(documents: 2, template: Template);
        string chat = world.Folder.Write("chat.jsonl", """{"messages": [{"role": "system", "content": "be kind"}, {"role": "user", "content": "hello"}, {"role": "assistant", "content": "well met"}, {"role": "user", "content": "bye"}, {"role": "assistant", "content": "farewell"}]}"""u8.ToArray());
        using TokenCache cache = world.Encode(chat);

        var ids = new int[cache.Tokens];
        var learned = new bool[ids.Length];
        cache.Read(0, ids, learned);

        Assert.Equal("<|system|>be kind<|user|>hello<|assistant|>well met<|end|><|user|>bye<|assistant|>farewell<|end|>", world.Tokenizer.Decode(ids, special: true));
        Assert.Equal("well met<|end|>farewell<|end|>", world.Tokenizer.Decode(ids.Where((_, i) => learned[i]).ToArray(), special: true));
        Assert.Equal("well metfarewell".Length, cache.Documents[0].TextBytes);
    }

    [Fact]
    public void A_chat_needs_a_template_that_appends()
    {
        using var world = new World(documents: 2);
        string chat = world.Folder.Write("chat.jsonl", """{"messages": [{"role": "assistant", "content": "x"}]}"""u8.ToArray());
        Assert.Contains("chat template", Assert.Throws<TernException>(() => world.Encode(chat).Dispose()).Message, StringComparison.Ordinal);

        using var other = new World(documents: 2, template: "{{ messages | length }}{% for m in messages %}{{ m.content }}{% endfor %}");
        Assert.Contains("continuation", Assert.Throws<TernException>(() => other.Encode(chat).Dispose()).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Text_without_tokens_and_empty_files_are_refused()
    {
        using var world = new World(documents: 2);
        Assert.Contains("no text", Assert.Throws<TernException>(() => world.Encode(world.Folder.Write("e.txt", "\n \n"u8.ToArray())).Dispose()).Message, StringComparison.Ordinal);

        // A vocabulary that lost the byte 'q'.
        var metadata = new Metadata("test");
        foreach (MetadataEntry entry in world.Metadata.Entries)
            metadata.TryAdd(entry);
        StringTable tokens = world.Metadata.Strings("tokenizer.ggml.tokens")!;
        metadata.Set("tokenizer.ggml.tokens", StringTable.From(Enumerable.Range(0, tokens.Count).Select(i => i == 'q' ? "§§" : tokens.Text(i))));
        Tokenizer lacking = Tokenizer.From(metadata, _ => { });
        string text = world.Folder.Write("q.txt", "a qualm"u8.ToArray());
        var error = Assert.Throws<TernException>(() => TokenCacheWriter.Write(
            world.Folder.File("q.bin"), new CorpusOptions([text], DocumentSeparator.WholeFile), null, lacking, null, _ => { }, CancellationToken.None));
        Assert.Contains("does not cover", error.Message, StringComparison.Ordinal);
        Assert.False(File.Exists(world.Folder.File("q.bin")));
    }

    private static List<int[]> Epoch(TrainingStream stream) =>
        [.. Enumerable.Range(0, stream.SequencesPerEpoch).Select(_ =>
        {
            var inputs = new int[16];
            stream.Next(inputs, new int[16]);
            return inputs;
        })];

    private static string Row(TrainingStream stream)
    {
        var inputs = new int[8];
        var targets = new int[8];
        stream.Next(inputs, targets);
        return string.Join(',', inputs) + "|" + string.Join(',', targets);
    }

    private static Dictionary<int, int> Histogram(IEnumerable<int> ids) => ids.GroupBy(id => id).ToDictionary(group => group.Key, group => group.Count());

    private sealed class World : IDisposable
    {
        public World(int documents, int words = 60, string? template = null)
        {
            (Text, string path) = TinyCorpus.Write(Folder, documents, words, chatTemplate: template, special: template is null ? [] : ["<|system|>", "<|user|>", "<|assistant|>"]);
            (Metadata, Tokenizer) = TinyCorpus.Open(path);
            Cache = Encode(Text);
            CachePath = Folder.File("corpus.txt.bin");
        }

        public TempFolder Folder { get; } = new();

        public string Text { get; }

        public string CachePath { get; }

        public Metadata Metadata { get; }

        public Tokenizer Tokenizer { get; }

        public TokenCache Cache { get; }

        public TokenCache Encode(string path)
        {
            ChatTemplate? template = ChatTemplate.From(Metadata, Tokenizer, _ => { });
            TokenCacheWriter.Write(
                path + ".bin", new CorpusOptions([path], new DocumentSeparator(1, null)), null, Tokenizer,
                template is null ? null : new ChatEncoder(template, Tokenizer), _ => { }, CancellationToken.None);
            return TokenCache.Open(path + ".bin", Tokenizer.Count);
        }

        public int[] TokensOf(int document)
        {
            var ids = new int[Cache.Documents[document].Tokens];
            Cache.Read(Cache.Documents[document].Start, ids, new bool[ids.Length]);
            return ids;
        }

        public IEnumerable<int> AllTokens() => Enumerable.Range(0, Cache.Documents.Count).SelectMany(TokensOf);

        public void Dispose()
        {
            Cache.Dispose();
            Folder.Dispose();
        }
    }
}
