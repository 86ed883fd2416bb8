using System.Text.Json;

namespace Tern.Text.Templates;

/// <summary>One message: who speaks and what they say. <see cref="Json"/>, where it is given, is the whole message and wins.</summary>
internal sealed record TemplateMessage(string Role, string Content)
{
    /// <summary>A message as a request spells it, with content parts, tool calls or names.</summary>
    public TemplateMessage(JsonElement json)
        : this("", "") => Json = json;

    public JsonElement? Json { get; }
}

/// <summary>What a chat template renders.</summary>
internal sealed record TemplateInput
{
    /// <summary>The conversation, oldest message first.</summary>
    public required IReadOnlyList<TemplateMessage> Messages { get; init; }

    /// <summary>The tools that the model may call, an array as requests spell it; null for none.</summary>
    public JsonElement? Tools { get; init; }

    /// <summary>Whether the text ends with the opening of the model's answer.</summary>
    public bool AddGenerationPrompt { get; init; } = true;

    /// <summary>Further variables, such as <c>enable_thinking</c>. They may not replace <see cref="ChatTemplate.Reserved"/> names.</summary>
    public IReadOnlyDictionary<string, JsonElement> Variables { get; init; } = new Dictionary<string, JsonElement>();

    /// <summary>What <c>strftime_now</c> tells; null for the time of the render.</summary>
    public DateTimeOffset? Now { get; init; }
}
