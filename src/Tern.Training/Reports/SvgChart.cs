using System.Globalization;
using System.Text;

namespace Tern.Training.Reports;

/// <summary>
/// Lines over two axes as SVG, readable on light and dark grounds.
/// <code>
///      title
///   y |  ·──·       legend
///     |      ·──·
///     +------------ x
/// </code>
/// </summary>
/// <param name="title">Above the chart.</param>
/// <param name="xName">Below the x axis.</param>
/// <param name="yName">Beside the y axis.</param>
internal sealed class SvgChart(string title, string xName, string yName)
{
    private const int Width = 760, Height = 420, Left = 64, Right = 20, Top = 44, Bottom = 48;
    private const int Ticks = 6;

    private static readonly string[] s_colours = ["#4878a8", "#c8553d", "#4f9d69", "#8a5fa8", "#b8860b", "#5f6b73"];

    private readonly List<(string Name, IReadOnlyList<(double X, double Y)> Points)> _lines = [];
    private readonly List<(double X, string Name)> _marks = [];

    /// <summary>Adds a line; points that are not finite are left out.</summary>
    public void Add(string name, IReadOnlyList<(double X, double Y)> points) =>
        _lines.Add((name, [.. points.Where(point => double.IsFinite(point.X) && double.IsFinite(point.Y))]));

    /// <summary>Adds an upright dashed line.</summary>
    public void Mark(double x, string name) => _marks.Add((x, name));

    /// <summary>The document.</summary>
    public string Render()
    {
        List<(double X, double Y)> all = [.. _lines.SelectMany(line => line.Points)];
        (double xLow, double xHigh) = Range(all.Select(point => point.X).Concat(_marks.Select(mark => mark.X)));
        (double yLow, double yHigh) = Range(all.Select(point => point.Y));
        var svg = new StringBuilder();
        svg.Append(CultureInfo.InvariantCulture, $"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {Width} {Height}" font-family="sans-serif" font-size="12">""");
        svg.Append(CultureInfo.InvariantCulture, $"""<rect width="{Width}" height="{Height}" fill="#ffffff"/>""");
        Text(svg, Left, 22, title, "start", 15);
        Text(svg, (Left + Width - Right) / 2, Height - 10, xName, "middle");
        Text(svg, Left, Top - 8, yName, "start");

        foreach (double tick in TicksOf(yLow, yHigh))
        {
            Line(svg, Left, Y(tick), Width - Right, Y(tick), "#dddddd");
            Text(svg, Left - 6, Y(tick) + 4, Number(tick), "end");
        }

        foreach (double tick in TicksOf(xLow, xHigh))
            Text(svg, X(tick), Height - Bottom + 18, Number(tick), "middle");
        Line(svg, Left, Height - Bottom, Width - Right, Height - Bottom, "#666666");

        foreach ((double x, string name) in _marks)
        {
            Line(svg, X(x), Top, X(x), Height - Bottom, "#999999", " stroke-dasharray=\"4 3\"");
            Text(svg, X(x) + 4, Top + 12, name, "start");
        }

        for (int i = 0; i < _lines.Count; i++)
        {
            string colour = s_colours[i % s_colours.Length];
            string points = string.Join(' ', _lines[i].Points.Select(p => string.Create(CultureInfo.InvariantCulture, $"{X(p.X):0.0},{Y(p.Y):0.0}")));
            svg.Append(CultureInfo.InvariantCulture, $"""<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.8"/>""");
            int legend = Top + 14 + 18 * i;
            Line(svg, Width - Right - 150, legend - 4, Width - Right - 130, legend - 4, colour, " stroke-width=\"2.5\"");
            Text(svg, Width - Right - 124, legend, _lines[i].Name, "start");
        }

        return svg.Append("</svg>\n").ToString();

        double X(double x) => Left + (x - xLow) / (xHigh - xLow) * (Width - Left - Right);
        double Y(double y) => Height - Bottom - (y - yLow) / (yHigh - yLow) * (Height - Top - Bottom);
    }

    private static (double Low, double High) Range(IEnumerable<double> values)
    {
        double low = double.PositiveInfinity, high = double.NegativeInfinity;
        foreach (double value in values)
            (low, high) = (Math.Min(low, value), Math.Max(high, value));
        if (low > high)
            return (0, 1);
        return high > low ? (low, high) : (low - 0.5, high + 0.5);
    }

    /// <summary>Round numbers inside a range: 1, 2 or 5 times a power of ten apart.</summary>
    private static IEnumerable<double> TicksOf(double low, double high)
    {
        double raw = (high - low) / Ticks;
        double power = Math.Pow(10, Math.Floor(Math.Log10(raw)));
        double step = power * (raw / power) switch { <= 1 => 1, <= 2 => 2, <= 5 => 5, _ => 10 };
        for (double tick = Math.Ceiling(low / step); tick * step <= high; tick++)
            yield return tick * step;
    }

    private static string Number(double value) => Math.Round(value, 6).ToString("#,0.######", CultureInfo.InvariantCulture);

    private static void Line(StringBuilder svg, double x1, double y1, double x2, double y2, string colour, string more = "") =>
        svg.Append(CultureInfo.InvariantCulture, $"""<line x1="{x1:0.0}" y1="{y1:0.0}" x2="{x2:0.0}" y2="{y2:0.0}" stroke="{colour}"{more}/>""");

    private static void Text(StringBuilder svg, double x, double y, string text, string anchor, int size = 12) =>
        svg.Append(CultureInfo.InvariantCulture, $"""<text x="{x:0.0}" y="{y:0.0}" text-anchor="{anchor}" font-size="{size}" fill="#333333">{System.Security.SecurityElement.Escape(text)}</text>""");
}
