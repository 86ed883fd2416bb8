using System.Globalization;
using System.Text;

namespace Tern.Text.Templates;

/// <summary>Values as Python's <c>str</c> and <c>repr</c> write them.</summary>
internal static class TemplateText
{
    /// <summary>A value as <c>{{ }}</c> prints it.</summary>
    public static string Of(TemplateRenderer renderer, TemplateValue value)
    {
        switch (value.Kind)
        {
            case TemplateKind.String:
                return value.AsString;
            case TemplateKind.Undefined:
                return "";
            case TemplateKind.List or TemplateKind.Tuple or TemplateKind.Dictionary:
                var text = new TemplateTextBuilder(renderer);
                AppendRepresentation(text, value);
                return text.ToString();
            default:
                return Scalar(value);
        }
    }

    /// <summary>Appends a value as <c>{{ }}</c> prints it.</summary>
    public static void Append(TemplateTextBuilder text, TemplateValue value)
    {
        if (value.Kind is TemplateKind.List or TemplateKind.Tuple or TemplateKind.Dictionary)
            AppendRepresentation(text, value);
        else
            text.Append(Of(text.Renderer, value));
    }

    /// <summary>Appends Python's <c>repr</c>: as <see cref="Append"/>, with strings in quotes.</summary>
    public static void AppendRepresentation(TemplateTextBuilder text, TemplateValue value)
    {
        switch (value.Kind)
        {
            case TemplateKind.Undefined:
                text.Append("Undefined");
                break;
            case TemplateKind.String:
                text.Append(Quote(value.AsString));
                break;
            case TemplateKind.List:
                AppendItems(text, value.AsList, "[", "]");
                break;
            case TemplateKind.Tuple:
                AppendItems(text, value.AsList, "(", value.AsList.Count == 1 ? ",)" : ")");
                break;
            case TemplateKind.Dictionary:
                AppendEntries(text, value.AsDictionary);
                break;
            default:
                text.Append(Scalar(value));
                break;
        }
    }

    /// <summary>A string literal of Python that stands for <paramref name="text"/>.</summary>
    public static string Quote(string text)
    {
        char quote = text.Contains('\'') && !text.Contains('"') ? '"' : '\'';
        var result = new StringBuilder(text.Length + 2).Append(quote);
        foreach (Rune rune in text.EnumerateRunes())
        {
            int code = rune.Value;
            int escape = "\n\r\t\\".IndexOf((char)Math.Min(code, char.MaxValue), StringComparison.Ordinal);
            if (escape >= 0)
                result.Append('\\').Append("nrt\\"[escape]);
            else if (code == quote)
                result.Append('\\').Append(quote);
            else if (IsPrintable(rune))
                result.Append(rune.ToString());
            else
                result.Append('\\').Append(code < 0x100 ? $"x{code:x2}" : code < 0x10000 ? $"u{code:x4}" : $"U{code:x8}");
        }

        return result.Append(quote).ToString();
    }

    /// <summary>The shortest digits that read back as the same number, laid out as Python does: <c>1.0</c>, <c>1e+16</c>, <c>1e-05</c>.</summary>
    public static string Float(double value)
    {
        if (!double.IsFinite(value))
            return double.IsNaN(value) ? "nan" : value > 0 ? "inf" : "-inf";

        string shortest = Math.Abs(value).ToString("R", CultureInfo.InvariantCulture);
        int e = shortest.IndexOf('E', StringComparison.Ordinal);
        string mantissa = e < 0 ? shortest : shortest[..e];
        int exponent = e < 0 ? 0 : int.Parse(shortest.AsSpan(e + 1), NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture);

        int point = mantissa.IndexOf('.', StringComparison.Ordinal);
        string digits = mantissa.Replace(".", "", StringComparison.Ordinal);
        int magnitude = (point < 0 ? mantissa.Length : point) + exponent; // digits × 10^(magnitude - length), read as 0.digits
        int zeros = digits.Length - digits.TrimStart('0').Length;
        digits = digits[zeros..].TrimEnd('0');
        magnitude = digits.Length == 0 ? 1 : magnitude - zeros;
        string sign = double.IsNegative(value) ? "-" : "";

        if (magnitude is > -4 and <= 16)
            return sign + (magnitude <= 0
                ? "0." + new string('0', -magnitude) + digits
                : digits.PadRight(magnitude, '0')[..magnitude] + "." + (digits.Length > magnitude ? digits[magnitude..] : "0"));

        int power = magnitude - 1;
        string fraction = digits.Length > 1 ? "." + digits[1..] : "";
        return string.Create(CultureInfo.InvariantCulture, $"{sign}{digits[0]}{fraction}e{(power < 0 ? '-' : '+')}{Math.Abs(power):00}");
    }

    /// <summary>A number's text in which a whole float looks like the integer that it equals.</summary>
    public static string Integral(double value) =>
        value == Math.Floor(value) && Math.Abs(value) < 1L << 62 ? ((long)value).ToString(CultureInfo.InvariantCulture) : Float(value);

    private static string Scalar(TemplateValue value) => value.Kind switch
    {
        TemplateKind.None => "None",
        TemplateKind.Boolean => value.IsTrue ? "True" : "False",
        TemplateKind.Integer => value.AsLong.ToString(CultureInfo.InvariantCulture),
        TemplateKind.Float => Float(value.AsDouble),
        _ => $"<{(value.Kind == TemplateKind.Function ? "function " : "")}{value.AsObject.Name}>",
    };

    private static void AppendItems(TemplateTextBuilder text, TemplateList items, string open, string close)
    {
        text.Renderer.Enter();
        text.Append(open);
        for (int i = 0; i < items.Count; i++)
        {
            text.Renderer.Charge(1);
            text.Append(i == 0 ? "" : ", ");
            AppendRepresentation(text, items[i]);
        }

        text.Append(close);
        text.Renderer.Leave();
    }

    private static void AppendEntries(TemplateTextBuilder text, TemplateDictionary entries)
    {
        text.Renderer.Enter();
        text.Append('{');
        for (int i = 0; i < entries.Count; i++)
        {
            text.Renderer.Charge(1);
            text.Append(i == 0 ? "" : ", ");
            AppendRepresentation(text, entries[i].Key.Value);
            text.Append(": ");
            AppendRepresentation(text, entries[i].Value);
        }

        text.Append('}');
        text.Renderer.Leave();
    }

    private static bool IsPrintable(Rune rune) => rune.Value == ' ' || Rune.GetUnicodeCategory(rune) is not (
        UnicodeCategory.Control or UnicodeCategory.Format or UnicodeCategory.Surrogate or UnicodeCategory.PrivateUse or UnicodeCategory.OtherNotAssigned
        or UnicodeCategory.LineSeparator or UnicodeCategory.ParagraphSeparator or UnicodeCategory.SpaceSeparator);
}
