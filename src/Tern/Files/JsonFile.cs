using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.Json;
using System.Text.Unicode;
using Microsoft.Win32.SafeHandles;

namespace Tern.Files;

/// <summary>What a JSON file may ask for; an error names the property that has the limit, so that whoever trusts the file finds it.</summary>
/// <param name="Bytes">Its size.</param>
/// <param name="BytesName">The property that has this limit.</param>
/// <param name="Depth">Levels of arrays and objects.</param>
/// <param name="DepthName">The property that has this limit.</param>
internal sealed record JsonLimits(int Bytes, string BytesName, int Depth, string DepthName);

/// <summary>
/// A JSON file of a stranger, checked once: its size before it is read, then UTF-8, syntax, depth, half surrogate pairs and properties that occur
/// twice. After that no access to its values can fail, and every value knows its offset in the file. Links are followed as <see cref="FolderFiles"/>
/// allows.
/// </summary>
internal sealed class JsonFile : IDisposable
{
    private const string Remedy = "download the file again, or take it from another source";

    private readonly ReadOnlyMemory<byte> _bytes;
    private readonly int _first;
    private readonly JsonDocument _document;

    private JsonFile(string path, ReadOnlyMemory<byte> bytes, int first, JsonLimits limits)
    {
        Path = path;
        _bytes = bytes;
        _first = first;
        CheckUtf8();
        CheckSyntax(limits);
        try
        {
            _document = JsonDocument.Parse(bytes, new JsonDocumentOptions { MaxDepth = limits.Depth, AllowDuplicateProperties = false });
        }
        catch (JsonException)
        {
            // Syntax and depth are right, so that only a repeated property is left.
            throw Duplicate();
        }
    }

    /// <summary>The file, for error messages.</summary>
    public string Path { get; }

    /// <summary>The whole file.</summary>
    public JsonField Root => new(this, _document.RootElement, "");

    /// <summary>Opens a file, or returns null when there is none.</summary>
    /// <param name="folder">The folder that came as a whole.</param>
    /// <param name="name">The file's name in it.</param>
    /// <param name="limits">How large and how deep it may be.</param>
    /// <exception cref="TernException">File: it cannot be read; Limit: it is too long or too deep; Format: it is not JSON, or a link out of the folder.</exception>
    public static JsonFile? Open(string folder, string name, JsonLimits limits)
    {
        if (ReadBytes(folder, name, limits.Bytes, limits.BytesName) is not { } bytes)
            return null;
        int first = bytes.AsSpan().StartsWith(Encoding.UTF8.Preamble) ? Encoding.UTF8.Preamble.Length : 0;
        return new JsonFile(System.IO.Path.Combine(folder, name), bytes.AsMemory(first), first, limits);
    }

    /// <summary>All bytes of a file that may be absent and may not be longer than a limit.</summary>
    /// <param name="folder">The folder that came as a whole.</param>
    /// <param name="name">The file's name in it.</param>
    /// <param name="bytesMax">Its largest size.</param>
    /// <param name="limit">The property that has this limit.</param>
    public static byte[]? ReadBytes(string folder, string name, int bytesMax, string limit)
    {
        if (FolderFiles.Find(folder, name) is not { } path)
            return null;
        using SafeFileHandle handle = ModelFile.Open(path, out long length);
        if (length > bytesMax)
            throw FileError.At(ErrorKind.Limit, path, bytesMax, "length", Text($"{length} bytes are above the limit {limit} of {bytesMax}"), "raise the limit if the file is to be trusted");
        byte[] bytes = new byte[length];
        int done = 0;
        while (done < bytes.Length && RandomAccess.Read(handle, bytes.AsSpan(done), done) is > 0 and int count)
            done += count;
        return done == bytes.Length ? bytes : bytes[..done];
    }

