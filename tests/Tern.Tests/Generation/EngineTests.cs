using Tern.Generation;
using Tern.Models;

namespace Tern.Tests.Generation;

/// <summary>The engine's loop with a forward step whose answers are known.</summary>
public sealed class EngineTests
{
    private const int Size = 64;

    private static readonly GenerationOptions s_greedy = new() { Temperature = 0 };
    private static readonly string[] s_letters = [.. Enumerable.Range(0, Size).Select(i => $"{(char)('0' + i)}")];

    /// <summary>Depends on every token before, so two sequences that get mixed up go apart.</summary>
    private static int Next(int sum, int position) => (sum * 31 + position * 7) % Size;

    [Fact]
    public async Task An_answer_is_what_the_model_says()
    {
        using Engine engine = New(Next);
        int[] prompt = [3, 1, 4];
        (string text, Chunk last) = await Read(engine, prompt, s_greedy with { MaxTokens = 50 });
        Assert.Equal(Expected(prompt, 50), text);
        Assert.Equal(FinishReason.Length, last.FinishReason);
        Assert.Equal((3, 0, 50), (last.Usage!.PromptTokens, last.Usage.CachedTokens, last.Usage.GeneratedTokens));
        Assert.True(last.Usage.PromptTime > TimeSpan.Zero && last.Usage.GenerationTime > TimeSpan.Zero);
    }

    /// <summary>Few pages, so that sequences push each other out; shared beginnings; a small budget, so that prefill is cut.</summary>
    [Theory]
    [InlineData(1, 8, 4, 256)]
    [InlineData(4, 8, 4, 16)]
    [InlineData(4, 9, 8, 8)]
    [InlineData(8, 32, 8, 64)]
    public async Task Requests_at_once_each_get_their_own_answer(int seed, int pages, int parallel, int budget)
    {
        using Engine engine = New(Next, pages: pages, parallel: parallel, budget: budget);
        var random = new Random(seed);
        int[] shared = [.. Enumerable.Range(0, 100).Select(_ => random.Next(Size))];
        await Task.WhenAll(Enumerable.Range(0, 30).Select(async i =>
        {
            int[] prompt;
            lock (random)
                prompt = [.. shared.Take(random.Next(shared.Length)), .. Enumerable.Range(0, random.Next(1, 40)).Select(_ => random.Next(Size))];
            (string text, _) = await Read(engine, prompt, s_greedy with { MaxTokens = 60 + i });
            Assert.Equal(Expected(prompt, 60 + i), text);
        }));
        EngineStatistics statistics = engine.Statistics;
        Assert.Equal((0, 0, 30, 0), (statistics.Running, statistics.Waiting, (int)statistics.Finished, statistics.PagesUsed));
        if (pages < 10 && parallel > 1)
            Assert.True(statistics.Preemptions > 0, "nobody was preempted");
    }

    [Fact]
    public async Task The_next_turn_of_a_chat_finds_its_beginning_in_the_cache()
    {
        using Engine engine = New(Next);
        int[] prompt = [.. Enumerable.Range(0, 40)];
        await Read(engine, prompt, s_greedy with { MaxTokens = 30 });
        int[] turn = [.. prompt, .. Ids(prompt, 30), 5, 6];
        (string text, Chunk last) = await Read(engine, turn, s_greedy with { MaxTokens = 10 });
        Assert.Equal(Expected(turn, 10), text);
        Assert.Equal(64, last.Usage!.CachedTokens);
    }

    [Fact]
    public async Task A_full_context_ends_the_answer()
    {
        using Engine engine = New(Next, context: 100, pages: 4);
        (string text, Chunk last) = await Read(engine, [.. Enumerable.Range(0, 60)], s_greedy);
        Assert.Equal((40, FinishReason.Length), (text.Length, last.FinishReason!.Value));
    }

    [Fact]
    public async Task A_stop_token_ends_the_answer_unless_it_is_ignored()
    {
        using Engine engine = New((_, position) => position % Size, stopIds: [20]);
        (string text, Chunk last) = await Read(engine, [1, 1], s_greedy with { MaxTokens = 40 });
        Assert.Equal(string.Concat(s_letters[1..20]), text);
        Assert.Equal((FinishReason.Stop, 20), (last.FinishReason!.Value, last.Usage!.GeneratedTokens));
        (text, _) = await Read(engine, [1, 1], s_greedy with { MaxTokens = 40, IgnoreEos = true });
        Assert.Equal(string.Concat(s_letters[1..41]), text);
    }

