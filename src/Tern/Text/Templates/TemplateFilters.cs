using System.Collections.Frozen;

namespace Tern.Text.Templates;

/// <summary>The filters on scalars and texts. <see cref="All"/> has every filter; those on sequences are in <see cref="TemplateSequenceFilters"/>.</summary>
internal static class TemplateFilters
{
    public static FrozenDictionary<string, TemplateBuiltin> All { get; } = TemplateBuiltin.Table(
    [
        .. TemplateSequenceFilters.Rows,
        new("abs", "", TemplateNumbers.Absolute),
        new("attr", "name", static c => TemplateAccess.Attribute(c.Renderer, c.Subject, c.StringAt(0))),
        new("capitalize", "", static c => c.Made(TemplateStrings.Capitalize(c.Text))),
        new("center", "width?", static c => TemplateStrings.Pad(c, c.IntegerAt(0, 80), " ", TemplateStrings.Side.Center)),
        new("default d", "default_value? boolean?", static c =>
            c.Subject.IsUndefined || (c.FlagAt(1, false) && !c.Subject.IsTrue) ? c[0].IsUndefined ? TemplateValue.Empty : c[0] : c.Subject),
        new("escape e", "", static c => c.Subject.IsSafe ? c.Subject : TemplateValue.Safe(c.Made(Escape(c.Text)).AsString)),
        new("float", "default?", TemplateNumbers.Float),
        new("format", "*", static c => TemplateFormat.Percent(c.Renderer, c.Text, [.. c.Given.Positional])),
        new("indent", "width? first? blank?", TemplateStrings.Indent),
        new("int", "default? base?", TemplateNumbers.Integer),
        new("lower", "", static c => c.Made(c.Text.ToLowerInvariant())),
        new("replace", "old new count?", static c =>
            TemplateSearch.Replace(c.Renderer, c.Text, c.TextAt(0, ""), c.TextAt(1, ""), c.IntegerAt(2, -1))),
        new("round", "precision? method?", TemplateNumbers.Round),
        new("safe", "", static c => TemplateValue.Safe(c.Text)),
        new("string", "", static c => c.Subject.IsString ? c.Subject : c.Text),
        new("title", "", static c => c.Made(TemplateStrings.TitleByWords(c.Text))),
        new("tojson", "ensure_ascii? indent? separators? sort_keys?", ToJson),
        new("trim", "chars?", static c => c.Made(TemplateStrings.Strip(c.Renderer, c.Text, c.Has(0) ? c.StringAt(0) : null, true, true))),
        new("truncate", "length? killwords? end? leeway?", TemplateStrings.Truncate),
        new("upper", "", static c => c.Made(c.Text.ToUpperInvariant())),
        new("urlencode", "", static c => c.Made(Uri.EscapeDataString(c.Text).Replace("%2F", "/", StringComparison.Ordinal))),
        new("wordcount", "", static c => TemplateStrings.WordCount(c.Renderer, c.Text)),
    ]);

    /// <summary>Applies a filter by name.</summary>
    /// <exception cref="TernException">There is no such filter, or it refuses its subject or arguments.</exception>
    public static TemplateValue Apply(TemplateRenderer renderer, string name, TemplateValue subject, TemplateArguments arguments) =>
        All.TryGetValue(name, out TemplateBuiltin? filter) ? filter.Call(renderer, subject, arguments)
            : throw renderer.Fail($"there is no filter {TemplateText.Quote(name)}");

    private static TemplateValue ToJson(TemplateCall call)
    {
        string? indent = call.Has(1) ? TemplateStrings.IndentAt(call, 1, 0) : null;
        string between = indent is null ? ", " : ",";
        string afterKey = ": ";
        if (call.Has(2))
        {
            if (!call[2].IsSequence || call[2].AsList.Count != 2)
                throw call.Fail("separators must be a pair of strings");
            between = TemplateText.Of(call.Renderer, call[2].AsList[0]);
            afterKey = TemplateText.Of(call.Renderer, call[2].AsList[1]);
        }

        var style = new TemplateJsonStyle(indent, between, afterKey, call.FlagAt(0, false), call.FlagAt(3, false));
        return TemplateJson.Write(call.Renderer, call.Subject, style);
    }

    /// <summary>The five characters of HTML, as Jinja spells them.</summary>
    private static string Escape(string text) =>
        text.Replace("&", "&amp;", StringComparison.Ordinal).Replace("<", "&lt;", StringComparison.Ordinal).Replace(">", "&gt;", StringComparison.Ordinal)
            .Replace("\"", "&#34;", StringComparison.Ordinal).Replace("'", "&#39;", StringComparison.Ordinal);
}
