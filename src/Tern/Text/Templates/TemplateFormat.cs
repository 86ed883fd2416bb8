using System.Globalization;

namespace Tern.Text.Templates;

/// <summary>
/// Python's two ways to fill in a text. Both take what chat templates use and refuse the rest: no attribute is followed and no width is unbounded.
/// <code>
///     '{} {1} {name}'.format(…)       a field is a number, a name or empty; {{ and }} are braces
///     '%s %-8d %05.2f %%' % (…)       flags - and 0, width and precision to 99, conversions s r d i x X f
/// </code>
/// </summary>
internal static class TemplateFormat
{
    private const int WidthDigitsMax = 2;

    /// <summary>The method <c>format</c>.</summary>
    public static string Braces(TemplateRenderer renderer, string format, TemplateArguments arguments)
    {
        var text = new TemplateTextBuilder(renderer);
        int next = 0;
        for (int i = 0; i < format.Length; i++)
        {
            char c = format[i];
            if (c is '{' or '}' && i + 1 < format.Length && format[i + 1] == c)
                text.Append(format[i++]);
            else if (c == '}')
                throw renderer.Fail("format(): a single '}'");
            else if (c != '{')
                text.Append(c);
            else
            {
                int end = format.IndexOf('}', i);
                if (end < 0)
                    throw renderer.Fail("format(): '{' is not closed");
                TemplateText.Append(text, Field(renderer, format[(i + 1)..end], arguments, ref next));
                i = end;
            }
        }

        return text.ToString();
    }

    /// <summary>The operator <c>%</c> and the filter <c>format</c>.</summary>
    public static string Percent(TemplateRenderer renderer, string format, List<TemplateValue> values)
    {
        var text = new TemplateTextBuilder(renderer);
        int next = 0;
        for (int i = 0; i < format.Length; i++)
        {
            if (format[i] != '%')
            {
                text.Append(format[i]);
                continue;
            }

            i++;
            bool left = false, zero = false;
            for (; i < format.Length && format[i] is '-' or '0'; i++)
                _ = format[i] == '-' ? left = true : zero = true;
            int width = Digits(renderer, format, ref i);
            int precision = -1;
            if (i < format.Length && format[i] == '.')
            {
                i++;
                precision = Digits(renderer, format, ref i);
            }

            if (i < format.Length && format[i] == '%')
            {
                text.Append('%');
                continue;
            }

            if (next >= values.Count)
                throw renderer.Fail("format: there are more conversions than values");
            string field = Convert(renderer, i < format.Length ? format[i] : '\0', precision, values[next++]);
            text.Append(left ? field.PadRight(width)
                : !zero ? field.PadLeft(width)
                : field.StartsWith('-') ? "-" + field[1..].PadLeft(width - 1, '0')
                : field.PadLeft(width, '0'));
        }

        return next == values.Count ? text.ToString() : throw renderer.Fail("format: there are more values than conversions");
    }

    private static TemplateValue Field(TemplateRenderer renderer, string field, TemplateArguments arguments, ref int next)
    {
        if (field.Length == 0 || field.AsSpan().IndexOfAnyExceptInRange('0', '9') < 0)
        {
            int index = field.Length == 0 ? next++ : int.TryParse(field, NumberStyles.None, CultureInfo.InvariantCulture, out int given) ? given : int.MaxValue;
            return index < arguments.Positional.Length ? arguments.Positional[index]
                : throw renderer.Fail($"format(): field {{{field}}} has no argument");
        }

        foreach ((string name, TemplateValue value) in arguments.Keywords)
            if (name == field)
                return value;
        throw renderer.Fail(field.AsSpan().IndexOfAny(".[!:{") >= 0
            ? $"format(): field {{{field}}} is more than a number or a name, which templates may not use"
            : $"format(): field {{{field}}} has no argument");
    }

    private static int Digits(TemplateRenderer renderer, string format, ref int i)
    {
        int start = i, value = 0;
        for (; i < format.Length && char.IsAsciiDigit(format[i]); i++)
        {
            if (i - start >= WidthDigitsMax)
                throw renderer.Fail("format: widths and precisions have at most two digits");
            value = value * 10 + (format[i] - '0');
        }

        return value;
    }

    private static string Convert(TemplateRenderer renderer, char conversion, int precision, TemplateValue value)
    {
        switch (conversion)
        {
            case 's':
                string text = TemplateText.Of(renderer, value);
                return precision >= 0 && precision < text.Length ? text[..precision] : text;
            case 'r':
                var quoted = new TemplateTextBuilder(renderer);
                TemplateText.AppendRepresentation(quoted, value);
                return quoted.ToString();
            case 'd' or 'i' or 'x' or 'X' or 'f' when !value.IsNumber:
                throw renderer.Fail($"format: %{conversion} needs a number, not '{value.TypeName}'");
            case 'd' or 'i':
                return TemplateNumbers.ToInteger(renderer, value).ToString(CultureInfo.InvariantCulture);
            case 'x' or 'X' when value.IsIntegral && value.AsLong >= 0:
                return value.AsLong.ToString(conversion.ToString(), CultureInfo.InvariantCulture);
            case 'f':
                return value.AsDouble.ToString($"F{(precision < 0 ? 6 : precision)}", CultureInfo.InvariantCulture);
            default:
                throw renderer.Fail($"format: the conversion {TemplateText.Quote("%" + conversion)} is not supported for '{value.TypeName}'; s r d i x X f are");
        }
    }
}
