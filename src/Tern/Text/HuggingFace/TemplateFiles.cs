using System.Text;
using Tern.Files;

namespace Tern.Text.HuggingFace;

/// <summary>
/// The chat templates of a directory, wherever its time kept them. The first that exists counts:
/// <code>
/// chat_template.jinja                      text    newer than the others, and written beside them
///   additional_chat_templates/NAME.jinja   text    its variants
/// tokenizer_config.json  "chat_template"   string, or [{"name": "default", "template": …}, {"name": "tool_use", …}]
/// chat_template.json     "chat_template"   the same
/// </code>
/// In GGUF the default one is <c>tokenizer.chat_template</c>, a variant <c>tokenizer.chat_template.NAME</c>, and <c>tokenizer.chat_templates</c> lists
/// the variants' names.
/// </summary>
internal static class TemplateFiles
{
    private const string Key = "tokenizer.chat_template";
    private const string Variants = "additional_chat_templates";

    /// <summary>Writes the keys; none when the directory has no template, as base models have not.</summary>
    /// <exception cref="TernException">Limit: a file is too long, or there are too many; Semantic: a template is no text.</exception>
    public static void Write(string directory, JsonField configuration, HuggingFaceLimits limits, Metadata into, Action<string> warn)
    {
        var templates = new SortedDictionary<string, string>(StringComparer.Ordinal);
        if (Text(directory, "chat_template.jinja", limits) is { } jinja)
        {
            templates["default"] = jinja;
            AddVariants(directory, limits, templates, warn);
        }
        else if (configuration["chat_template"] is { Exists: true } inConfiguration)
        {
            Add(inConfiguration, templates, warn);
        }
        else
        {
            using JsonFile? file = JsonFile.Open(directory, "chat_template.json", limits.OfConfiguration);
            if (file?.Root["chat_template"] is { Exists: true } inOwnFile)
                Add(inOwnFile, templates, warn);
        }

        if (templates.Count > limits.NamedTemplates)
            throw FileError.Whole(ErrorKind.Limit, directory, "chat templates", $"{templates.Count} are above the limit {nameof(HuggingFaceLimits)}.{nameof(HuggingFaceLimits.NamedTemplates)} of {limits.NamedTemplates}", "raise the limit if the directory is to be trusted");
        string[] names = [.. templates.Keys.Where(name => name != "default")];
        if (templates.TryGetValue("default", out string? first))
            into.Set(Key, first);
        foreach (string name in names)
            into.Set($"{Key}.{name}", templates[name]);
        if (names.Length > 0)
            into.Set("tokenizer.chat_templates", StringTable.From(names));
    }

    private static void Add(JsonField field, SortedDictionary<string, string> templates, Action<string> warn)
    {
        if (!field.IsArray)
        {
            templates["default"] = field.Text!;
            return;
        }

        foreach (JsonField item in field.Items)
        {
            string name = item["name"].Text ?? throw item["name"].Semantic("is missing: a template in a list must have a name");
            string template = item["template"].Text ?? throw item["template"].Semantic("is missing");
            AddNamed(field.File.Path, name, template, templates, warn);
        }
    }

    private static void AddVariants(string directory, HuggingFaceLimits limits, SortedDictionary<string, string> templates, Action<string> warn)
    {
        string folder = Path.Combine(directory, Variants);
        if (!Directory.Exists(folder))
            return;
        foreach (string path in Directory.EnumerateFiles(folder, "*.jinja").Take(limits.NamedTemplates + 1))
            AddNamed(path, Path.GetFileNameWithoutExtension(path), Text(directory, Path.Combine(Variants, Path.GetFileName(path)), limits) ?? "", templates, warn);
    }

    private static void AddNamed(string path, string name, string template, SortedDictionary<string, string> templates, Action<string> warn)
    {
        // The name becomes part of a key, so that it must be a word.
        if (name.Length is 0 or > 64 || !name.All(c => char.IsAsciiLetterOrDigit(c) || c is '_' or '-'))
            warn($"{path}: the chat template {FileError.Quote(name)} is left out, because its name is not of letters, digits, '_' and '-'");
        else if (!templates.TryAdd(name, template))
            warn($"{path}: there is a second chat template {FileError.Quote(name)}; it is left out");
    }

    private static string? Text(string directory, string name, HuggingFaceLimits limits) =>
        JsonFile.ReadBytes(directory, name, limits.ConfigurationBytes, limits.OfConfiguration.BytesName) is { } bytes
            ? Encoding.UTF8.GetString(bytes.AsSpan().StartsWith(Encoding.UTF8.Preamble) ? bytes.AsSpan(Encoding.UTF8.Preamble.Length) : bytes)
            : null;
}
