using Microsoft.Extensions.AI;
using Tern.Extensions.AI;

namespace Tern.Tests.ExtensionsAI;

/// <summary>What the chat client says to the engine, and what it makes of the engine's chunks.</summary>
public sealed class TranslateTests
{
    [Fact]
    public void Every_option_that_Tern_knows_arrives()
    {
        var options = new ChatOptions
        {
            Temperature = 0.25f,
            TopP = 0.5f,
            TopK = 7,
            MaxOutputTokens = 11,
            Seed = -1,
            StopSequences = ["a", "b"],
            FrequencyPenalty = 0.1f,
            PresencePenalty = 0.2f,
        };
        GenerationOptions found = Translate.Options(options, new GenerationOptions { MinP = 0.3f });
        Assert.Equal((0.25f, 0.5f, 7, 11, ulong.MaxValue), (found.Temperature, found.TopP, found.TopK, found.MaxTokens, found.Seed));
        Assert.Equal((0.1f, 0.2f, 0.3f), (found.FrequencyPenalty, found.PresencePenalty, found.MinP));
        Assert.Equal(["a", "b"], found.Stop);
    }

    [Fact]
    public void What_a_call_leaves_open_is_the_default()
    {
        var defaults = new GenerationOptions { Temperature = 0.1f, TopK = 3, MaxTokens = 5, Seed = 9, Stop = ["x"] };
        Assert.Same(defaults, Translate.Options(null, defaults));
        Assert.Equal(defaults, Translate.Options(new ChatOptions(), defaults));
    }

    [Fact]
    public void What_cannot_be_done_is_refused()
    {
        var tools = new ChatOptions { Tools = [AIFunctionFactory.Create(() => 1, "one")] };
        Assert.Equal(ErrorKind.Unsupported, Assert.Throws<TernException>(() => Translate.Options(tools, new())).Kind);
        tools.ToolMode = ChatToolMode.None;
        Translate.Options(tools, new());
        var json = new ChatOptions { ResponseFormat = ChatResponseFormat.Json };
        Assert.Equal(ErrorKind.Unsupported, Assert.Throws<TernException>(() => Translate.Options(json, new())).Kind);
        ChatMessage image = new(ChatRole.User, [new TextContent("what is this?"), new DataContent("data:image/png;base64,AAAA")]);
        Assert.Contains("DataContent", Assert.Throws<TernException>(() => Translate.Messages([image], null)).Message, StringComparison.Ordinal);
        Assert.Equal(ErrorKind.Request, Assert.Throws<TernException>(() => Translate.Messages([new(new ChatRole("narrator"), "once")], null)).Kind);
    }

    [Fact]
    public void Messages_keep_their_order_behind_the_instructions()
    {
        ChatMessage[] chat = [new(ChatRole.System, "s"), new(ChatRole.User, "u"), new(ChatRole.Assistant, "a"), new(ChatRole.Tool, "t"), new(new ChatRole("developer"), "d")];
        Message[] expected = [new(Role.System, "i"), new(Role.System, "s"), new(Role.User, "u"), new(Role.Assistant, "a"), new(Role.Tool, "t"), new(Role.System, "d")];
        Assert.Equal(expected, Translate.Messages(chat, new ChatOptions { Instructions = "i" }));
    }

    [Theory]
    [InlineData(FinishReason.Stop, "stop")]
    [InlineData(FinishReason.Length, "length")]
    public async Task Chunks_become_one_response_with_usage_and_reason(FinishReason reason, string expected)
    {
        static async IAsyncEnumerable<Chunk> Chunks(FinishReason reason)
        {
            yield return new Chunk("Hel");
            await Task.Yield();
            yield return new Chunk("lo");
            yield return new Chunk("!", reason, new Usage(10, 4, 3, TimeSpan.FromMilliseconds(20), TimeSpan.FromMilliseconds(30)));
        }

        ChatResponse response = await TernChatClient.Updates(Chunks(reason), "tiny", default).ToChatResponseAsync();
        Assert.Equal("Hello!", response.Text);
        Assert.Equal(ChatRole.Assistant, Assert.Single(response.Messages).Role);
        Assert.Equal((expected, "tiny"), (response.FinishReason!.Value.Value, response.ModelId));
        UsageDetails usage = response.Usage!;
        Assert.Equal((10L, 3L, 13L, 4L), (usage.InputTokenCount, usage.OutputTokenCount, usage.TotalTokenCount, usage.CachedInputTokenCount));
        Assert.Equal((20L, 30L), (usage.AdditionalCounts!["PromptMilliseconds"], usage.AdditionalCounts["GenerationMilliseconds"]));
    }
}
