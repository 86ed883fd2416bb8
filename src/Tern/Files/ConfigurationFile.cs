using System.Text.Json;
using System.Text.Unicode;
using Microsoft.Win32.SafeHandles;

namespace Tern.Files;

/// <summary>Reads a small JSON file that an untrusted folder holds.</summary>
internal static class ConfigurationFile
{
    /// <summary>Bytes of a configuration; real ones have a few thousand.</summary>
    public const int BytesMax = 4 << 20;

    /// <summary>A document whose every string can be read without fear; a property stands once in an object.</summary>
    /// <exception cref="TernException">The file is missing, too large or not JSON.</exception>
    public static JsonDocument Read(string path)
    {
        byte[] bytes = ReadBytes(path);
        const string field = "file";
        const string takeAgain = "the file is damaged: download it again";
        if (!Utf8.IsValid(bytes))
            throw FileError.At(ErrorKind.Format, path, 0, field, "is not UTF-8", takeAgain);

        var reader = new Utf8JsonReader(bytes);
        try
        {
            while (reader.Read())
                if (reader.TokenType is JsonTokenType.String or JsonTokenType.PropertyName)
                    _ = reader.GetString();
            return JsonDocument.Parse(bytes, new JsonDocumentOptions { AllowDuplicateProperties = false });
        }
        catch (JsonException e)
        {
            throw FileError.At(ErrorKind.Format, path, reader.BytesConsumed, field, $"is not JSON: {e.Message.Split(". ", 2)[0].TrimEnd('.')}", takeAgain);
        }
        catch (InvalidOperationException)
        {
            throw FileError.At(ErrorKind.Format, path, reader.TokenStartIndex, field, "holds a string that is not text", takeAgain);
        }
    }

    private static byte[] ReadBytes(string path)
    {
        using SafeFileHandle handle = ModelFile.Open(path, out long length);
        if (length > BytesMax)
            throw FileError.At(ErrorKind.Limit, path, 0, "file", $"has {length} bytes, above the limit {nameof(ConfigurationFile)}.{nameof(BytesMax)} of {BytesMax}", "no configuration needs that much: take the file from a source you trust");
        byte[] bytes = new byte[length];
        int done = 0;
        while (done < bytes.Length && RandomAccess.Read(handle, bytes.AsSpan(done), done) is > 0 and int count)
            done += count;
        return done == bytes.Length ? bytes : bytes[..done];
    }
}