    /// <summary>The answer "one <b>stop</b> two", cut into three tokens at every pair of places; also inside the bytes of a character.</summary>
    [Fact]
    public async Task A_stop_string_ends_the_answer_however_tokens_cut_it()
    {
        byte[] answer = System.Text.Encoding.UTF8.GetBytes("öne stöp twö");
        for (int a = 0; a <= answer.Length; a++)
            for (int b = a; b <= answer.Length; b += 2)
            {
                byte[][] pieces = [[], answer[..a], answer[a..b], answer[b..]];
                var vocabulary = new TokenTable(4, id => pieces[id], _ => [], new HashSet<int>());
                using var engine = new Engine(new FakeModel(4, 4, (_, position) => Math.Min(position + 1, 3)).Forward, vocabulary, Limits(128, 4, 4, 64, 4));
                (string text, Chunk last) = await Read(engine, [0], s_greedy with { MaxTokens = 3, Stop = ["stöp"] });
                Assert.Equal(("öne ", FinishReason.Stop), (text, last.FinishReason!.Value));
                (text, last) = await Read(engine, [0], s_greedy with { MaxTokens = 3, Stop = ["twöö"] });
                Assert.Equal(("öne stöp twö", FinishReason.Length), (text, last.FinishReason!.Value));
            }
    }

    [Fact]
    public async Task A_character_is_never_cut()
    {
        byte[][] pieces = [[0xE2], [0x98], [0x83], [0xF0, 0x9F]];
        var vocabulary = new TokenTable(4, id => pieces[id], _ => [], new HashSet<int>());
        using var engine = new Engine(new FakeModel(4, 4, (_, position) => position % 4).Forward, vocabulary, Limits(128, 4, 4, 64, 4));
        List<string> chunks = [];
        await foreach (Chunk chunk in engine.GenerateAsync([0], s_greedy with { MaxTokens = 4 }, default))
            chunks.Add(chunk.Text);
        Assert.Equal("☃\uFFFD", string.Concat(chunks));
        Assert.DoesNotContain(chunks, c => c.StartsWith('\uFFFD') && chunks[^1] != c);
    }

    [Fact]
    public async Task Cancelling_ends_the_request_and_frees_its_pages()
    {
        using Engine engine = New(Next, context: 100_000, pages: 4000);
        using var cancellation = new CancellationTokenSource();
        int tokens = 0;
        await Assert.ThrowsAnyAsync<OperationCanceledException>(async () =>
        {
            await foreach (Chunk chunk in engine.GenerateAsync([.. Enumerable.Range(0, 60)], s_greedy, cancellation.Token))
                if ((tokens += chunk.Text.Length) > 5)
                    await cancellation.CancelAsync();
        });
        Assert.Equal((0, 0), (engine.Statistics.PagesUsed, engine.Statistics.Running));
        (string text, _) = await Read(engine, [1, 2], s_greedy with { MaxTokens = 5 });
        Assert.Equal(Expected([1, 2], 5), text);
    }

    [Fact]
    public async Task Leaving_early_ends_the_request()
    {
        using Engine engine = New(Next, context: 100_000, pages: 4000);
        await foreach (Chunk _ in engine.GenerateAsync([1, 2, 3], s_greedy, default))
            break;
        await Until(() => engine.Statistics is { PagesUsed: 0, Finished: 1 });
    }

