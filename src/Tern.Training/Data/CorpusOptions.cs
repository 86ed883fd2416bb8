using System.Globalization;

namespace Tern.Training.Data;

/// <summary>Where one document of a text file ends and the next begins.</summary>
/// <param name="BlankLines">So many blank lines in a row end a document; 0 when blank lines mean nothing.</param>
/// <param name="Line">A line that reads so ends a document; null when there is none such.</param>
internal sealed record DocumentSeparator(int BlankLines, string? Line)
{
    /// <summary>A file is one document.</summary>
    public static DocumentSeparator WholeFile { get; } = new(0, null);

    /// <summary>
    /// Reads <c>file</c> (the whole file is a document), <c>blank</c>, <c>blank:N</c> (N blank lines or more), or any other text: the separator line itself.
    /// </summary>
    /// <exception cref="TernException">N is no number from 1 to 100.</exception>
    public static DocumentSeparator Parse(string text)
    {
        const string counted = "blank:";
        if (text is "file" or "")
            return WholeFile;
        if (text == "blank")
            return new DocumentSeparator(1, null);
        if (!text.StartsWith(counted, StringComparison.Ordinal))
            return new DocumentSeparator(0, text);
        if (int.TryParse(text.AsSpan(counted.Length), NumberStyles.None, CultureInfo.InvariantCulture, out int lines) && lines is >= 1 and <= 100)
            return new DocumentSeparator(lines, null);
        throw new TernException(ErrorKind.Request, $"the document separator '{text}' is wrong: after 'blank:' comes a number of blank lines from 1 to 100");
    }
}

/// <summary>Which files a corpus is and how they are read.</summary>
/// <param name="Paths">Files, or folders whose .txt, .md and .jsonl files are taken, with all folders in them, in the order of their names.</param>
/// <param name="Separator">Where documents of text files end; in JSONL files every line is a document.</param>
internal sealed record CorpusOptions(IReadOnlyList<string> Paths, DocumentSeparator Separator)
{
    /// <summary>Files, or folders of them, that are left out: what is only measured must not be trained on.</summary>
    public IReadOnlyList<string> Except { get; init; } = [];
}

/// <summary>
/// A document, or a piece of one that is too long to be held at once.
/// </summary>
/// <param name="Name">File name and number of the document in it, from 1: <c>tales.txt#3</c>.</param>
/// <param name="Text">Valid UTF-8; empty for a chat.</param>
/// <param name="Messages">The chat, or null for a text.</param>
/// <param name="Continues">Whether this goes on with the document of the piece before.</param>
/// <param name="Place">File and offset, for messages.</param>
internal sealed record CorpusPiece(string Name, ReadOnlyMemory<byte> Text, IReadOnlyList<ChatTurn>? Messages, bool Continues, string Place);

/// <summary>One message of a chat in training data; roles are those of its template.</summary>
internal readonly record struct ChatTurn(string Role, string Content);
