using System.Globalization;
using System.Text.Json;
using Tern.Files;

namespace Tern.Training.Runs;

/// <summary>
/// The fields of a run that somebody set, by name: read from a JSON file, overlaid by flags, written into the run folder and compared when the run
/// is continued. What nobody set has its default.
/// </summary>
internal sealed class RunConfiguration
{
    private const int FileBytesMax = 1 << 20;

    private const string Steps = "steps", Hours = "hours";

    private static readonly JsonDocumentOptions s_read = new() { AllowDuplicateProperties = false, MaxDepth = 8, CommentHandling = JsonCommentHandling.Skip, AllowTrailingCommas = true };

    private readonly SortedDictionary<string, IReadOnlyList<string>> _given = new(StringComparer.Ordinal);

    /// <summary>Sets a field; it wins over what was set before.</summary>
    public void Set(string name, IReadOnlyList<string> values) => _given[name] = values;

    /// <summary>Whether somebody set a field.</summary>
    public bool Has(string name) => _given.ContainsKey(name);

    /// <summary>Reads a JSON object of fields.</summary>
    /// <exception cref="TernException">The file is missing, no JSON, or has an unknown field or a value of the wrong type.</exception>
    public static RunConfiguration Read(string path)
    {
        byte[] bytes;
        try
        {
            if (new FileInfo(path).Length > FileBytesMax)
                throw new TernException(ErrorKind.Limit, $"{path}: a configuration is no longer than {FileBytesMax} bytes");
            bytes = File.ReadAllBytes(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new TernException(ErrorKind.File, $"{path}: cannot be read: {e.Message}", e);
        }

        try
        {
            using JsonDocument document = JsonDocument.Parse(bytes.AsMemory(bytes.AsSpan().StartsWith("\uFEFF"u8) ? 3 : 0), s_read);
            return From(document.RootElement, path);
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            throw new TernException(ErrorKind.Format, $"{path} is no JSON: {e.Message}", e);
        }
    }

    /// <summary>The fields of this with those of <paramref name="other"/> laid over them. Of steps and hours, the one that was said last counts.</summary>
    public RunConfiguration With(RunConfiguration other)
    {
        var all = new RunConfiguration();
        foreach ((string name, IReadOnlyList<string> values) in _given)
            if (!(name == Steps && other.Has(Hours)) && !(name == Hours && other.Has(Steps)))
                all._given[name] = values;
        foreach ((string name, IReadOnlyList<string> values) in other._given)
            all._given[name] = values;
        return all;
    }

    /// <summary>Refuses fields that would do nothing beside the others.</summary>
    /// <param name="begun">The fields of the run that goes on, which began with what it has; null for a new run.</param>
    /// <param name="compares">Whether precisions are compared.</param>
    /// <param name="source">Where a field comes from, for messages.</param>
    /// <exception cref="TernException">One would; the message says why.</exception>
    public void CheckUse(RunConfiguration? begun, bool compares, Func<RunField, string> source)
    {
        foreach (RunField field in RunFields.All)
            if (_given.TryGetValue(field.Name, out IReadOnlyList<string>? values)
                && !(begun is not null && begun._given.TryGetValue(field.Name, out IReadOnlyList<string>? before) && before.SequenceEqual(values, StringComparer.Ordinal))
                && field.WhyIdle(ValueOf, compares) is { } why)
                throw new TernException(ErrorKind.Request, $"{source(field)} does nothing {why}; leave it out");

        string? ValueOf(string name) => _given.TryGetValue(name, out IReadOnlyList<string>? values) ? values[0] : RunFields.Find(name)!.Default;
    }

    /// <summary>The settings that these fields make.</summary>
    /// <param name="source">Where they come from, for messages: the name of a field is put behind it.</param>
    /// <exception cref="TernException">A value is not what its field takes.</exception>
    public RunSettings Settings(Func<RunField, string> source)
    {
        var settings = new RunSettings();
        foreach (RunField field in RunFields.All)
            if (_given.TryGetValue(field.Name, out IReadOnlyList<string>? values))
                settings = field.Set(settings, values, source(field));
        return settings;
    }

    /// <summary>The first field that <paramref name="other"/> sets to something else and that may not change within a run, or a comparison; or null.</summary>
    public RunField? FirstConflict(RunConfiguration other, bool compares)
    {
        RunSettings settings = Settings(field => field.Name);
        return RunFields.All.FirstOrDefault(field => !(compares ? field.MayChangeInComparison : field.MayChange) && other._given.TryGetValue(field.Name, out IReadOnlyList<string>? theirs) && Differs(field, theirs));

        // A field that is set to its default does not differ from one that nobody set.
        bool Differs(RunField field, IReadOnlyList<string> theirs) =>
            !(_given.TryGetValue(field.Name, out IReadOnlyList<string>? ours) && ours.SequenceEqual(theirs, StringComparer.Ordinal))
            && (field.Kind == RunFieldKind.Texts || field.Set(settings, theirs, field.Name) != settings);
    }

    /// <summary>A field's values, for messages.</summary>
    public string Describe(string name) => _given.TryGetValue(name, out IReadOnlyList<string>? values) ? $"'{string.Join(", ", values)}'" : "its default";

    /// <summary>Writes the file that <see cref="Read"/> reads.</summary>
    public void Write(string path) => AtomicFile.Write(path, stream =>
    {
        using var writer = new Utf8JsonWriter(stream, new JsonWriterOptions { Indented = true });
        writer.WriteStartObject();
        foreach (RunField field in RunFields.All)
        {
            if (!_given.TryGetValue(field.Name, out IReadOnlyList<string>? values))
                continue;
            writer.WritePropertyName(field.Name);
            WriteValue(writer, field.Kind, values);
        }

        writer.WriteEndObject();
    });

    /// <summary>Values were checked when the settings were made.</summary>
    private static void WriteValue(Utf8JsonWriter writer, RunFieldKind kind, IReadOnlyList<string> values)
    {
        switch (kind)
        {
            case RunFieldKind.Texts:
                writer.WriteStartArray();
                foreach (string value in values)
                    writer.WriteStringValue(value);
                writer.WriteEndArray();
                break;
            case RunFieldKind.Integer:
                writer.WriteNumberValue(long.Parse(values[0], CultureInfo.InvariantCulture));
                break;
            case RunFieldKind.Number:
                writer.WriteNumberValue(double.Parse(values[0], CultureInfo.InvariantCulture));
                break;
            case RunFieldKind.Boolean:
                writer.WriteBooleanValue(bool.Parse(values[0]));
                break;
            default:
                writer.WriteStringValue(values[0]);
                break;
        }
    }

    private static RunConfiguration From(JsonElement root, string path)
    {
        if (root.ValueKind != JsonValueKind.Object)
            throw new TernException(ErrorKind.Format, $"{path}: a configuration is a JSON object of fields");
        var configuration = new RunConfiguration();
        foreach (JsonProperty property in root.EnumerateObject())
        {
            RunField field = RunFields.Find(property.Name)
                ?? throw new TernException(ErrorKind.Semantic, $"{path}: field '{property.Name}' is not known; known are {string.Join(", ", RunFields.All.Select(f => f.Name))}");
            configuration.Set(field.Name, Values(field, property.Value, path));
        }

        if (configuration.Has(Steps) && configuration.Has(Hours))
            throw new TernException(ErrorKind.Semantic, $"{path}: the fields '{Steps}' and '{Hours}' contradict each other; leave one of them out");

        return configuration;
    }

    private static List<string> Values(RunField field, JsonElement value, string path)
    {
        if (field.Kind == RunFieldKind.Texts && value.ValueKind == JsonValueKind.Array)
            return [.. value.EnumerateArray().Select(item => item.ValueKind == JsonValueKind.String ? item.GetString()! : throw Wrong(item))];
        bool fits = field.Kind switch
        {
            RunFieldKind.Integer or RunFieldKind.Number => value.ValueKind == JsonValueKind.Number,
            RunFieldKind.Boolean => value.ValueKind is JsonValueKind.True or JsonValueKind.False,
            _ => value.ValueKind == JsonValueKind.String,
        };
        if (!fits)
            throw Wrong(value);
        return [value.ValueKind == JsonValueKind.String ? value.GetString()! : value.GetRawText()];

        TernException Wrong(JsonElement found) => new(
            ErrorKind.Semantic,
            $"{path}: field '{field.Name}' is {found.ValueKind}, must be {(field.Kind == RunFieldKind.Texts ? "a string or an array of strings" : $"of the kind {field.Kind}")} ({field.Takes})");
    }
}
