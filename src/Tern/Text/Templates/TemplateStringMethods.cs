using System.Collections.Frozen;
using System.Globalization;

namespace Tern.Text.Templates;

/// <summary>The methods of strings.</summary>
internal static class TemplateStringMethods
{
    public static FrozenDictionary<string, TemplateBuiltin> All { get; } = TemplateBuiltin.Table(
        new("capitalize", "", static c => c.Made(TemplateStrings.Capitalize(c.Text))),
        new("center", "width fillchar?", static c => TemplateStrings.Pad(c, c.IntegerAt(0, 0), c.TextAt(1, " "), TemplateStrings.Side.Center)),
        new("count", "sub", static c => TemplateSearch.Count(c.Renderer, c.Text, c.StringAt(0))),
        new("endswith", "suffix", static c => Any(c, static (text, suffix) => text.EndsWith(suffix, StringComparison.Ordinal))),
        new("find", "sub", static c => Find(c, last: false)),
        new("format", "*", static c => TemplateFormat.Braces(c.Renderer, c.Text, c.Given)),
        new("index", "sub", static c => Find(c, last: false) is { AsLong: >= 0 } at ? at : throw c.Fail("the text does not occur")),
        new("isalnum", "", static c => TemplateStrings.Every(c.Renderer, c.Text, char.IsLetterOrDigit)),
        new("isalpha", "", static c => TemplateStrings.Every(c.Renderer, c.Text, char.IsLetter)),
        new("isdecimal", "", static c => TemplateStrings.Every(c.Renderer, c.Text, char.IsDigit)),
        new("isdigit isnumeric", "", static c => TemplateStrings.Every(c.Renderer, c.Text, static x => char.GetUnicodeCategory(x) is UnicodeCategory.DecimalDigitNumber or UnicodeCategory.OtherNumber)),
        new("islower", "", static c => TemplateStrings.IsCase(c.Renderer, c.Text, upper: false)),
        new("isspace", "", static c => TemplateStrings.Every(c.Renderer, c.Text, TemplateLexer.IsSpace)),
        new("isupper", "", static c => TemplateStrings.IsCase(c.Renderer, c.Text, upper: true)),
        new("join", "iterable", Join),
        new("ljust", "width fillchar?", static c => TemplateStrings.Pad(c, c.IntegerAt(0, 0), c.TextAt(1, " "), TemplateStrings.Side.Left)),
        new("lower casefold", "", static c => c.Made(c.Text.ToLowerInvariant())),
        new("lstrip", "chars?", static c => Strip(c, start: true, end: false)),
        new("partition", "sep", static c => Partition(c, last: false)),
        new("removeprefix", "prefix", static c => c.Made(c.Text.StartsWith(c.StringAt(0), StringComparison.Ordinal) ? c.Text[c.StringAt(0).Length..] : c.Text)),
        new("removesuffix", "suffix", static c => c.Made(c.Text.EndsWith(c.StringAt(0), StringComparison.Ordinal) ? c.Text[..^c.StringAt(0).Length] : c.Text)),
        new("replace", "old new count?", static c => TemplateSearch.Replace(c.Renderer, c.Text, c.StringAt(0), c.StringAt(1), c.IntegerAt(2, -1))),
        new("rfind", "sub", static c => Find(c, last: true)),
        new("rjust", "width fillchar?", static c => TemplateStrings.Pad(c, c.IntegerAt(0, 0), c.TextAt(1, " "), TemplateStrings.Side.Right)),
        new("rpartition", "sep", static c => Partition(c, last: true)),
        new("rsplit", "sep? maxsplit?", static c => Split(c, fromEnd: true)),
        new("rstrip", "chars?", static c => Strip(c, start: false, end: true)),
        new("split", "sep? maxsplit?", static c => Split(c, fromEnd: false)),
        new("splitlines", "keepends?", static c => List(c, TemplateStrings.Lines(c.Text, c.FlagAt(0, false)))),
        new("startswith", "prefix", static c => Any(c, static (text, prefix) => text.StartsWith(prefix, StringComparison.Ordinal))),
        new("strip", "chars?", static c => Strip(c, start: true, end: true)),
        new("swapcase", "", static c => c.Made(string.Concat(c.Text.Select(static x => char.IsUpper(x) ? char.ToLowerInvariant(x) : char.ToUpperInvariant(x))))),
        new("title", "", static c => c.Made(TemplateStrings.TitleByLetters(c.Text))),
        new("upper", "", static c => c.Made(c.Text.ToUpperInvariant())),
        new("zfill", "width", ZeroFill));

    private static TemplateValue Strip(TemplateCall call, bool start, bool end) =>
        call.Made(TemplateStrings.Strip(call.Renderer, call.Text, call.Has(0) ? call.StringAt(0) : null, start, end));

    /// <summary>Whether the test holds for the argument, or for one of a tuple.</summary>
    private static TemplateValue Any(TemplateCall call, Func<string, string, bool> test)
    {
        if (call[0].Kind != TemplateKind.Tuple)
            return test(call.Subject.AsString, Charged(call, call.StringAt(0)));

        foreach (TemplateValue option in TemplateAccess.Iterate(call.Renderer, call[0]))
            if (option.IsString && test(call.Subject.AsString, Charged(call, option.AsString)))
                return true;
        return false;
    }

