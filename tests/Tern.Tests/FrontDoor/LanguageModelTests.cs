using System.Text.Json;
using Microsoft.Extensions.AI;
using Tern.Extensions.AI;

namespace Tern.Tests.FrontDoor;

/// <summary>The front door with real files: the story model of the repository, and golden models with templates and embeddings.</summary>
public sealed class LanguageModelTests(LanguageModelTests.Storyteller storyteller) : IClassFixture<LanguageModelTests.Storyteller>
{
    private const string Beginning = "Once upon a time there was a little";

    private static readonly GenerationOptions s_greedy = new() { Temperature = 0, IgnoreEos = true };

    private readonly LanguageModel _model = storyteller.Model;

    [Fact]
    public async Task The_same_seed_tells_the_same_story_alone_or_in_company()
    {
        GenerationOptions options = new() { Seed = 7, MaxTokens = 40, IgnoreEos = true };
        string alone = (await Read(_model.CompleteAsync(Beginning, options))).Text;
        (string Text, Chunk Last)[] together = await Task.WhenAll(Enumerable.Range(0, 6).Select(i => Read(_model.CompleteAsync(
            i == 3 ? Beginning : $"{Beginning} {i}",
            i == 3 ? options : options with { Seed = 100 + (ulong)i }))));
        Assert.Equal(alone, together[3].Text);
        Assert.NotEqual(alone, (await Read(_model.CompleteAsync(Beginning, options with { Seed = 8 }))).Text);
    }

    [Fact]
    public async Task A_stop_string_cuts_the_greedy_answer_where_it_stands()
    {
        string whole = (await Read(_model.CompleteAsync(Beginning, s_greedy with { MaxTokens = 40 }))).Text;
        string stop = whole.Substring(whole.Length / 2, 5);
        (string text, Chunk last) = await Read(_model.CompleteAsync(Beginning, s_greedy with { MaxTokens = 40, Stop = [stop] }));
        Assert.Equal(whole[..whole.IndexOf(stop, StringComparison.Ordinal)], text);
        Assert.Equal(FinishReason.Stop, last.FinishReason);
    }

    [Fact]
    public async Task A_token_of_a_real_model_allocates_nothing_on_the_engine_thread()
    {
        // A reader that is late sees few moments of an answer, so on a busy machine it takes more than one to see twenty tokens apart.
        (long Bytes, long Tokens) first = default, last = default;
        for (int attempt = 0; attempt < 20 && last.Tokens <= first.Tokens + 20; attempt++)
        {
            const int tokens = 200;
            long before = _model.Statistics.GeneratedTokens;
            long begun = 0;
            bool settled = false;
            await foreach (Chunk chunk in _model.CompleteAsync(Beginning, s_greedy with { MaxTokens = tokens, RepeatPenalty = 1.1f }))
            {
                // The end of a request allocates, and a late reader still reads when the engine has come to it.
                EngineStatistics now = _model.Statistics;
                if (chunk.FinishReason is not null || now.GeneratedTokens >= before + tokens)
                    break;
                last = (now.AllocatedBytes, now.GeneratedTokens);

                // The bytes of a step are counted at its end, so the counts of the first step are there with the second token after it.
                begun = begun == 0 ? now.GeneratedTokens : begun;
                if (!settled)
                    first = last;
                settled |= now.GeneratedTokens >= begun + 2;
            }
        }

        Assert.True(last.Tokens > first.Tokens + 20, "too few tokens were seen");
        Assert.Equal(first.Bytes, last.Bytes);
    }

