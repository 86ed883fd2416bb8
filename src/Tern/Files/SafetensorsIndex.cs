using System.Text.Json;
using System.Text.Unicode;
using Microsoft.Win32.SafeHandles;

namespace Tern.Files;

/// <summary>
/// Reads <c>model.safetensors.index.json</c>, which says in which file of its folder each tensor lies.
/// <code>
/// { "metadata": { "total_size": 4825640960 },
///   "weight_map": { "model.norm.weight": "model-00001-of-00003.safetensors", … } }
/// </code>
/// </summary>
internal static class SafetensorsIndex
{
    private const string TakeAgain = "the file is damaged: download it again";

    /// <summary>Reads an index.</summary>
    /// <param name="path">The index.</param>
    /// <returns>File names by tensor name; none of them is a path.</returns>
    /// <exception cref="TernException">The index is malformed, or names something else than files beside it.</exception>
    public static Dictionary<string, string> Read(string path)
    {
        SafeFileHandle handle = ModelFile.Open(path, out long length);
        if (length > SafetensorsFile.HeaderBytesMax)
        {
            handle.Dispose();
            throw FileError.At(ErrorKind.Limit, path, 0, "file", $"has {length} bytes, above the limit {nameof(SafetensorsFile)}.{nameof(SafetensorsFile.HeaderBytesMax)} of {SafetensorsFile.HeaderBytesMax}", "no checkpoint needs that much: take the file from a source you trust");
        }

        using MappedFile map = Map(handle, path, length);
        ReadOnlySpan<byte> json = map.Bytes(0, (int)length);
        if (!Utf8.IsValid(json))
            throw FileError.At(ErrorKind.Format, path, 0, "file", "is not UTF-8", TakeAgain);

        var reader = new Utf8JsonReader(json);
        try
        {
            return Read(ref reader, path);
        }
        catch (JsonException e)
        {
            throw FileError.At(ErrorKind.Format, path, reader.BytesConsumed, "file", $"is not JSON: {e.Message.Split(". ", 2)[0].TrimEnd('.')}", TakeAgain);
        }
        catch (InvalidOperationException)
        {
            throw FileError.At(ErrorKind.Format, path, reader.TokenStartIndex, "file", "holds a string that is not text", TakeAgain);
        }
    }

    private static MappedFile Map(SafeFileHandle handle, string path, long length)
    {
        try
        {
            return MappedFile.Open(handle, path, length);
        }
        catch
        {
            handle.Dispose();
            throw;
        }
    }

    private static Dictionary<string, string> Read(ref Utf8JsonReader reader, string path)
    {
        Dictionary<string, string>? map = null;
        reader.Read();
        Require(ref reader, JsonTokenType.StartObject, "file", path);
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            if (!reader.ValueTextEquals("weight_map"u8))
            {
                reader.Skip();
                continue;
            }

            if (map is not null)
                throw FileError.At(ErrorKind.Format, path, reader.TokenStartIndex, "'weight_map'", "is there twice", TakeAgain);
            map = ReadMap(ref reader, path);
        }

        reader.Read();
        return map ?? throw FileError.At(ErrorKind.Format, path, 0, "'weight_map'", "is missing", TakeAgain);
    }

    private static Dictionary<string, string> ReadMap(ref Utf8JsonReader reader, string path)
    {
        var map = new Dictionary<string, string>(StringComparer.Ordinal);
        var files = new Dictionary<string, string>(StringComparer.Ordinal); // each name once in memory
        reader.Read();
        Require(ref reader, JsonTokenType.StartObject, "'weight_map'", path);
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            string tensor = reader.GetString()!;
            string subject = $"'weight_map', tensor {FileError.Quote(tensor)}";
            reader.Read();
            Require(ref reader, JsonTokenType.String, subject, path);
            string file = reader.GetString()!;
            if (!files.TryGetValue(file, out string? known))
            {
                if (!IsFileName(file))
                    throw FileError.At(ErrorKind.Format, path, reader.TokenStartIndex, subject, $"{FileError.Quote(file)} is not the name of a .safetensors file in the same folder", "an index never names a path; take the checkpoint from a source you trust");
                files.Add(file, known = file);
            }

            if (!map.TryAdd(tensor, known))
                throw FileError.At(ErrorKind.Format, path, reader.TokenStartIndex, subject, "is there twice", TakeAgain);
        }

        return map;
    }

    private static bool IsFileName(string file) =>
        file.EndsWith(".safetensors", StringComparison.Ordinal) && file.Length is > 12 and <= 255
        && file.AsSpan().IndexOfAny("/\\:\0") < 0 && file[0] != '.' && !file.Any(char.IsControl);

    private static void Require(ref Utf8JsonReader reader, JsonTokenType expected, string subject, string path)
    {
        if (reader.TokenType != expected)
            throw FileError.At(ErrorKind.Format, path, reader.TokenStartIndex, subject, $"is {reader.TokenType}, must be {expected}", TakeAgain);
    }
}
