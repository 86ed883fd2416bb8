using Microsoft.Extensions.AI;

namespace Tern.Extensions.AI;

/// <summary>Messages, options and usage between the two vocabularies.</summary>
internal static class Translate
{
    /// <summary>The chat in Tern's words, the instructions of the options first.</summary>
    /// <exception cref="TernException">A role that is unknown, or content that is not text.</exception>
    public static List<Message> Messages(IEnumerable<ChatMessage> messages, ChatOptions? options)
    {
        var translated = new List<Message>();
        if (options?.Instructions is { Length: > 0 } instructions)
            translated.Add(new Message(Role.System, instructions));
        foreach (ChatMessage message in messages)
        {
            foreach (AIContent content in message.Contents)
                if (content is not (TextContent or TextReasoningContent or UsageContent))
                    throw new TernException(ErrorKind.Unsupported, $"message {translated.Count} holds {content.GetType().Name}; only text can be given to the model");
            translated.Add(new Message(RoleOf(message.Role), message.Text));
        }

        return translated;
    }

    /// <summary>The options of a call on top of the client's defaults.</summary>
    /// <exception cref="TernException">Something that Tern cannot do is asked for.</exception>
    public static GenerationOptions Options(ChatOptions? options, GenerationOptions defaults)
    {
        if (options is null)
            return defaults;
        if (options.Tools is { Count: > 0 } && options.ToolMode is not NoneChatToolMode)
            throw new TernException(ErrorKind.Unsupported, "ChatOptions.Tools is set, but the model cannot be given tools; leave it empty or set ToolMode to None");
        if (options.ResponseFormat is ChatResponseFormatJson)
            throw new TernException(ErrorKind.Unsupported, "ChatOptions.ResponseFormat is JSON, but answers cannot be held to JSON; leave it empty or use Text");
        return defaults with
        {
            Temperature = options.Temperature ?? defaults.Temperature,
            TopP = options.TopP ?? defaults.TopP,
            TopK = options.TopK ?? defaults.TopK,
            MaxTokens = options.MaxOutputTokens ?? defaults.MaxTokens,
            Seed = options.Seed is { } seed ? unchecked((ulong)seed) : defaults.Seed,
            Stop = options.StopSequences is { Count: > 0 } stop ? [.. stop] : defaults.Stop,
            FrequencyPenalty = options.FrequencyPenalty ?? defaults.FrequencyPenalty,
            PresencePenalty = options.PresencePenalty ?? defaults.PresencePenalty,
        };
    }

    /// <summary>Token counts, and the times in milliseconds as additional counts.</summary>
    public static UsageDetails Usage(Usage usage) => new()
    {
        InputTokenCount = usage.PromptTokens,
        OutputTokenCount = usage.GeneratedTokens,
        TotalTokenCount = usage.PromptTokens + usage.GeneratedTokens,
        CachedInputTokenCount = usage.CachedTokens,
        AdditionalCounts = new AdditionalPropertiesDictionary<long>
        {
            ["PromptMilliseconds"] = (long)usage.PromptTime.TotalMilliseconds,
            ["GenerationMilliseconds"] = (long)usage.GenerationTime.TotalMilliseconds,
        },
    };

    private static Role RoleOf(ChatRole role)
    {
        if (role == ChatRole.System || role == new ChatRole("developer"))
            return Role.System;
        if (role == ChatRole.User)
            return Role.User;
        if (role == ChatRole.Assistant)
            return Role.Assistant;
        if (role == ChatRole.Tool)
            return Role.Tool;
        throw new TernException(ErrorKind.Request, $"a message has the role '{role}', must be system, developer, user, assistant or tool");
    }
}
