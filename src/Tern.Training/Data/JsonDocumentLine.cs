using System.Text;
using System.Text.Json;

namespace Tern.Training.Data;

/// <summary>
/// One line of a JSONL corpus: <c>{"text": "…"}</c>, or a chat <c>{"messages": [{"role": "user", "content": "…"}, …]}</c>; other members are ignored.
/// </summary>
internal static class JsonDocumentLine
{
    private static readonly JsonDocumentOptions s_options = new() { MaxDepth = 64, AllowDuplicateProperties = false };

    /// <summary>Reads a line.</summary>
    /// <param name="line">Valid UTF-8.</param>
    /// <param name="name">The name of the document.</param>
    /// <param name="place">File, line and offset, for messages.</param>
    /// <exception cref="TernException">No JSON, or neither a text nor a chat.</exception>
    public static CorpusPiece Parse(ReadOnlyMemory<byte> line, string name, string place)
    {
        try
        {
            using JsonDocument document = JsonDocument.Parse(line, s_options);
            JsonElement root = document.RootElement;
            if (root.ValueKind != JsonValueKind.Object)
                throw Wrong(place, "is no JSON object");
            if (root.TryGetProperty("messages", out JsonElement messages))
                return new CorpusPiece(name, default, Turns(messages, place), false, place);
            if (!root.TryGetProperty("text", out JsonElement text))
                throw Wrong(place, "has neither 'text' nor 'messages'");
            if (text.ValueKind != JsonValueKind.String)
                throw Wrong(place, "has a 'text' that is no string");
            return new CorpusPiece(name, Encoding.UTF8.GetBytes(text.GetString()!), null, false, place);
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            throw Wrong(place, $"is no JSON: {e.Message}", e);
        }
    }

    private static List<ChatTurn> Turns(JsonElement messages, string place)
    {
        if (messages.ValueKind != JsonValueKind.Array || messages.GetArrayLength() == 0)
            throw Wrong(place, "has 'messages' that are no array of messages");

        var turns = new List<ChatTurn>();
        foreach (JsonElement message in messages.EnumerateArray())
            turns.Add(new ChatTurn(Member(message, "role", turns.Count, place), Member(message, "content", turns.Count, place)));
        if (!turns.Exists(turn => turn.Role == ChatEncoder.Assistant))
            throw Wrong(place, $"has no message of the role '{ChatEncoder.Assistant}', so there is nothing to learn from it");
        return turns;
    }

    private static string Member(JsonElement message, string name, int index, string place) =>
        message.ValueKind == JsonValueKind.Object && message.TryGetProperty(name, out JsonElement value) && value.ValueKind == JsonValueKind.String
            ? value.GetString()!
            : throw Wrong(place, $"has a message {index} without a string '{name}'");

    private static TernException Wrong(string place, string what, Exception? inner = null) =>
        new(ErrorKind.Format, $"{place} {what}; every line must be {{\"text\": …}} or {{\"messages\": [{{\"role\": …, \"content\": …}}]}}", inner);
}
