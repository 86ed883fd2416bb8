using System.Text;

namespace Tern.Text.Templates;

/// <summary>
/// Looking for a text in a text, at a counted price. The longest prefix that the vectorised search of .NET may see is eight characters,
/// so one search costs at most eight times the length of the text; what follows a found prefix is compared here and paid for.
/// </summary>
internal static class TemplateSearch
{
    private const int PrefixCharacters = 8;

    /// <summary>The first place at or after <paramref name="from"/>, or -1.</summary>
    public static int IndexOf(TemplateRenderer renderer, string text, string wanted, int from = 0)
    {
        ReadOnlySpan<char> prefix = wanted.AsSpan(0, Math.Min(PrefixCharacters, wanted.Length));
        while (from <= text.Length - wanted.Length)
        {
            int found = text.AsSpan(from).IndexOf(prefix, StringComparison.Ordinal);
            renderer.ChargeText(2L * (found < 0 ? text.Length - from : found));
            if (found < 0)
                return -1;

            from += found;
            if (Matches(renderer, text, from, wanted))
                return from;
            from++;
        }

        return -1;
    }

    /// <summary>The last place that ends at or before <paramref name="end"/>, or -1.</summary>
    public static int LastIndexOf(TemplateRenderer renderer, string text, string wanted, int end)
    {
        ReadOnlySpan<char> prefix = wanted.AsSpan(0, Math.Min(PrefixCharacters, wanted.Length));
        for (int last = end - wanted.Length; last >= 0; last--)
        {
            int found = text.AsSpan(0, last + prefix.Length).LastIndexOf(prefix, StringComparison.Ordinal);
            renderer.ChargeText(2L * (found < 0 ? last : last - found));
            if (found < 0)
                return -1;

            last = found;
            if (Matches(renderer, text, last, wanted))
                return last;
        }

        return -1;
    }

    /// <summary>Number of places, none of them overlapping.</summary>
    public static long Count(TemplateRenderer renderer, string text, string wanted)
    {
        if (wanted.Length == 0)
            return Length(renderer, text) + 1;

        long count = 0;
        for (int at = 0; (at = IndexOf(renderer, text, wanted, at)) >= 0; at += wanted.Length)
        {
            renderer.Charge(1);
            count++;
        }

        return count;
    }

    /// <summary>Number of code points, which is what Python calls the length.</summary>
    public static int Length(TemplateRenderer renderer, string text)
    {
        renderer.ChargeText(text.Length);
        int pairs = 0;
        for (int i = text.AsSpan().IndexOfAnyInRange('\ud800', '\udbff'); i >= 0 && i < text.Length - 1; i++)
            if (char.IsSurrogatePair(text[i], text[i + 1]))
                pairs++;
        return text.Length - pairs;
    }

    /// <summary>Where each code point begins, and the end; null when every code point is one UTF-16 unit.</summary>
    public static int[]? CodePoints(TemplateRenderer renderer, string text)
    {
        int count = Length(renderer, text);
        if (count == text.Length)
            return null;

        renderer.Allocate(4L * count);
        renderer.ChargeItems(count);
        var starts = new int[count + 1];
        int at = 0;
        for (int i = 0; i < text.Length; i++)
            if (i == 0 || !char.IsSurrogatePair(text[i - 1], text[i]))
                starts[at++] = i;
        starts[count] = text.Length;
        return starts;
    }

    /// <summary>The text with <paramref name="wanted"/> replaced, at most <paramref name="limit"/> times; an empty one stands between all characters.</summary>
    public static string Replace(TemplateRenderer renderer, string text, string wanted, string replacement, int limit)
    {
        if (limit < 0)
            limit = int.MaxValue;

        var result = new TemplateTextBuilder(renderer);
        if (wanted.Length == 0)
        {
            foreach (Rune rune in text.EnumerateRunes())
            {
                if (limit-- > 0)
                    result.Append(replacement);
                renderer.Charge(1);
                result.Append(rune.ToString());
            }

            if (limit > 0)
                result.Append(replacement);
            return result.ToString();
        }

        int copied = 0;
        for (int at = 0; limit-- > 0 && (at = IndexOf(renderer, text, wanted, at)) >= 0; copied = at)
        {
            renderer.Charge(1);
            result.Append(text.AsSpan(copied, at - copied)).Append(replacement);
            at += wanted.Length;
        }

        return copied == 0 && result.Length == 0 ? text : result.Append(text.AsSpan(copied)).ToString();
    }

    private static bool Matches(TemplateRenderer renderer, string text, int at, string wanted)
    {
        if (wanted.Length <= PrefixCharacters)
            return true;

        int same = text.AsSpan(at).CommonPrefixLength(wanted);
        renderer.Charge(1);
        renderer.ChargeText(same);
        return same == wanted.Length;
    }
}
