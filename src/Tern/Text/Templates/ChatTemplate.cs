using Tern.Files;

namespace Tern.Text.Templates;

/// <summary>How a model wants a chat written.</summary>
internal sealed class ChatTemplate
{
    private ChatTemplate()
    {
    }

    /// <summary>The template of a model file, or null when it has none.</summary>
    public static ChatTemplate? From(Metadata metadata, Tokenizer tokenizer, Action<string> warn) => throw new NotSupportedException();

    /// <summary>The text of a chat, with the beginning of the answer.</summary>
    public string Render(IReadOnlyList<Message> messages) => throw new NotSupportedException();
}
