using System.Globalization;
using System.Text.Json;
using Tern.Files;

namespace Tern.Models.Checkpoints;

/// <summary>
/// The fields of <c>config.json</c>, or of an object in it, with typed reading that names file, field and place when a value is not what it must
/// be. A field that is null counts as absent.
/// </summary>
/// <param name="fields">The object.</param>
internal sealed class CheckpointConfig(JsonField fields)
{
    /// <summary>Bytes of a configuration; real ones have a few thousand.</summary>
    public const int BytesMax = 4 << 20;

    /// <summary>Levels of arrays and objects in it.</summary>
    public const int DepthMax = 64;

    private const string Remedy = "the file does not describe a model that Tern knows: take the checkpoint from another source";

    private static readonly JsonLimits s_limits =
        new(BytesMax, $"{nameof(CheckpointConfig)}.{nameof(BytesMax)}", DepthMax, $"{nameof(CheckpointConfig)}.{nameof(DepthMax)}");

    /// <summary>The file.</summary>
    public string Path => fields.File.Path;

    /// <summary>Reads the file, or returns null when there is none.</summary>
    /// <param name="folder">The checkpoint.</param>
    /// <param name="name">The file's path in it.</param>
    /// <exception cref="TernException">It is malformed, or no object.</exception>
    public static CheckpointConfig? Find(string folder, string name)
    {
        // Not disposed: its values are read as long as the configuration lives.
        if (JsonFile.Open(folder, name, s_limits) is not { } file)
            return null;
        return file.Root.IsObject
            ? new CheckpointConfig(file.Root)
            : throw FileError.At(ErrorKind.Format, file.Path, file.Root.Offset, "file", $"holds {file.Root.Element.ValueKind}, must hold an object", "the file is damaged: download it again");
    }

    /// <summary>Whether a field is there and not null.</summary>
    public bool Has(string field) => Find(field) is not null;

    /// <summary>A whole number in a range.</summary>
    public int Integer(string field, int minimum, int maximum) => OptionalInteger(field, minimum, maximum) ?? throw Missing(field);

    public int? OptionalInteger(string field, int minimum, int maximum)
    {
        if (Find(field) is not { } value)
            return null;
        if (value.ValueKind != JsonValueKind.Number || !value.TryGetInt64(out long number))
            throw Wrong(field, $"is {Text(value)}, must be a whole number");
        return number >= minimum && number <= maximum
            ? (int)number
            : throw Wrong(field, string.Create(CultureInfo.InvariantCulture, $"{number} is outside [{minimum}, {maximum}]"));
    }

    /// <summary>A finite number greater than zero, or null.</summary>
    public double? Positive(string field)
    {
        if (Find(field) is not { } value)
            return null;
        if (value.ValueKind != JsonValueKind.Number || !value.TryGetDouble(out double number))
            throw Wrong(field, $"is {Text(value)}, must be a number");
        return double.IsFinite(number) && number > 0 && (float)number is > 0 and < float.PositiveInfinity
            ? number
            : throw Wrong(field, $"is {Text(value)}, must be a number greater than 0 that a float32 holds");
    }

    public bool? Boolean(string field) => Find(field) is not { } value
        ? null
        : value.ValueKind is JsonValueKind.True or JsonValueKind.False ? value.GetBoolean() : throw Wrong(field, $"is {Text(value)}, must be true or false");

    public string? String(string field) => Find(field) is not { } value
        ? null
        : value.ValueKind == JsonValueKind.String ? value.GetString() : throw Wrong(field, $"is {Text(value)}, must be a string");

    /// <summary>An array of strings, or null.</summary>
    public IReadOnlyList<string>? Strings(string field)
    {
        if (Find(field) is not { } value)
            return null;
        if (value.ValueKind != JsonValueKind.Array || value.EnumerateArray().Any(e => e.ValueKind != JsonValueKind.String))
            throw Wrong(field, $"is {Text(value)}, must be an array of strings");
        return [.. value.EnumerateArray().Select(e => e.GetString()!)];
    }

    /// <summary>The fields of an object, or null.</summary>
    public CheckpointConfig? Object(string field) => Find(field) is not { } value
        ? null
        : value.ValueKind == JsonValueKind.Object ? new CheckpointConfig(fields[field]) : throw Wrong(field, $"is {Text(value)}, must be an object");

    /// <summary>Refuses the model when a field is there with another value than the one that Tern computes.</summary>
    public void RequireOff(string field, string what)
    {
        if (Find(field) is { ValueKind: not JsonValueKind.False } value)
            throw Unsupported(field, $"is {Text(value)}: {what} are not supported", "no 1-bit model has them: use another model");
    }

    public TernException Missing(string field) => At(ErrorKind.Semantic, field, "is missing", Remedy);

    /// <summary>An error about a value that cannot be true.</summary>
    public TernException Wrong(string field, string what) => At(ErrorKind.Semantic, field, what, Remedy);

    /// <summary>An error about a value that is well-formed, but not something that Tern runs.</summary>
    public TernException Unsupported(string field, string what, string remedy) => At(ErrorKind.Unsupported, field, what, remedy);

    private TernException At(ErrorKind kind, string field, string what, string remedy) =>
        FileError.At(kind, Path, fields[field].Offset, $"key '{fields[field].Name}'", what, remedy);

    private JsonElement? Find(string field) => fields[field] is { Exists: true } found ? found.Element : null;

    private static string Text(JsonElement value) => FileError.Quote(value.GetRawText());
}
