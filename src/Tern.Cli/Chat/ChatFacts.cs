using Tern.Files;

namespace Tern.Cli.Chat;

/// <summary>Whether a model answers messages or continues text.</summary>
internal static class ChatFacts
{
    public static bool HasTemplate(string path)
    {
        using GgufFile file = GgufFile.Open(path);
        return file.Metadata.Find("tokenizer.chat_template") is not null;
    }
}
