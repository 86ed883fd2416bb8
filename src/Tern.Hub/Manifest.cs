using System.Buffers;
using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace Tern.Hub;

/// <summary>One file of a model.</summary>
/// <param name="Path">Its name in the repository, with forward slashes.</param>
/// <param name="Bytes">Size.</param>
/// <param name="Sha256">Which blob it is, 64 lower-case hexadecimal digits.</param>
internal sealed record ManifestFile(string Path, long Bytes, string Sha256);

/// <summary>A model in the store: what it is called, its files, and where they came from.</summary>
internal sealed record Manifest
{
    private const int Version = 1;

    private static readonly JsonWriterOptions s_writing = new() { Indented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };
    private static readonly JsonDocumentOptions s_reading = new() { MaxDepth = 8, AllowDuplicateProperties = false };

    public required ModelName Name { get; init; }

    /// <summary>In the order of the repository, at least one.</summary>
    public required IReadOnlyList<ManifestFile> Files { get; init; }

    /// <summary>The file to open (the first part of a split one); null when the whole directory is the model.</summary>
    public required string? Main { get; init; }

    /// <summary>The tensor type that most weights have, or what else is known.</summary>
    public required string Type { get; init; }

    /// <summary>In words: a hub's address and repository, or the path of an imported file.</summary>
    public required string Source { get; init; }

    /// <summary>The commit it was pulled at; null for imported files.</summary>
    public string? Commit { get; init; }

    /// <summary>As the repository says; null where it says nothing.</summary>
    public string? Licence { get; init; }

    /// <summary>When it came into the store.</summary>
    public required DateTimeOffset Created { get; init; }

    /// <summary>Bytes of all files.</summary>
    public long Bytes => Files.Sum(f => f.Bytes);

    /// <summary>Hash over names and contents of the files: equal for equal models, whatever they are called.</summary>
    public string Digest => Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(string.Join('\n', Files.Select(f => $"{f.Sha256} {f.Path}")))));

    public byte[] ToJson()
    {
        var buffer = new ArrayBufferWriter<byte>();
        using var json = new Utf8JsonWriter(buffer, s_writing);
        json.WriteStartObject();
        json.WriteNumber("version", Version);
        json.WriteString("name", Name.ToString());
        json.WriteString("source", Source);
        json.WriteString("commit", Commit);
        json.WriteString("licence", Licence);
        json.WriteString("created", Created.UtcDateTime.ToString("yyyy-MM-dd'T'HH:mm:ss'Z'", CultureInfo.InvariantCulture));
        json.WriteString("type", Type);
        json.WriteString("main", Main);
        json.WriteStartArray("files");
        foreach (ManifestFile file in Files)
        {
            json.WriteStartObject();
            json.WriteString("path", file.Path);
            json.WriteNumber("bytes", file.Bytes);
            json.WriteString("sha256", file.Sha256);
            json.WriteEndObject();
        }

        json.WriteEndArray();
        json.WriteEndObject();
        json.Flush();
        return buffer.WrittenSpan.ToArray();
    }

    /// <summary>Reads a manifest that this program or a person wrote.</summary>
    /// <exception cref="TernException">It is no manifest; the message names file and field.</exception>
    public static Manifest Read(string path)
    {
        string field = "document";
        try
        {
            using JsonDocument document = JsonDocument.Parse(File.ReadAllBytes(path), s_reading);
            JsonElement root = document.RootElement;
            field = "version";
            if (root.GetProperty(field).GetInt32() != Version)
                throw Wrong(path, field, $"is not {Version}", "a newer tern wrote it: use that one");
            field = "name";
            ModelName name = ModelName.TryStored(Text(root, field)) ?? throw new FormatException("no model name");
            field = "files";
            List<ManifestFile> files = [.. root.GetProperty(field).EnumerateArray().Select(FileOf)];
            if (files.Count == 0 || files.DistinctBy(f => f.Path, StringComparer.OrdinalIgnoreCase).Count() != files.Count)
                throw new FormatException("empty, or one name twice");
            field = "main";
            string? main = root.GetProperty(field).GetString();
            if (main is not null && files.All(f => f.Path != main))
                throw new FormatException("not one of the files");
            field = "created";
            DateTimeOffset created = DateTimeOffset.Parse(Text(root, field), CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal);
            field = "source, commit, licence or type";
            return new Manifest
            {
                Name = name,
                Files = files,
                Main = main,
                Created = created,
                Source = Text(root, "source"),
                Type = Text(root, "type"),
                Commit = root.GetProperty("commit").GetString(),
                Licence = root.GetProperty("licence").GetString(),
            };
        }
        catch (Exception e) when (e is JsonException or KeyNotFoundException or InvalidOperationException or FormatException or OverflowException)
        {
            throw Wrong(path, field, e.Message.TrimEnd('.'), "delete the file and pull or import the model again");
        }
    }

    private static ManifestFile FileOf(JsonElement e)
    {
        var file = new ManifestFile(Text(e, "path"), e.GetProperty("bytes").GetInt64(), Text(e, "sha256"));
        if (SafePath.Problem(file.Path) is { } problem)
            throw new FormatException($"path: {problem}");
        if (file.Bytes < 0 || !IsSha256(file.Sha256))
            throw new FormatException("bytes or sha256 out of range");
        return file;
    }

    /// <summary>64 lower-case hexadecimal digits.</summary>
    public static bool IsSha256(string? text) => text is { Length: 64 } && text.All(char.IsAsciiHexDigitLower);

    private static string Text(JsonElement e, string field) => e.GetProperty(field).GetString() ?? throw new FormatException($"'{field}' is null");

    private static TernException Wrong(string path, string field, string what, string remedy) =>
        global::Tern.Files.FileError.Whole(ErrorKind.Format, path, $"'{field}'", what, remedy);
}