    [Fact]
    public async Task A_context_that_is_full_ends_the_answer_and_a_longer_prompt_is_refused()
    {
        (_, Chunk last) = await Read(_model.CompleteAsync(Beginning, s_greedy));
        Assert.Equal(FinishReason.Length, last.FinishReason);
        Assert.Equal(_model.ContextLength, last.Usage!.PromptTokens + last.Usage.GeneratedTokens);
        string tooLong = string.Concat(Enumerable.Repeat("and then ", _model.ContextLength));
        TernException e = await Assert.ThrowsAsync<TernException>(() => Read(_model.CompleteAsync(tooLong)));
        Assert.Contains($"{_model.Tokenize(tooLong).Count} tokens", e.Message, StringComparison.Ordinal);
        Assert.Contains($"{_model.ContextLength}", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Cancelling_a_story_frees_its_pages()
    {
        using var cancellation = new CancellationTokenSource();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(async () =>
        {
            await foreach (Chunk _ in _model.CompleteAsync(Beginning, s_greedy, cancellation.Token))
                await cancellation.CancelAsync();
        });
        Assert.Equal(0, _model.Statistics.PagesUsed);
    }

    [Fact]
    public async Task A_model_without_a_template_does_not_invent_one()
    {
        Assert.False(_model.HasChatTemplate);
        TernException e = Assert.Throws<TernException>(() => _model.ChatAsync([new(Role.User, "Hello")]));
        Assert.Contains("no chat template", e.Message, StringComparison.Ordinal);
        e = await Assert.ThrowsAsync<TernException>(() => _model.EmbedAsync("Hello"));
        Assert.Contains("embedding model", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Text_becomes_tokens_and_text_again()
    {
        IReadOnlyList<int> ids = _model.Tokenize("The cat sat — naïvely.", addSpecial: false);
        Assert.Equal("The cat sat — naïvely.", _model.Detokenize(ids));
        TernException e = Assert.Throws<TernException>(() => _model.Detokenize([_model.VocabularySize + 5]));
        Assert.Contains($"{_model.VocabularySize + 5}", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_disposed_model_says_so()
    {
        LanguageModel model = Storyteller.Load();
        model.Dispose();
        model.Dispose();
        Assert.Throws<ObjectDisposedException>(() => model.CompleteAsync("x"));
    }

    [SharedTheory]
    [InlineData("m01-bitnet-b158-i2s")]
    [InlineData("m04-llama-i2s-untied")]
    [InlineData("m06a-qwen3-q1_0")]
    [InlineData("m10a-llama-f16")]
    public async Task Greedy_answers_begin_as_the_reference_does(string name)
    {
        using LanguageModel model = LanguageModel.Load(Goldens.File(name), new LoadOptions { FloatActivations = true });
        JsonElement prompt = Goldens.Expected(name).GetProperty("prompts")[0];
        string text = prompt.GetProperty("text").GetString()!;
        Assert.Equal(Ints(prompt.GetProperty("ids")), model.Tokenize(text));
        int[] stable = [.. Ints(prompt.GetProperty("greedy")).Take(prompt.GetProperty("greedy_stable_prefix").GetInt32())];
        (string answer, _) = await Read(model.CompleteAsync(text, s_greedy with { MaxTokens = stable.Length }));
        Assert.Equal(model.Detokenize(stable), answer);
    }

    [SharedFact]
    public async Task A_chat_goes_through_the_template_and_the_second_turn_finds_the_first()
    {
        using LanguageModel model = LanguageModel.Load(Goldens.File("m01-bitnet-b158-i2s"));
        Assert.True(model.HasChatTemplate);
        List<Message> chat = [new(Role.System, string.Concat(Enumerable.Repeat("Be kind. ", 30))), new(Role.User, "Hello")];
        (string answer, Chunk last) = await Read(model.ChatAsync(chat, s_greedy with { MaxTokens = 8 }));
        Assert.Equal(0, last.Usage!.CachedTokens);
        chat.AddRange([new(Role.Assistant, answer), new(Role.User, "And then?")]);
        (_, last) = await Read(model.ChatAsync(chat, s_greedy with { MaxTokens = 8 }));
        Assert.True(last.Usage!.CachedTokens >= 32, $"{last.Usage.CachedTokens} tokens were cached");
    }

    [SharedFact]
    public async Task The_chat_client_streams_the_same_answer()
    {
        LanguageModel model = LanguageModel.Load(Goldens.File("m01-bitnet-b158-i2s"));
        using IChatClient client = new TernChatClient(model, s_greedy, "tiny", ownsModel: true);
        (string expected, _) = await Read(model.ChatAsync([new(Role.User, "Hello")], s_greedy with { MaxTokens = 12 }));
        ChatResponse response = await client.GetResponseAsync("Hello", new ChatOptions { MaxOutputTokens = 12 });
        Assert.Equal(expected, response.Text);
        Assert.Equal((ChatFinishReason.Length, "tiny"), (response.FinishReason!.Value, response.ModelId));
        Assert.Equal(12, response.Usage!.OutputTokenCount);
        Assert.Equal("tiny", client.GetService<ChatClientMetadata>()!.DefaultModelId);
        Assert.Same(model, client.GetService<LanguageModel>());
        Assert.Same(client, client.GetService<IChatClient>());
    }

    [SharedTheory]
    [InlineData("m07-qwen3-embedding-normin-i2s")]
    [InlineData("m08a-gemma3-embedding-normin-i2s")]
    public async Task Embeddings_point_where_the_reference_does(string name)
    {
        using LanguageModel model = LanguageModel.Load(Goldens.File(name));
        Assert.True(model.IsEmbedding);
        using var generator = new TernEmbeddingGenerator(model);
        foreach (JsonElement prompt in Goldens.Expected(name).GetProperty("prompts").EnumerateArray())
        {
            float[] expected = [.. prompt.GetProperty("embedding").EnumerateArray().Select(e => e.GetSingle())];
            string text = prompt.GetProperty("text").GetString()!;
            float[] found = await model.EmbedAsync(text);

            // The goldens' own limit for keys and values in 16 bits.
            Assert.InRange(expected.Zip(found, (a, b) => (double)a * b).Sum(), 0.99, 1.0001);
            Assert.Equal(found, (await generator.GenerateAsync([text]))[0].Vector.ToArray());
        }

        Assert.Throws<TernException>(() => model.CompleteAsync("x"));
        await Assert.ThrowsAsync<TernException>(() => generator.GenerateAsync(["x"], new EmbeddingGenerationOptions { Dimensions = 3 }));
    }

    private static int[] Ints(JsonElement array) => [.. array.EnumerateArray().Select(e => e.GetInt32())];

    private static async Task<(string Text, Chunk Last)> Read(IAsyncEnumerable<Chunk> chunks)
    {
        string text = "";
        Chunk? last = null;
        await foreach (Chunk chunk in chunks)
        {
            text += chunk.Text;
            last = chunk;
        }

        return (text, last!);
    }

    /// <summary>The model that the repository ships, loaded once.</summary>
    public sealed class Storyteller : IDisposable
    {
        public LanguageModel Model { get; } = Load();

        public static LanguageModel Load() =>
            LanguageModel.Load(Path.Combine(Repository.Root, "src", "Tern.Cli", "models", "storyteller.gguf"), new LoadOptions { ContextLength = 256 });

        public void Dispose() => Model.Dispose();
    }
}
