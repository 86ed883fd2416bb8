using System.Globalization;

namespace Tern.Text.HuggingFace;

/// <summary>
/// Tells a regular expression that is only unknown from one that is broken. It checks what all dialects share (brackets, escapes, what a quantifier
/// stands behind), in one pass and without recursion, because .NET's own parser refuses constructs that these files use, such as <c>++</c>.
/// </summary>
internal static class RegexSyntax
{
    /// <summary>What is wrong with a pattern, or null.</summary>
    public static string? Fault(string pattern)
    {
        int groups = 0;
        bool repeatable = false;
        for (int at = 0; at < pattern.Length;)
        {
            int start = at;
            switch (pattern[at++])
            {
                case '\\':
                    if ((at = EscapeEnd(pattern, start)) < 0)
                        return At("an escape is not finished", start);
                    repeatable = true;
                    break;
                case '[':
                    if ((at = ClassEnd(pattern, start)) < 0)
                        return At("'[' is never closed", start);
                    repeatable = true;
                    break;
                case '(':
                    groups++;
                    if ((at = GroupHeadEnd(pattern, start)) < 0)
                        return At("the group is of no known kind", start);
                    repeatable = false;
                    break;
                case ')':
                    if (--groups < 0)
                        return At("')' closes nothing", start);
                    repeatable = true;
                    break;
                case '|':
                    repeatable = false;
                    break;
                case '*' or '+' or '?':
                    if (!repeatable)
                        return At($"'{pattern[start]}' repeats nothing", start);
                    break;
                case '{':
                    if (Bounds(pattern, start, out int end) is not { } ordered)
                        repeatable = true;
                    else if (!repeatable || !ordered)
                        return At(repeatable ? "the bounds of a repetition are in the wrong order" : "'{' repeats nothing", start);
                    else
                        at = end;
                    break;
                default:
                    repeatable = true;
                    break;
            }
        }

        return groups > 0 ? "'(' is never closed" : null;
    }

    private static string At(string what, int index) => string.Create(CultureInfo.InvariantCulture, $"{what} (character {index})");

    /// <summary>End of an escape, or -1: one character, with a name in braces behind p, P, x, g and k.</summary>
    private static int EscapeEnd(string pattern, int at)
    {
        if (at + 1 >= pattern.Length)
            return -1;
        bool named = pattern[at + 1] is 'p' or 'P';
        if (at + 2 >= pattern.Length || pattern[at + 2] != '{' || pattern[at + 1] is not ('p' or 'P' or 'x'))
            return named ? -1 : at + 2;
        int close = pattern.IndexOf('}', at);
        return close > at + 3 ? close + 1 : -1;
    }

    /// <summary>End of a character class, in which classes may be nested, or -1. A bracket right behind the opening is a character.</summary>
    private static int ClassEnd(string pattern, int at)
    {
        int depth = 0;
        while (at < pattern.Length)
        {
            char c = pattern[at];
            if (c == '\\')
            {
                if ((at = EscapeEnd(pattern, at)) < 0)
                    return -1;
                continue;
            }

            at++;
            if (c == '[')
            {
                depth++;
                at += at < pattern.Length && pattern[at] == '^' ? 1 : 0;
                at += at < pattern.Length && pattern[at] == ']' ? 1 : 0;
            }
            else if (c == ']' && --depth == 0)
            {
                return at;
            }
        }

        return -1;
    }

    /// <summary>End of what stands behind "(": nothing, or <c>?</c> with look-around, a name, options or a comment; -1 for anything else.</summary>
    private static int GroupHeadEnd(string pattern, int at)
    {
        at++;
        if (at >= pattern.Length || pattern[at] != '?')
            return at;
        if (++at >= pattern.Length)
            return -1;
        if (pattern[at] is ':' or '=' or '!' or '>' or '|')
            return at + 1;
        if (pattern[at] == '<' && at + 1 < pattern.Length && pattern[at + 1] is '=' or '!')
            return at + 2;
        if (pattern[at] is '<' or 'P')
            return pattern.IndexOf('>', at) is var close and > 0 ? close + 1 : -1;

        if (pattern[at] == '#')
            return pattern.IndexOf(')', at);
        while (at < pattern.Length && (char.IsAsciiLetter(pattern[at]) || pattern[at] == '-'))
            at++;
        return at < pattern.Length && pattern[at] is ':' or ')' ? pattern[at] == ':' ? at + 1 : at : -1;
    }

    /// <summary>Whether <c>{m,n}</c> has its bounds in order; null when the brace is an ordinary character.</summary>
    private static bool? Bounds(string pattern, int at, out int end)
    {
        end = pattern.IndexOf('}', at) + 1;
        string[] parts = end == 0 || end - at > 24 ? [] : pattern[(at + 1)..(end - 1)].Split(',');
        if (parts.Length is 0 or > 2 || parts.All(part => part.Length == 0) || parts.Any(part => !part.All(char.IsAsciiDigit)))
            return null;
        return parts.Length == 1 || parts[1].Length == 0 || parts[0].Length == 0
            || (long.TryParse(parts[0], CultureInfo.InvariantCulture, out long least) && long.TryParse(parts[1], CultureInfo.InvariantCulture, out long most) && least <= most);
    }
}