    private static string Charged(TemplateCall call, string text)
    {
        call.Renderer.ChargeText(text.Length);
        return text;
    }

    /// <summary>The place of a text in code points, or -1.</summary>
    private static TemplateValue Find(TemplateCall call, bool last)
    {
        string text = call.Text, wanted = call.StringAt(0);
        int at = last ? TemplateSearch.LastIndexOf(call.Renderer, text, wanted, text.Length) : TemplateSearch.IndexOf(call.Renderer, text, wanted);
        int[]? points = at <= 0 ? null : TemplateSearch.CodePoints(call.Renderer, text);
        return (long)(points is null ? at : Array.BinarySearch(points, at));
    }

    private static TemplateValue Join(TemplateCall call)
    {
        var text = new TemplateTextBuilder(call.Renderer);
        bool isFirst = true;
        foreach (TemplateValue item in TemplateAccess.Iterate(call.Renderer, call[0]))
        {
            if (!item.IsString)
                throw call.Fail($"only strings can be joined, not '{item.TypeName}'");
            text.Append(isFirst ? "" : call.Subject.AsString).Append(item.AsString);
            isFirst = false;
        }

        return text.ToString();
    }

    private static TemplateValue Partition(TemplateCall call, bool last)
    {
        string text = call.Text, separator = call.StringAt(0);
        if (separator.Length == 0)
            throw call.Fail("the separator must not be empty");

        int at = last ? TemplateSearch.LastIndexOf(call.Renderer, text, separator, text.Length) : TemplateSearch.IndexOf(call.Renderer, text, separator);
        string[] parts = at >= 0 ? [text[..at], separator, text[(at + separator.Length)..]] : last ? ["", "", text] : [text, "", ""];
        return TemplateValue.Tuple(List(call, parts).AsList);
    }

    private static TemplateValue Split(TemplateCall call, bool fromEnd)
    {
        int limit = call.IntegerAt(1, -1) is int given and >= 0 ? given : int.MaxValue;
        if (!call.Has(0))
            return List(call, fromEnd ? WordsFromEnd(call.Text, limit) : Words(call.Text, limit));

        string separator = call.StringAt(0);
        if (separator.Length == 0)
            throw call.Fail("the separator must not be empty");
        return List(call, fromEnd ? PartsFromEnd(call.Renderer, call.Text, separator, limit) : Parts(call.Renderer, call.Text, separator, limit));
    }

    private static TemplateValue List(TemplateCall call, IEnumerable<string> parts)
    {
        List<TemplateValue> items = call.Renderer.NewItems(0);
        foreach (string part in parts)
        {
            call.Renderer.Charge(1);
            call.Renderer.Allocate(64 + 2L * part.Length);
            items.Add(part);
        }

        return TemplateValue.List(new TemplateList(items));
    }

    private static IEnumerable<string> Parts(TemplateRenderer renderer, string text, string separator, int limit)
    {
        int start = 0;
        while (limit-- > 0 && TemplateSearch.IndexOf(renderer, text, separator, start) is int at and >= 0)
        {
            yield return text[start..at];
            start = at + separator.Length;
        }

        yield return text[start..];
    }

    private static List<string> PartsFromEnd(TemplateRenderer renderer, string text, string separator, int limit)
    {
        var parts = new List<string>();
        int end = text.Length;
        while (limit-- > 0 && TemplateSearch.LastIndexOf(renderer, text, separator, end) is int at and >= 0)
        {
            renderer.Allocate(64 + 2L * (end - at));
            parts.Add(text[(at + separator.Length)..end]);
            end = at;
        }

        parts.Add(text[..end]);
        parts.Reverse();
        return parts;
    }

    /// <summary>Splitting at white space: no empty parts, and none from the ends.</summary>
    private static IEnumerable<string> Words(string text, int limit)
    {
        int i = 0;
        while (true)
        {
            while (i < text.Length && TemplateLexer.IsSpace(text[i]))
                i++;
            if (i == text.Length)
                yield break;

            int start = i;
            if (limit-- == 0)
            {
                yield return text[start..];
                yield break;
            }

            while (i < text.Length && !TemplateLexer.IsSpace(text[i]))
                i++;
            yield return text[start..i];
        }
    }

    private static List<string> WordsFromEnd(string text, int limit)
    {
        var words = new List<string>();
        int end = text.Length;
        while (true)
        {
            while (end > 0 && TemplateLexer.IsSpace(text[end - 1]))
                end--;
            if (end == 0)
                break;

            int start = end;
            while (start > 0 && limit > 0 && !TemplateLexer.IsSpace(text[start - 1]))
                start--;
            if (limit-- == 0)
            {
                words.Add(text[..end]);
                break;
            }

            words.Add(text[start..end]);
            end = start;
        }

        words.Reverse();
        return words;
    }

    private static TemplateValue ZeroFill(TemplateCall call)
    {
        string text = call.Text;
        int sign = text.StartsWith('-') || text.StartsWith('+') ? 1 : 0;
        int missing = Math.Max(0, call.IntegerAt(0, 0) - TemplateSearch.Length(call.Renderer, text));
        return new TemplateTextBuilder(call.Renderer).Append(text.AsSpan(0, sign)).Append('0', missing).Append(text.AsSpan(sign)).ToString();
    }
}
