using System.Globalization;

namespace Tern.Text.Templates;

/// <summary>Texts and numbers to numbers, as the filters <c>int</c>, <c>float</c> and <c>round</c> convert them.</summary>
internal static class TemplateNumbers
{
    /// <summary>The integer part of a number.</summary>
    public static long ToInteger(TemplateRenderer renderer, TemplateValue value)
    {
        if (value.IsIntegral)
            return value.AsLong;

        double whole = Math.Truncate(value.AsDouble);
        return Math.Abs(whole) < 9.2e18 ? (long)whole : throw renderer.Fail("the number does not fit a 64-bit integer");
    }

    /// <summary>The filter <c>int</c>: a text in the given base, or as a float that is cut, or the fallback.</summary>
    public static TemplateValue Integer(TemplateCall call)
    {
        TemplateValue fallback = call[0].IsUndefined ? 0L : call[0];
        if (call.Subject.IsNumber)
            return double.IsFinite(call.Subject.AsDouble) ? ToInteger(call.Renderer, call.Subject) : fallback;
        if (!call.Subject.IsString)
            return fallback;

        string text = Plain(call.Text);
        if (TryParse(text, call.IntegerAt(1, 10), out long value))
            return value;
        return double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out double number) && Math.Abs(number) < 9.2e18 ? (long)number : fallback;
    }

    /// <summary>The filter <c>float</c>.</summary>
    public static TemplateValue Float(TemplateCall call)
    {
        if (call.Subject.IsNumber)
            return TemplateValue.Float(call.Subject.AsDouble);
        if (call.Subject.IsString && double.TryParse(Plain(call.Text), NumberStyles.Float, CultureInfo.InvariantCulture, out double value))
            return TemplateValue.Float(value);
        return call[0].IsUndefined ? TemplateValue.Float(0) : call[0];
    }

    /// <summary>The filter <c>round</c>: half to even, up, or down, at a number of decimals.</summary>
    public static TemplateValue Round(TemplateCall call)
    {
        if (!call.Subject.IsNumber)
            throw call.Fail($"a number is needed, not '{call.Subject.TypeName}'");

        int digits = call.IntegerAt(0, 0);
        if (digits is < 0 or > 15)
            throw call.Fail("the precision must be 0 to 15");

        double scale = Math.Pow(10, digits);
        return call.TextAt(1, "common") switch
        {
            "common" when call.Subject.IsIntegral => call.Subject.AsLong,
            "common" => TemplateValue.Float(Math.Round(call.Subject.AsDouble, digits, MidpointRounding.ToEven)),
            "ceil" => TemplateValue.Float(Math.Ceiling(call.Subject.AsDouble * scale) / scale),
            "floor" => TemplateValue.Float(Math.Floor(call.Subject.AsDouble * scale) / scale),
            string other => throw call.Fail($"the method {TemplateText.Quote(other)} is not one of 'common', 'ceil', 'floor'"),
        };
    }

    /// <summary>The filter <c>abs</c>.</summary>
    public static TemplateValue Absolute(TemplateCall call) => call.Subject.Kind switch
    {
        TemplateKind.Float => TemplateValue.Float(Math.Abs(call.Subject.AsDouble)),
        TemplateKind.Boolean or TemplateKind.Integer => call.Subject.AsLong < 0 ? TemplateOperators.Sign(call.Renderer, call.Subject, "-") : call.Subject.AsLong,
        _ => throw call.Fail($"a number is needed, not '{call.Subject.TypeName}'"),
    };

    /// <summary>White space around and underscores between digits are Python's; no more than any number needs is looked at.</summary>
    private static string Plain(string text)
    {
        string trimmed = text.Trim();
        return trimmed.Length > 400 ? "" : trimmed.Replace("_", "", StringComparison.Ordinal);
    }

    private static bool TryParse(string text, int numberBase, out long value)
    {
        value = 0;
        bool negative = text.StartsWith('-');
        ReadOnlySpan<char> digits = text.AsSpan(negative || text.StartsWith('+') ? 1 : 0);
        string prefix = numberBase switch { 16 => "0x", 8 => "0o", 2 => "0b", _ => "" };
        if (prefix.Length > 0 && digits.StartsWith(prefix, StringComparison.OrdinalIgnoreCase))
            digits = digits[2..];
        if (digits.Length == 0 || numberBase is < 2 or > 36)
            return false;

        foreach (char c in digits)
        {
            int digit = char.IsAsciiDigit(c) ? c - '0' : char.IsAsciiLetter(c) ? (c | 0x20) - 'a' + 10 : int.MaxValue;
            if (digit >= numberBase || value > (long.MaxValue - digit) / numberBase)
                return false;
            value = value * numberBase + digit;
        }

        value = negative ? -value : value;
        return true;
    }
}
