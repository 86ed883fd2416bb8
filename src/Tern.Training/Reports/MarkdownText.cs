using System.Globalization;
using System.Text;

namespace Tern.Training.Reports;

/// <summary>A Markdown document that is written line by line; numbers look the same everywhere.</summary>
internal sealed class MarkdownText
{
    private readonly StringBuilder _text = new();

    public void Line(FormattableString line) => _text.Append(line.ToString(CultureInfo.InvariantCulture)).Append('\n');

    /// <summary>A text as a quotation, line by line.</summary>
    public void Quote(string text)
    {
        foreach (string line in text.Split('\n'))
            Line($"> {line}");
    }

    /// <summary>The document.</summary>
    public override string ToString() => _text.ToString();
}
