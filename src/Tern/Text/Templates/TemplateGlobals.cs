using System.Collections.Frozen;
using System.Globalization;

namespace Tern.Text.Templates;

/// <summary>The functions that every template may call.</summary>
internal static class TemplateGlobals
{
    public static FrozenDictionary<string, TemplateBuiltin> All { get; } = TemplateBuiltin.Table(
        new("dict", "*", static c => Merged(c)),
        new("namespace", "*", static c => new TemplateNamespace(Merged(c))),
        new("raise_exception", "message", static c => throw c.Renderer.Fail(TemplateText.Of(c.Renderer, c[0]))),
        new("range", "first last? step?", Range),
        new("strftime_now", "format", StrftimeNow));

    private static TemplateDictionary Merged(TemplateCall call)
    {
        TemplateDictionary target = call.Renderer.NewDictionary(0);
        TemplateCollectionMethods.MergeInto(call, target, default);
        return target;
    }

    private static TemplateValue Range(TemplateCall call)
    {
        long start = call.Has(1) ? call.IntegerAt(0, 0) : 0;
        long stop = call.Has(1) ? call.IntegerAt(1, 0) : call.IntegerAt(0, 0);
        long step = call.IntegerAt(2, 1);
        if (step == 0)
            throw call.Fail("the step must not be 0");

        long count = Math.Max(0, step > 0 ? (stop - start + step - 1) / step : (start - stop - step - 1) / -step);
        call.Renderer.Allocate(64);
        return TemplateValue.List(new TemplateList(start, step, (int)Math.Min(count, int.MaxValue)));
    }

    /// <summary>The date and time of the render, in the C locale.</summary>
    private static TemplateValue StrftimeNow(TemplateCall call)
    {
        string format = call.StringAt(0);
        DateTimeOffset now = call.Renderer.Now;
        var text = new TemplateTextBuilder(call.Renderer);
        for (int i = 0; i < format.Length; i++)
        {
            if (format[i] != '%' || i + 1 == format.Length)
            {
                text.Append(format[i]);
                continue;
            }

            bool unpadded = format[i + 1] == '-' && i + 2 < format.Length;
            char directive = format[i += unpadded ? 2 : 1];
            string field = Directive(directive, now) ?? throw call.Fail($"the directive {TemplateText.Quote("%" + directive)} is not known");
            text.Append(unpadded && field.Length > 1 ? field.TrimStart('0') is { Length: > 0 } digits ? digits : "0" : field);
        }

        return text.ToString();
    }

    private static string? Directive(char directive, DateTimeOffset now) => directive switch
    {
        'Y' => Text(now, "yyyy"),
        'y' => Text(now, "yy"),
        'm' => Text(now, "MM"),
        'd' => Text(now, "dd"),
        'e' => now.Day.ToString(CultureInfo.InvariantCulture).PadLeft(2),
        'B' => Text(now, "MMMM"),
        'b' or 'h' => Text(now, "MMM"),
        'A' => Text(now, "dddd"),
        'a' => Text(now, "ddd"),
        'H' => Text(now, "HH"),
        'I' => Text(now, "hh"),
        'M' => Text(now, "mm"),
        'S' => Text(now, "ss"),
        'p' => Text(now, "tt"),
        'f' => Text(now, "ffffff"),
        'F' => Text(now, "yyyy-MM-dd"),
        'T' => Text(now, "HH:mm:ss"),
        'D' => Text(now, "MM/dd/yy"),
        'j' => now.DayOfYear.ToString("000", CultureInfo.InvariantCulture),
        'w' => ((int)now.DayOfWeek).ToString(CultureInfo.InvariantCulture),
        'z' => Text(now, "zzz").Replace(":", "", StringComparison.Ordinal),
        'n' => "\n",
        't' => "\t",
        '%' => "%",
        _ => null,
    };

    private static string Text(DateTimeOffset time, string format) => time.ToString(format, CultureInfo.InvariantCulture);
}
