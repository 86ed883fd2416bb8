using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using Tern.Files;

namespace Tern.Cli.Chat;

/// <summary>
/// What has been said so far. A model with a chat template answers messages; one without continues a single growing text.
/// </summary>
internal sealed class Conversation(LanguageModel model, bool isChat, string? system, GenerationOptions options)
{
    private static readonly JsonWriterOptions s_json = new() { Indented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    private readonly List<Message> _messages = [];
    private readonly StringBuilder _text = new();
    private string? _system = system;

    /// <summary>Whether the model answers messages.</summary>
    public bool IsChat => isChat;

    /// <summary>Starts the answer to the person's next words; call <see cref="Accept"/> with it when it has ended, whole or cut short.</summary>
    public IAsyncEnumerable<Chunk> Ask(string input, CancellationToken cancellation)
    {
        if (!isChat)
            return model.CompleteAsync(_text + input, options, cancellation);

        Message[] messages = [.. SystemMessage(), .. _messages, new Message(Role.User, input)];
        return model.ChatAsync(messages, options, cancellation);
    }

    /// <summary>Remembers what was asked and answered.</summary>
    public void Accept(string input, string answer)
    {
        if (isChat)
        {
            _messages.Add(new Message(Role.User, input));
            _messages.Add(new Message(Role.Assistant, answer));
        }
        else
        {
            _text.Append(input).Append(answer);
        }
    }

    /// <summary>Forgets everything but the instructions.</summary>
    public void Reset()
    {
        _messages.Clear();
        _text.Clear();
    }

    /// <summary>New instructions, and a new conversation under them.</summary>
    public void Instruct(string? text)
    {
        _system = string.IsNullOrWhiteSpace(text) ? null : text;
        Reset();
    }

    /// <summary>
    /// Writes the conversation: JSON when the name ends in .json, text otherwise. A file of that name stays whole until the new one is: it is
    /// written beside it and renamed.
    /// </summary>
    public void Save(string path)
    {
        byte[] bytes = path.EndsWith(".json", StringComparison.OrdinalIgnoreCase) ? Json() : Encoding.UTF8.GetBytes(Transcript());
        string temporary = $"{path}.{Environment.ProcessId}.tmp";
        try
        {
            using (FileStream stream = new(temporary, FileMode.CreateNew, FileAccess.Write))
            {
                stream.Write(bytes);
                AtomicFile.FlushToDisk(stream);
            }

            File.Move(temporary, path, overwrite: true);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            File.Delete(temporary);
            throw new TernException(ErrorKind.File, $"{path}: cannot be written: {e.Message}", e);
        }
    }

    private Message[] SystemMessage() => _system is null ? [] : [new Message(Role.System, _system)];

    private string Transcript() =>
        isChat ? string.Join("\n\n", SystemMessage().Concat(_messages).Select(m => $"{Word(m.Role)}: {m.Content}")) + "\n" : _text + "\n";

    private byte[] Json()
    {
        using var memory = new MemoryStream();
        using (var writer = new Utf8JsonWriter(memory, s_json))
        {
            writer.WriteStartObject();
            if (isChat)
                WriteMessages(writer);
            else
                writer.WriteString("text", _text.ToString());
            writer.WriteEndObject();
        }

        return memory.ToArray();
    }

    private void WriteMessages(Utf8JsonWriter writer)
    {
        writer.WriteStartArray("messages");
        foreach (Message message in SystemMessage().Concat(_messages))
        {
            writer.WriteStartObject();
            writer.WriteString("role", Word(message.Role));
            writer.WriteString("content", message.Content);
            writer.WriteEndObject();
        }

        writer.WriteEndArray();
    }

    private static string Word(Role role) => role switch
    {
        Role.System => "system",
        Role.User => "user",
        Role.Assistant => "assistant",
        _ => "tool",
    };
}