    [Fact]
    public async Task A_fault_reaches_everyone_and_later_requests_are_refused()
    {
        var model = new FakeModel(Size, 64, Next);
        int passes = 0;
        model.Before = _ =>
        {
            if (++passes == 10)
                throw new InvalidOperationException("the matrix is broken");
        };
        using var engine = new Engine(model.Forward, FakeModel.Words(s_letters), Limits(512, 64, 2, 64, Size));
        TernException[] failures = await Task.WhenAll(Enumerable.Range(0, 5).Select(i => Assert.ThrowsAsync<TernException>(() => Read(engine, [1, i], s_greedy))));
        Assert.All(failures, e => Assert.Equal(ErrorKind.Engine, e.Kind));
        Assert.All(failures, e => Assert.Contains("the matrix is broken", e.Message, StringComparison.Ordinal));
        TernException later = await Assert.ThrowsAsync<TernException>(() => Read(engine, [1], s_greedy));
        Assert.Contains("the matrix is broken", later.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task What_does_not_fit_is_refused_with_both_numbers()
    {
        using Engine engine = New(Next, context: 100, pages: 4);
        TernException e = await Assert.ThrowsAsync<TernException>(() => Read(engine, new int[100], s_greedy));
        Assert.Equal(ErrorKind.Request, e.Kind);
        Assert.Contains("the prompt has 100 tokens, but the context has 100", e.Message, StringComparison.Ordinal);
        e = await Assert.ThrowsAsync<TernException>(() => Read(engine, [], s_greedy));
        Assert.Contains("empty", e.Message, StringComparison.Ordinal);
        e = await Assert.ThrowsAsync<TernException>(() => Read(engine, [1, Size], s_greedy));
        Assert.Contains($"token {Size}, must be in [0, {Size - 1}]", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_full_queue_refuses_and_goes_on()
    {
        var model = new FakeModel(Size, 64, Next);
        using var gate = new ManualResetEventSlim();
        model.Before = _ => gate.Wait();
        using var engine = new Engine(model.Forward, FakeModel.Words(s_letters), Limits(512, 64, 2, 64, Size) with { QueuedRequests = 3 });
        Task<(string, Chunk)>[] accepted = [.. Enumerable.Range(0, 5).Select(i => Read(engine, [1, i], s_greedy with { MaxTokens = 3 }))];
        TernException e = await Assert.ThrowsAsync<TernException>(() => Read(engine, [1], s_greedy));
        Assert.Equal(ErrorKind.Limit, e.Kind);
        gate.Set();
        await Task.WhenAll(accepted);
    }

    [Fact]
    public async Task Disposing_ends_what_runs_and_refuses_what_comes()
    {
        Engine engine = New(Next, context: 100_000, pages: 4000);
        Task<(string, Chunk)> running = Read(engine, [1, 2], s_greedy);
        await Until(() => engine.Statistics.GeneratedTokens > 3);
        engine.Dispose();
        Assert.Equal(ErrorKind.Engine, (await Assert.ThrowsAsync<TernException>(() => running)).Kind);
        Assert.Equal(ErrorKind.Engine, (await Assert.ThrowsAsync<TernException>(() => Read(engine, [1], s_greedy))).Kind);
    }

    [Fact]
    public async Task An_embedding_is_the_last_state_with_length_one()
    {
        ForwardStep forward = (batch, output) =>
        {
            for (int i = 0; i < output.Length; i++)
                output[i] = batch.Tokens[^1] * (i % 3 + 1);
        };
        using var engine = new Engine(forward, FakeModel.Words(s_letters), Limits(512, 16, 1, 16, 3));
        float[] embedding = await engine.EmbedAsync([.. Enumerable.Range(1, 60)], default);
        double length = Math.Sqrt(1 + 4 + 9);
        Assert.Equal(new[] { (float)(1 / length), (float)(2 / length), (float)(3 / length) }, embedding);
        Assert.Equal(0, engine.Statistics.PagesUsed);
        Assert.Equal(new float[3], await engine.EmbedAsync([0], default));
        using var cancelled = new CancellationTokenSource();
        await cancelled.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => engine.EmbedAsync([1], cancelled.Token));
    }

    /// <summary>Readers wait and are woken all the time meanwhile: that, too, allocates nothing on the engine's thread.</summary>
    [Fact]
    public async Task A_generated_token_allocates_nothing_on_the_engine_thread()
    {
        static void Forward(Batch batch, Span<float> output)
        {
            output.Clear();
            for (int row = 0; row < batch.LogitRowCount; row++)
                output[row * Size + batch.Slices[row].First % Size] = 10;
        }

        using var engine = new Engine(Forward, FakeModel.Words(s_letters), Limits(16_000, 1000, 2, 64, Size));
        var options = new GenerationOptions { MaxTokens = 14_000, Stop = ["never", "seen"], RepeatPenalty = 1.1f, DryMultiplier = 0.5f, DryPenaltyLastN = 64, Seed = 1 };
        long before = -1, tokensBefore = 0;
        Task other = Read(engine, [9, 9], options);
        await foreach (Chunk _ in engine.GenerateAsync([1, 2, 3], options, default))
        {
            // The first hundreds warm up: the pool's threads, tiers of the compiler.
            EngineStatistics now = engine.Statistics;
            if (now.GeneratedTokens < 6_000)
                (before, tokensBefore) = (now.AllocatedBytes, now.GeneratedTokens);
            else if (now.GeneratedTokens >= 24_000)
                break;
        }

        EngineStatistics after = engine.Statistics;
        Assert.True(after.GeneratedTokens - tokensBefore >= 10_000, $"only {after.GeneratedTokens - tokensBefore} tokens were counted");
        Assert.Equal(0, after.AllocatedBytes - before);
        await other;
    }

    private static Engine New(Func<int, int, int> next, int context = 256, int pages = 64, int parallel = 4, int budget = 64, int[]? stopIds = null) =>
        new(new FakeModel(Size, pages, next).Forward, FakeModel.Words(s_letters, stopIds ?? []), Limits(context, pages, parallel, budget, Size));

    private static EngineLimits Limits(int context, int pages, int parallel, int budget, int width) => new()
    {
        ContextLength = context,
        Pages = pages,
        ParallelRequests = parallel,
        QueuedRequests = 100,
        BatchTokens = budget,
        OutputWidth = width,
    };

    private static async Task<(string Text, Chunk Last)> Read(Engine engine, int[] prompt, GenerationOptions options)
    {
        string text = "";
        Chunk? last = null;
        await foreach (Chunk chunk in engine.GenerateAsync(prompt, options, default))
        {
            Assert.Null(last?.FinishReason);
            text += chunk.Text;
            last = chunk;
        }

        return (text, last!);
    }

    private static int[] Ids(int[] prompt, int count)
    {
        int sum = prompt.Sum();
        var ids = new int[count];
        for (int i = 0; i < count; i++)
            sum += ids[i] = Next(sum, prompt.Length - 1 + i);
        return ids;
    }

    private static string Expected(int[] prompt, int count) => string.Concat(Ids(prompt, count).Select(id => s_letters[id]));

    private static async Task Until(Func<bool> condition)
    {
        for (int i = 0; i < 1000 && !condition(); i++)
            await Task.Delay(10);
        Assert.True(condition());
    }
}
