using System.Globalization;
using System.Text.Json;
using System.Text.Unicode;

namespace Tern.Files;

/// <summary>
/// Reads the JSON header of a safetensors file and places its tensors.
/// <code>
/// { "__metadata__": { "format": "pt" },
///   "NAME": { "dtype": "BF16", "shape": [rows, columns], "data_offsets": [begin, end] }, … }      then any number of spaces
/// </code>
/// Offsets count from the end of the header. Sorted by offset, the tensors must fill the rest of the file without hole or overlap; so a file
/// has one meaning only, and a cut one is noticed at once. The text is read token by token: time and memory grow with its length alone.
/// </summary>
internal ref struct SafetensorsHeader
{
    private const string TakeAgain = "the file is damaged: download it again";

    private const int PrefixBytes = sizeof(ulong);
    private const int DimensionsMax = 16;

    private readonly string _path;
    private readonly long _dataStart;
    private readonly long _dataBytes;
    private readonly List<SafetensorsEntry> _entries = [];
    private Utf8JsonReader _reader;
    private string? _name; // of the tensor that is being read

    private SafetensorsHeader(ReadOnlySpan<byte> json, string path, long dataBytes)
    {
        (_path, _dataStart, _dataBytes) = (path, PrefixBytes + json.Length, dataBytes);
        _reader = new Utf8JsonReader(json);
    }

    /// <summary>Reads a header.</summary>
    /// <param name="json">The header's bytes, which begin behind the length at the start of the file.</param>
    /// <param name="path">The file.</param>
    /// <param name="dataBytes">Bytes of the file behind the header.</param>
    /// <returns>The tensors in the order of their data.</returns>
    /// <exception cref="TernException">The header is malformed, or its tensors do not fill the file.</exception>
    public static List<SafetensorsEntry> Read(ReadOnlySpan<byte> json, string path, long dataBytes)
    {
        if (json.IsEmpty || json[0] != (byte)'{')
            throw FileError.At(ErrorKind.Format, path, PrefixBytes, "header", json.IsEmpty ? "is empty" : $"begins with byte 0x{json[0]:x2}, not with '{{'", TakeAgain);
        if (!Utf8.IsValid(json))
            throw FileError.At(ErrorKind.Format, path, PrefixBytes, "header", "is not UTF-8", TakeAgain);

        var header = new SafetensorsHeader(json, path, dataBytes);
        try
        {
            header.ReadEntries();
        }
        catch (JsonException e)
        {
            throw FileError.At(ErrorKind.Format, path, PrefixBytes + header._reader.BytesConsumed, "header", $"is not JSON: {FirstSentence(e.Message)}", TakeAgain);
        }
        catch (InvalidOperationException)
        {
            // What the reader says of escapes that are no characters, such as half a surrogate pair.
            throw header.Error("header", "holds a string that is not text");
        }

        return header.InOrder();
    }

    /// <summary>What the JSON reader complains of, without its line numbers: a header is one line.</summary>
    private static string FirstSentence(string message) => message.Split(". ", 2)[0].TrimEnd('.');

    private void ReadEntries()
    {
        var names = new HashSet<string>(StringComparer.Ordinal);
        Next(JsonTokenType.StartObject, "header");
        while (Advance() != JsonTokenType.EndObject)
        {
            _name = _reader.GetString()!;
            if (!names.Add(_name))
                throw Error("name", "is there twice");
            if (_name.Length == 0)
                throw Error("name", "is empty");
            if (_name == "__metadata__")
                SkipMetadata();
            else
                ReadEntry(_name);
            _name = null;
        }

        // Throws when anything but white space follows.
        _reader.Read();
    }

    /// <summary>Strings about the file, which say nothing that Tern needs.</summary>
    private void SkipMetadata()
    {
        Next(JsonTokenType.StartObject, "value");
        while (Advance() != JsonTokenType.EndObject)
            Next(JsonTokenType.String, "value");
    }

    private void ReadEntry(string name)
    {
        long headerOffset = PrefixBytes + _reader.TokenStartIndex;
        SafetensorsType? type = null;
        long[]? shape = null;
        (long Begin, long End)? offsets = null;
        Next(JsonTokenType.StartObject, "value");
        while (Advance() != JsonTokenType.EndObject)
        {
            if (_reader.ValueTextEquals("dtype"u8) && type is null)
                type = ReadType();
            else if (_reader.ValueTextEquals("shape"u8) && shape is null)
                shape = ReadCounts("shape", DimensionsMax);
            else if (_reader.ValueTextEquals("data_offsets"u8) && offsets is null)
                offsets = ReadCounts("data_offsets", 2) is [long begin, long end] ? (begin, end) : throw Error("data_offsets", "are not two numbers");
            else
                throw Error("value", $"field {FileError.Quote(_reader.GetString()!)} is unknown or there twice");
        }

        if (type is null || shape is null || offsets is not { } range)
            throw Error("value", $"has no {(type is null ? "dtype" : shape is null ? "shape" : "data_offsets")}");
        if (CheckExtent(type, shape, range.Begin, range.End) is { } problem)
            throw FileError.At(ErrorKind.Format, _path, headerOffset, $"tensor {FileError.Quote(name)}", problem, TakeAgain);
        _entries.Add(new SafetensorsEntry(name, type, shape, _dataStart + range.Begin, range.End - range.Begin, headerOffset));
    }

    private readonly string? CheckExtent(SafetensorsType type, long[] shape, long begin, long end)
    {
        if (begin > end)
            return string.Create(CultureInfo.InvariantCulture, $"data_offsets [{begin}, {end}] end before they begin");
        if (end > _dataBytes)
            return string.Create(CultureInfo.InvariantCulture, $"data_offsets [{begin}, {end}] go beyond the {_dataBytes} bytes of data in the file");
        if (!TensorExtent.TryByteCount(shape, type.Bits, _dataBytes, out UInt128 bytes))
            return string.Create(CultureInfo.InvariantCulture, $"shape {TensorExtent.Describe(shape)} of {type.Name} needs more than the {_dataBytes} bytes of data in the file");
        return bytes == (UInt128)(end - begin)
            ? null
            : string.Create(CultureInfo.InvariantCulture, $"shape {TensorExtent.Describe(shape)} of {type.Name} needs {bytes} bytes, but data_offsets [{begin}, {end}] hold {end - begin}");
    }

    private SafetensorsType ReadType()
    {
        Next(JsonTokenType.String, "dtype");
        foreach (SafetensorsType type in SafetensorsType.All)
            if (_reader.ValueTextEquals(type.Name))
                return type;
        throw Error("dtype", $"{FileError.Quote(_reader.GetString()!)} is no type of this format (known are {string.Join(", ", SafetensorsType.All.Select(t => t.Name))})");
    }

    /// <summary>An array of whole numbers from 0 on, written with digits only.</summary>
    private long[] ReadCounts(string field, int most)
    {
        Span<long> counts = stackalloc long[DimensionsMax];
        int found = 0;
        Next(JsonTokenType.StartArray, field);
        while (Advance() != JsonTokenType.EndArray)
        {
            if (_reader.TokenType != JsonTokenType.Number || _reader.ValueSpan.ContainsAnyExceptInRange((byte)'0', (byte)'9') || !_reader.TryGetInt64(out long value))
                throw Error(field, "holds something else than whole numbers from 0 to 2^63 - 1");
            if (found == most)
                throw Error(field, string.Create(CultureInfo.InvariantCulture, $"has more than {most} numbers"));
            counts[found++] = value;
        }

        return counts[..found].ToArray();
    }

    /// <summary>The tensors by offset, when they fill the data exactly.</summary>
    private readonly List<SafetensorsEntry> InOrder()
    {
        _entries.Sort((a, b) => a.Offset != b.Offset ? a.Offset.CompareTo(b.Offset) : a.ByteCount.CompareTo(b.ByteCount));
        long end = _dataStart;
        foreach (SafetensorsEntry entry in _entries)
        {
            if (entry.Offset != end)
            {
                string what = entry.Offset > end ? "a hole" : "an overlap";
                throw FileError.At(ErrorKind.Format, _path, entry.HeaderOffset, $"tensor {FileError.Quote(entry.Name)}", string.Create(CultureInfo.InvariantCulture, $"its data begin at offset {entry.Offset}, but the tensor before it ends at {end}: {what}"), TakeAgain);
            }

            end += entry.ByteCount;
        }

        if (end != _dataStart + _dataBytes)
            throw FileError.At(ErrorKind.Format, _path, end, "data", string.Create(CultureInfo.InvariantCulture, $"{_dataStart + _dataBytes - end} bytes behind the last tensor belong to none"), TakeAgain);
        return _entries;
    }

    private JsonTokenType Advance()
    {
        if (!_reader.Read())
            throw Error("header", "ends too early");
        return _reader.TokenType;
    }

    private void Next(JsonTokenType expected, string field)
    {
        JsonTokenType found = Advance();
        if (found != expected)
            throw Error(field, $"is {found}, must be {expected}");
    }

    private readonly TernException Error(string field, string what) =>
        FileError.At(ErrorKind.Format, _path, PrefixBytes + _reader.TokenStartIndex, _name is null ? field : $"tensor {FileError.Quote(_name)}, {field}", what, TakeAgain);
}
