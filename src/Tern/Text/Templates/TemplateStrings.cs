using System.Buffers;
using System.Text;

namespace Tern.Text.Templates;

/// <summary>Operations on texts that filters and methods share.</summary>
internal static class TemplateStrings
{
    /// <summary>How many times dearer it is to look at characters one by one than to search or copy them.</summary>
    private const long CharacterByCharacter = 5;

    private const int IndentMax = 1000;

    private static readonly SearchValues<char> s_lineEnds = SearchValues.Create("\n\r\v\f\u001c\u001d\u001e\u0085\u2028\u2029");

    /// <summary>Where a padded text stands.</summary>
    public enum Side
    {
        Left,
        Center,
        Right,
    }

    /// <summary>The first character in upper case, the others in lower case.</summary>
    public static string Capitalize(string text) => text.Length == 0 ? "" : char.ToUpperInvariant(text[0]) + text[1..].ToLowerInvariant();

    /// <summary>The method <c>title</c>: upper case after anything that is not a letter.</summary>
    public static string TitleByLetters(string text) => Title(text, static previous => !char.IsLetter(previous));

    /// <summary>The filter <c>title</c>: upper case after white space, a hyphen and opening brackets.</summary>
    public static string TitleByWords(string text) => Title(text, static previous => TemplateLexer.IsSpace(previous) || previous is '-' or '(' or '{' or '[' or '<');

    /// <summary>Cuts white space, or the given characters, from the ends.</summary>
    public static string Strip(TemplateRenderer renderer, string text, string? characters, bool start, bool end)
    {
        int from = 0, to = text.Length;
        while (start && from < to && Cuts(text[from]))
            from++;
        while (end && to > from && Cuts(text[to - 1]))
            to--;
        renderer.ChargeText(CharacterByCharacter * (text.Length - to + from));
        return text[from..to];

        bool Cuts(char c)
        {
            if (characters is null)
                return TemplateLexer.IsSpace(c);

            renderer.Charge(1 + characters.Length / 64);
            return characters.Contains(c);
        }
    }

    /// <summary>Pads to a width in code points.</summary>
    public static TemplateValue Pad(TemplateCall call, int width, string fill, Side side)
    {
        string text = call.Text;
        int missing = Math.Max(0, width - TemplateSearch.Length(call.Renderer, text));
        if (fill.Length != 1)
            throw call.Fail("the fill must be one character");

        // Python gives the odd space to the right when both the width and what is missing are odd, else to the left.
        int left = side switch { Side.Left => 0, Side.Right => missing, _ => missing / 2 + (missing & width & 1) };
        return new TemplateTextBuilder(call.Renderer).Append(fill[0], left).Append(text).Append(fill[0], missing - left).ToString();
    }

    /// <summary>An argument that gives an indent as a text or as a number of spaces.</summary>
    public static string IndentAt(TemplateCall call, int parameter, int fallback)
    {
        if (call[parameter].IsString)
            return call[parameter].AsString;

        int spaces = call.IntegerAt(parameter, fallback);
        return spaces <= IndentMax ? new string(' ', Math.Max(0, spaces)) : throw call.Fail($"an indent has at most {IndentMax} spaces");
    }

    /// <summary>The filter <c>indent</c>: every line but the first, and none that is empty, unless asked for.</summary>
    public static TemplateValue Indent(TemplateCall call)
    {
        string indent = IndentAt(call, 0, 4);
        bool first = call.FlagAt(1, false), blank = call.FlagAt(2, false);
        var text = new TemplateTextBuilder(call.Renderer);
        int number = 0;
        foreach (string line in Lines(call.Text + "\n", keepEnds: false))
        {
            call.Renderer.Charge(1);
            text.Append(number == 0 ? "" : "\n");
            text.Append(number == 0 ? first ? indent : "" : blank || line.Length > 0 ? indent : "");
            text.Append(line);
            number++;
        }

        return text.ToString();
    }

    /// <summary>The filter <c>truncate</c>.</summary>
    public static TemplateValue Truncate(TemplateCall call)
    {
        string text = call.Text;
        int length = call.IntegerAt(0, 255);
        string end = call.TextAt(2, "...");
        if (TemplateSearch.Length(call.Renderer, text) <= (long)length + call.IntegerAt(3, 5))
            return text;
        if (length < end.Length)
            throw call.Fail($"the length must be at least that of the end, {end.Length}");

        string kept = TemplateAccess.Slice(call.Renderer, text, TemplateValue.None, (long)length - end.Length, TemplateValue.None).AsString;
        int space = call.FlagAt(1, false) ? -1 : kept.LastIndexOf(' ');
        return call.Made((space < 0 ? kept : kept[..space]) + end);
    }

    /// <summary>Number of runs of letters, digits and underscores.</summary>
    public static long WordCount(TemplateRenderer renderer, string text)
    {
        renderer.ChargeText(CharacterByCharacter * text.Length);
        long count = 0;
        bool inside = false;
        foreach (char c in text)
        {
            bool word = c == '_' || char.IsLetterOrDigit(c);
            count += word && !inside ? 1 : 0;
            inside = word;
        }

        return count;
    }

    /// <summary>The lines of a text, as Python's <c>splitlines</c> cuts them.</summary>
    public static IEnumerable<string> Lines(string text, bool keepEnds)
    {
        int start = 0;
        while (start < text.Length)
        {
            int end = text.AsSpan(start).IndexOfAny(s_lineEnds);
            end = end < 0 ? text.Length : start + end;
            int next = end >= text.Length ? end : text[end] == '\r' && end + 1 < text.Length && text[end + 1] == '\n' ? end + 2 : end + 1;
            yield return text[start..(keepEnds ? next : end)];
            start = next;
        }
    }

    /// <summary>Whether there is a cased character and all of them are of the wanted case.</summary>
    public static bool IsCase(TemplateRenderer renderer, string text, bool upper)
    {
        renderer.ChargeText(CharacterByCharacter * text.Length);
        bool any = false;
        foreach (char c in text)
        {
            if (upper ? char.IsLower(c) : char.IsUpper(c))
                return false;
            any |= upper ? char.IsUpper(c) : char.IsLower(c);
        }

        return any;
    }

    /// <summary>Whether the text is not empty and every character has the property.</summary>
    public static bool Every(TemplateRenderer renderer, string text, Func<char, bool> property)
    {
        renderer.ChargeText(CharacterByCharacter * text.Length);
        return text.Length > 0 && text.All(property);
    }

    private static string Title(string text, Func<char, bool> begins)
    {
        var result = new StringBuilder(text.Length);
        char previous = ' ';
        foreach (char c in text)
        {
            result.Append(begins(previous) ? char.ToUpperInvariant(c) : char.ToLowerInvariant(c));
            previous = c;
        }

        return result.ToString();
    }
}