    /// <summary>An error at a value of this file.</summary>
    public TernException Error(ErrorKind kind, JsonElement element, string name, string what, string remedy = Remedy) =>
        FileError.At(kind, Path, Offset(element), $"field {FileError.Quote(name)}", what, remedy);

    /// <inheritdoc/>
    public void Dispose() => _document.Dispose();

    /// <summary>Where a value of this file stands; where the contents begin for one that is not there.</summary>
    public long Offset(JsonElement element) =>
        element.ValueKind != JsonValueKind.Undefined && _bytes.Span.Overlaps(JsonMarshal.GetRawUtf8Value(element), out int offset) ? _first + offset : _first;

    private void CheckUtf8()
    {
        ReadOnlySpan<byte> rest = _bytes.Span;
        if (Utf8.IsValid(rest))
            return;
        while (Rune.DecodeFromUtf8(rest, out _, out int length) == System.Buffers.OperationStatus.Done)
            rest = rest[length..];
        throw Format(_bytes.Length - rest.Length, "UTF-8", Text($"the byte 0x{rest[0]:X2} begins no character"));
    }

    private void CheckSyntax(JsonLimits limits)
    {
        var reader = new Utf8JsonReader(_bytes.Span, new JsonReaderOptions { MaxDepth = int.MaxValue });
        try
        {
            while (reader.Read())
            {
                if (reader.CurrentDepth >= limits.Depth && reader.TokenType is JsonTokenType.StartObject or JsonTokenType.StartArray)
                    throw FileError.At(ErrorKind.Limit, Path, _first + reader.TokenStartIndex, "depth", Text($"arrays and objects are nested deeper than the limit {limits.DepthName} of {limits.Depth}"), "raise the limit if the file is to be trusted");
                if (reader.ValueIsEscaped)
                    reader.GetString();
            }
        }
        catch (JsonException e)
        {
            throw Format(reader.BytesConsumed, "JSON", IsCut() ? "the file ends in the middle of a value" : Found((int)reader.BytesConsumed), e);
        }
        catch (InvalidOperationException e)
        {
            throw Format(reader.TokenStartIndex, "JSON", "a string has half of a surrogate pair", e);
        }
    }

    /// <summary>Whether a file that is no JSON begins as one, as a download does that did not finish.</summary>
    private bool IsCut()
    {
        try
        {
            var reader = new Utf8JsonReader(_bytes.Span, isFinalBlock: false, new JsonReaderState(new JsonReaderOptions { MaxDepth = int.MaxValue }));
            while (reader.Read())
            {
            }

            return true;
        }
        catch (JsonException)
        {
            return false;
        }
    }

    private string Found(int at)
    {
        ReadOnlySpan<byte> rest = _bytes.Span[at..].TrimStart(" \t\r\n"u8);
        return $"it is no JSON from {FileError.Quote(Encoding.UTF8.GetString(rest[..Math.Min(20, rest.Length)]))} on";
    }

    private TernException Duplicate()
    {
        var reader = new Utf8JsonReader(_bytes.Span, new JsonReaderOptions { MaxDepth = int.MaxValue });
        var open = new Stack<HashSet<string>>();
        while (reader.Read())
        {
            if (reader.TokenType == JsonTokenType.StartObject)
                open.Push(new HashSet<string>(StringComparer.Ordinal));
            else if (reader.TokenType == JsonTokenType.EndObject)
                open.Pop();
            else if (reader.TokenType == JsonTokenType.PropertyName && !open.Peek().Add(reader.GetString()!))
                return Format(reader.TokenStartIndex, $"field {FileError.Quote(reader.GetString()!)}", "occurs twice in one object");
        }

        return Format(0, "JSON", "a field occurs twice in one object");
    }

    private TernException Format(long at, string field, string what, Exception? inner = null)
    {
        TernException error = FileError.At(ErrorKind.Format, Path, _first + at, field, what, Remedy);
        return inner is null ? error : new TernException(ErrorKind.Format, error.Message, inner);
    }

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
