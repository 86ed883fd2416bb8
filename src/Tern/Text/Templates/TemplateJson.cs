using System.Text.Json;

namespace Tern.Text.Templates;

/// <summary>JSON into values, and values into JSON with the spacing of Python's <c>json.dumps</c>, on which models were trained.</summary>
internal static class TemplateJson
{
    /// <summary>Levels of arrays and objects that a request may nest.</summary>
    public const int DepthMax = 64;

    /// <summary>A value of a request. Integers outside of 64 bits become floats.</summary>
    /// <exception cref="TernException">Nested too deeply, or a string with half of a surrogate pair.</exception>
    public static TemplateValue Read(JsonElement element, int depth = 0)
    {
        if (depth > DepthMax)
            throw new TernException(ErrorKind.Request, $"the JSON for the chat template nests deeper than {DepthMax} levels");

        switch (element.ValueKind)
        {
            case JsonValueKind.Object:
                var dictionary = new TemplateDictionary();
                foreach (JsonProperty property in element.EnumerateObject())
                    dictionary.Set(Text(property, static p => p.Name), Read(property.Value, depth + 1));
                return dictionary;
            case JsonValueKind.Array:
                var items = new List<TemplateValue>(element.GetArrayLength());
                foreach (JsonElement item in element.EnumerateArray())
                    items.Add(Read(item, depth + 1));
                return TemplateValue.List(new TemplateList(items));
            case JsonValueKind.String:
                return Text(element, static e => e.GetString()!);
            case JsonValueKind.Number:
                return element.TryGetInt64(out long integer) && !element.GetRawText().AsSpan().ContainsAny('.', 'e', 'E') ? integer : TemplateValue.Float(element.GetDouble());
            case JsonValueKind.True:
                return true;
            case JsonValueKind.False:
                return false;
            default:
                return TemplateValue.None;
        }
    }

    /// <summary>The filter <c>tojson</c>.</summary>
    public static string Write(TemplateRenderer renderer, TemplateValue value, TemplateJsonStyle style)
    {
        var text = new TemplateTextBuilder(renderer);
        Write(text, value, style, depth: 0);
        return text.ToString();
    }

    private static string Text<T>(T source, Func<T, string> read)
    {
        try
        {
            return read(source);
        }
        catch (InvalidOperationException e)
        {
            throw new TernException(ErrorKind.Request, "a string for the chat template holds half of a surrogate pair", e);
        }
    }

    private static void Write(TemplateTextBuilder text, TemplateValue value, TemplateJsonStyle style, int depth)
    {
        switch (value.Kind)
        {
            case TemplateKind.None:
                text.Append("null");
                break;
            case TemplateKind.Boolean:
                text.Append(value.IsTrue ? "true" : "false");
                break;
            case TemplateKind.Float:
                text.Append(Number(value.AsDouble));
                break;
            case TemplateKind.String:
                WriteString(text, value.AsString, style.AsciiOnly);
                break;
            case TemplateKind.List or TemplateKind.Tuple:
                WriteItems(text, value.AsList, style, depth);
                break;
            case TemplateKind.Dictionary:
                WriteEntries(text, value.AsDictionary, style, depth);
                break;
            case TemplateKind.Integer:
                TemplateText.Append(text, value);
                break;
            case TemplateKind.Undefined:
                throw text.Renderer.Fail($"tojson(): '{value.UndefinedName}' is undefined");
            default:
                throw text.Renderer.Fail($"tojson(): a value of type '{value.TypeName}' has no JSON");
        }
    }

    private static string Number(double value) =>
        double.IsFinite(value) ? TemplateText.Float(value) : double.IsNaN(value) ? "NaN" : value > 0 ? "Infinity" : "-Infinity";

