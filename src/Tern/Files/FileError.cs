using System.Globalization;
using System.Text;

namespace Tern.Files;

/// <summary>The one sentence that a refused file gets: <c>path: kind error at offset n: field: what; remedy</c>.</summary>
internal static class FileError
{
    /// <summary>An error at a byte offset of a file.</summary>
    public static TernException At(ErrorKind kind, string path, long offset, string field, string what, string remedy) =>
        new(kind, string.Create(CultureInfo.InvariantCulture, $"{path}: {Word(kind)} error at offset {offset}: {field}: {what}; {remedy}"));

    /// <summary>An error about something that has no place in the file, such as a key that is absent.</summary>
    public static TernException Whole(ErrorKind kind, string path, string field, string what, string remedy, Exception? inner = null) =>
        new(kind, $"{path}: {Word(kind)} error: {field}: {what}; {remedy}", inner);

    /// <summary>
    /// Text of an untrusted file, quoted for a message: control characters escaped so that a name cannot command the terminal,
    /// and cut to 100 characters.
    /// </summary>
    public static string Quote(string text)
    {
        var quoted = new StringBuilder("'");
        foreach (char c in text.AsSpan(0, Math.Min(text.Length, 100)))
        {
            if (char.IsControl(c) || char.IsSurrogate(c) || char.GetUnicodeCategory(c) == UnicodeCategory.Format)
                quoted.Append(CultureInfo.InvariantCulture, $"\\u{(int)c:x4}");
            else
                quoted.Append(c);
        }

        return quoted.Append(text.Length > 100 ? "…'" : "'").ToString();
    }

    private static string Word(ErrorKind kind) => kind switch
    {
        ErrorKind.Format => "format",
        ErrorKind.Semantic => "semantic",
        ErrorKind.Limit => "limit",
        ErrorKind.Unsupported => "unsupported",
        ErrorKind.Template => "template",
        ErrorKind.Request => "request",
        _ => "file",
    };
}
