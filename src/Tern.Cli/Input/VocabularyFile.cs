using Tern.Cli.Terminal;
using Tern.Files;
using Tern.Text;

namespace Tern.Cli.Input;

/// <summary>The tokenizer of an open file, with its warnings shown once.</summary>
internal static class VocabularyFile
{
    public static Tokenizer Read(ModelSource file, string? preTokenizer)
    {
        Messages.Warnings(file.Warnings);
        return Tokenizer.From(file.Metadata, Messages.Warning, preTokenizer);
    }
}