    private static void WriteItems(TemplateTextBuilder text, TemplateList items, TemplateJsonStyle style, int depth)
    {
        if (items.Count == 0)
        {
            text.Append("[]");
            return;
        }

        text.Renderer.Enter();
        text.Append('[');
        for (int i = 0; i < items.Count; i++)
        {
            text.Renderer.Charge(1);
            Separate(text, style, i, depth + 1);
            Write(text, items[i], style, depth + 1);
        }

        NewLine(text, style, depth);
        text.Append(']');
        text.Renderer.Leave();
    }

    private static void WriteEntries(TemplateTextBuilder text, TemplateDictionary entries, TemplateJsonStyle style, int depth)
    {
        if (entries.Count == 0)
        {
            text.Append("{}");
            return;
        }

        text.Renderer.Enter();
        text.Append('{');
        int written = 0;
        foreach (TemplateDictionary.Entry entry in Ordered(text.Renderer, entries, style.SortKeys))
        {
            text.Renderer.Charge(1);
            Separate(text, style, written++, depth + 1);
            WriteString(text, Key(text.Renderer, entry.Key.Value), style.AsciiOnly);
            text.Append(style.AfterKey);
            Write(text, entry.Value, style, depth + 1);
        }

        NewLine(text, style, depth);
        text.Append('}');
        text.Renderer.Leave();
    }

    private static List<TemplateDictionary.Entry> Ordered(TemplateRenderer renderer, TemplateDictionary entries, bool sorted)
    {
        var all = new List<TemplateDictionary.Entry>(entries.Count);
        for (int i = 0; i < entries.Count; i++)
            all.Add(entries[i]);
        return sorted ? TemplateSort.Stable(renderer, all, (a, b) => TemplateOperators.Order(renderer, "<", a.Key.Value, b.Key.Value), reverse: false) : all;
    }

    private static string Key(TemplateRenderer renderer, TemplateValue key) => key.Kind switch
    {
        TemplateKind.String => key.AsString,
        TemplateKind.None => "null",
        TemplateKind.Boolean => key.IsTrue ? "true" : "false",
        TemplateKind.Float => Number(key.AsDouble),
        TemplateKind.Integer => TemplateText.Of(renderer, key),
        _ => throw renderer.Fail($"tojson(): a key of type '{key.TypeName}' has no JSON"),
    };

    private static void Separate(TemplateTextBuilder text, TemplateJsonStyle style, int index, int depth)
    {
        if (index > 0)
            text.Append(style.BetweenItems);
        NewLine(text, style, depth);
    }

    private static void NewLine(TemplateTextBuilder text, TemplateJsonStyle style, int depth)
    {
        if (style.Indent is null)
            return;

        text.Append('\n');
        for (int i = 0; i < depth; i++)
            text.Append(style.Indent);
    }

    private static void WriteString(TemplateTextBuilder text, string value, bool asciiOnly)
    {
        text.Append('"');
        int copied = 0;
        for (int i = 0; i < value.Length; i++)
        {
            char c = value[i];
            if (c >= ' ' && c != '"' && c != '\\' && !(asciiOnly && c > '~'))
                continue;

            text.Append(value.AsSpan(copied, i - copied));
            copied = i + 1;
            int known = "\"\\\n\r\t\b\f".IndexOf(c, StringComparison.Ordinal);
            text.Append(known >= 0 ? $"\\{"\"\\nrtbf"[known]}" : $"\\u{(int)c:x4}");
        }

        text.Append(value.AsSpan(copied)).Append('"');
    }
}

/// <summary>How <c>tojson</c> lays out its text.</summary>
/// <param name="Indent">What one level is indented by; null for one line.</param>
/// <param name="BetweenItems">What stands between two items.</param>
/// <param name="AfterKey">What stands between a key and its value.</param>
/// <param name="AsciiOnly">Whether characters beyond ASCII are escaped.</param>
/// <param name="SortKeys">Whether entries are written in the order of their keys.</param>
internal sealed record TemplateJsonStyle(string? Indent, string BetweenItems, string AfterKey, bool AsciiOnly, bool SortKeys);
