using System.Buffers;
using System.Globalization;
using System.Text;
using System.Text.Unicode;
using Tern.Files;

namespace Tern.Training.Data;

/// <summary>
/// The documents of a corpus, one after the other: text files cut at their separators, JSONL files line by line. Nothing but the document at hand is
/// held, and of a long document only a piece, so a corpus may be larger than the memory.
/// </summary>
internal static class CorpusReader
{
    /// <summary>Longer documents come in pieces of about this many bytes.</summary>
    public const int PieceBytes = 1 << 22;

    /// <summary>Longest line of a JSONL file.</summary>
    private const int JsonLineBytesMax = 1 << 26;

    private static readonly string[] s_extensions = [".txt", ".md", ".jsonl"];

    private static readonly StringComparer s_paths = OperatingSystem.IsWindows() ? StringComparer.OrdinalIgnoreCase : StringComparer.Ordinal;

    /// <summary>The files of a corpus, each once, in the order in which they are read.</summary>
    /// <exception cref="TernException">A path does not exist, a folder has no file to read, or every file is left out.</exception>
    public static List<string> Files(CorpusOptions options)
    {
        var seen = new HashSet<string>(Files(options.Except).Select(Path.GetFullPath), s_paths);
        List<string> files = [.. Files(options.Paths).Where(file => seen.Add(Path.GetFullPath(file)))];
        return files.Count > 0
            ? files
            : throw new TernException(ErrorKind.Request, $"{string.Join(", ", options.Paths)}: every file is held out, and none is left to train on; hold out fewer with --held-out");
    }

    private static List<string> Files(IReadOnlyList<string> paths)
    {
        var files = new List<string>();
        foreach (string path in paths)
        {
            if (File.Exists(path))
            {
                files.Add(path);
                continue;
            }

            if (!Directory.Exists(path))
                throw new TernException(ErrorKind.File, $"{path}: no such file or folder; name text or JSONL files, or folders of them");
            List<string> found = [.. Directory.EnumerateFiles(path, "*", SearchOption.AllDirectories)
                .Where(file => s_extensions.Contains(Path.GetExtension(file), StringComparer.OrdinalIgnoreCase))
                .Order(StringComparer.Ordinal)];
            if (found.Count == 0)
                throw new TernException(ErrorKind.File, $"{path}: the folder has no file that ends in {string.Join(", ", s_extensions)}");
            files.AddRange(found);
        }

        return files;
    }

    /// <summary>Bytes of all files, for progress.</summary>
    public static long TotalBytes(CorpusOptions options) => Files(options).Sum(file => new FileInfo(file).Length);

    /// <summary>Reads all documents.</summary>
    /// <param name="options">What and how.</param>
    /// <param name="progress">Receives the bytes that were read.</param>
    /// <exception cref="TernException">A file cannot be read, is not UTF-8, or has a line that is no JSON document; the message has the offset.</exception>
    public static IEnumerable<CorpusPiece> Read(CorpusOptions options, Action<long> progress)
    {
        long done = 0;
        foreach (string path in Files(options))
        {
            long start = done;
            bool isJson = Path.GetExtension(path).Equals(".jsonl", StringComparison.OrdinalIgnoreCase);
            IEnumerable<CorpusPiece> pieces = isJson ? ReadJsonLines(path) : ReadText(path, options.Separator);
            foreach (CorpusPiece piece in pieces)
            {
                yield return piece;
                progress(done += piece.Text.Length);
            }

            progress(done = start + new FileInfo(path).Length);
        }
    }

    private static IEnumerable<CorpusPiece> ReadText(string path, DocumentSeparator separator)
    {
        using var lines = new LineReader(path, PieceBytes);
        byte[]? separatorLine = separator.Line is null ? null : Encoding.UTF8.GetBytes(separator.Line.Trim());
        var document = new DocumentBuffer(path);
        while (lines.Next())
        {
            bool blank = lines.IsWhole && IsBlank(lines.Line);
            if (separatorLine is not null && lines.IsWhole && lines.Line.Trim(" \t\r\n"u8).SequenceEqual(separatorLine))
            {
                if (document.End() is { } ended)
                    yield return ended;
                continue;
            }

            if (!blank && separator.BlankLines > 0 && document.BlankLines >= separator.BlankLines && document.End() is { } whole)
                yield return whole;

            document.Append(lines.Line, lines.Offset, blank);
            if (document.IsLong && document.Cut() is { } piece)
                yield return piece;
        }

        if (document.End() is { } last)
            yield return last;
    }

