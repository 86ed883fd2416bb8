using Spectre.Console;
namespace Tern.Cli.Terminal;

/// <summary>A table: framed at a terminal, columns padded with spaces in a pipe, so that <c>awk</c> and <c>cut</c> find the same fields.</summary>
internal sealed class Grid(params string[] columns)
{
    private readonly List<string[]> _rows = [];

    /// <summary>Columns from here on are numbers, flush right.</summary>
    public int NumbersFrom { get; init; } = columns.Length;

    /// <summary>Whether the column names are shown.</summary>
    public bool ShowHeader { get; init; } = true;

    public void Add(params string[] cells) => _rows.Add([.. cells.Select(Messages.OneLine)]);

    public void Write()
    {
        if (Screen.OutputIsRich)
            WriteFramed();
        else
            WritePlain();
    }

    private void WriteFramed()
    {
        var table = new Table { Border = TableBorder.Rounded, ShowHeaders = ShowHeader };
        for (int i = 0; i < columns.Length; i++)
        {
            // Keys and names stay whole; what is long wraps to their right.
            var column = new TableColumn(Markup.Escape(columns[i])) { NoWrap = i == 0 };
            table.AddColumn(i >= NumbersFrom ? column.RightAligned() : column);
        }

        foreach (string[] row in _rows)
            table.AddRow([.. row.Select(Markup.Escape)]);
        Screen.Output.Write(table);
    }

    private void WritePlain()
    {
        IEnumerable<string[]> rows = ShowHeader ? _rows.Prepend(columns) : _rows;
        int[] widths = [.. columns.Select((_, i) => rows.Max(r => r[i].Length))];
        foreach (string[] row in rows)
        {
            IEnumerable<string> cells = row.Select((cell, i) => i >= NumbersFrom ? cell.PadLeft(widths[i]) : cell.PadRight(widths[i]));
            Console.Out.WriteLine(string.Join("  ", cells).TrimEnd());
        }
    }
}
