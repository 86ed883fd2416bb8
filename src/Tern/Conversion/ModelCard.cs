using System.Text;
using Tern.Files;

namespace Tern.Conversion;

/// <summary>
/// The head of a <c>README.md</c> on Hugging Face, of which the licence is taken:
/// <code>
/// ---
/// license: mit
/// ---
/// </code>
/// </summary>
internal static class ModelCard
{
    private const string Name = "README.md", Fence = "---", Field = "license:";
    private const int HeadBytesMax = 1 << 16, LicenceCharactersMax = 64;

    /// <summary>The licence that the card names, or null when there is no card or it names none.</summary>
    /// <param name="folder">The folder of the model.</param>
    /// <exception cref="TernException">The card is a link that leads out of the folder.</exception>
    public static string? Licence(string folder)
    {
        if (FolderFiles.Find(folder, Name) is not { } path)
            return null;
        string head;
        try
        {
            using FileStream stream = File.OpenRead(path);
            var bytes = new byte[HeadBytesMax];
            head = Encoding.UTF8.GetString(bytes, 0, stream.ReadAtLeast(bytes, bytes.Length, throwOnEndOfStream: false));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }

        string[] lines = head.Split('\n');
        if (lines[0].Trim() != Fence)
            return null;
        foreach (string line in lines.Skip(1).TakeWhile(l => l.Trim() != Fence))
        {
            if (!line.StartsWith(Field, StringComparison.Ordinal))
                continue;
            string licence = line[Field.Length..].Trim().Trim('"', '\'');
            return licence.Length is > 0 and <= LicenceCharactersMax && !licence.Any(char.IsControl) ? licence : null;
        }

        return null;
    }
}