    private static IEnumerable<CorpusPiece> ReadJsonLines(string path)
    {
        using var lines = new LineReader(path, JsonLineBytesMax);
        int number = 0;
        while (lines.Next())
        {
            number++;
            string place = string.Create(CultureInfo.InvariantCulture, $"{path}: line {number} at offset {lines.Offset}");
            if (!lines.IsWhole)
                throw new TernException(ErrorKind.Limit, $"{place} is longer than {JsonLineBytesMax} bytes; every line must be one JSON document");
            if (IsBlank(lines.Line))
                continue;
            CheckUtf8(path, lines.Line, lines.Offset);
            yield return JsonDocumentLine.Parse(lines.Line.ToArray(), Name(path, number), place);
        }
    }

    /// <summary>The name of a document.</summary>
    public static string Name(string path, int number) => string.Create(CultureInfo.InvariantCulture, $"{Path.GetFileName(path)}#{number}");

    /// <summary>Refuses text that is not UTF-8, with the offset in the file of the first wrong byte.</summary>
    public static void CheckUtf8(string path, ReadOnlySpan<byte> text, long offset)
    {
        if (Utf8.IsValid(text))
            return;
        int wrong = 0;
        while (Rune.DecodeFromUtf8(text[wrong..], out _, out int length) == OperationStatus.Done)
            wrong += length;
        throw FileError.At(
            ErrorKind.Format, path, offset + wrong, "text", string.Create(CultureInfo.InvariantCulture, $"byte 0x{text[wrong]:x2} is not UTF-8"), "convert the text to UTF-8");
    }

    private static bool IsBlank(ReadOnlySpan<byte> line) => line.Trim(" \t\r\n"u8).IsEmpty;

    /// <summary>The document that is being read. Blank lines wait until it is clear that they are inside it.</summary>
    private sealed class DocumentBuffer(string path)
    {
        private readonly ArrayBufferWriter<byte> _text = new();
        private int _keep; // bytes of _text up to the last line that is not blank
        private int _number = 1;
        private long _offset; // of _text[0] in the file
        private bool _continues;

        /// <summary>Blank lines since the last other one.</summary>
        public int BlankLines { get; private set; }

        public bool IsLong => _keep >= PieceBytes;

        public void Append(ReadOnlySpan<byte> line, long offset, bool blank)
        {
            if (blank && _keep == 0 && !_continues)
                return; // in front of a document
            if (_text.WrittenCount == 0)
                _offset = offset;
            _text.Write(line);
            BlankLines = blank ? BlankLines + 1 : 0;
            if (!blank)
                _keep = _text.WrittenCount;
        }

        /// <summary>Ends the document, without the line break behind its last line; null when nothing is left of it.</summary>
        public CorpusPiece? End()
        {
            int length = _text.WrittenSpan[.._keep].TrimEnd("\r\n"u8).Length;
            CorpusPiece? piece = length > 0 ? Piece(length) : null;
            bool any = piece is not null || _continues;
            Clear();
            _continues = false;
            _number += any ? 1 : 0;
            return piece;
        }

        /// <summary>Takes the piece so far, and goes on with the document. Cuts behind a whole character.</summary>
        public CorpusPiece? Cut()
        {
            ReadOnlySpan<byte> text = _text.WrittenSpan[.._keep];
            int length = text.Length;
            for (int back = 1; back <= 3 && back <= text.Length; back++)
            {
                byte lead = text[^back];
                if (lead >= 0xC0)
                {
                    int needed = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
                    length -= needed > back ? back : 0;
                    break;
                }
            }

            CorpusPiece piece = Piece(length);
            byte[] rest = text[length..].ToArray();
            long restOffset = _offset + length;
            Clear();
            _continues = true;
            if (rest.Length > 0)
                Append(rest, restOffset, blank: false);
            return piece;
        }

        private CorpusPiece Piece(int length)
        {
            byte[] text = _text.WrittenSpan[..length].ToArray();
            CheckUtf8(path, text, _offset);
            return new CorpusPiece(Name(path, _number), text, null, _continues, string.Create(CultureInfo.InvariantCulture, $"{path} at offset {_offset}"));
        }

        private void Clear()
        {
            _text.ResetWrittenCount();
            (_keep, BlankLines) = (0, 0);
        }
    }
}
