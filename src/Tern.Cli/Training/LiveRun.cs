using System.Globalization;
using Spectre.Console;
using Spectre.Console.Rendering;
using Tern.Training.Reports;
using Tern.Training.Runs;

namespace Tern.Cli.Training;

/// <summary>A run at a terminal: what begins, a table of figures that is drawn anew with every step, and the last sample of text.</summary>
internal sealed class LiveRun(LiveDisplayContext display) : IRunObserver
{
    private RunSummary? _run;
    private StepRecord? _step;
    private StepRecord? _measured;
    private double _smoothedLoss;
    private double _secondsLeft;
    private string _saved = "none yet";
    private string _note = "";

    public void Started(RunSummary run)
    {
        _run = run;
        (_step, _measured, _smoothedLoss) = (null, null, 0);
        Draw();
    }

    public void Stepped(StepRecord step, double secondsLeft)
    {
        const double memory = 0.95;
        _smoothedLoss = _step is null ? step.Loss : memory * _smoothedLoss + (1 - memory) * step.Loss;
        _step = step;
        _secondsLeft = secondsLeft;
        if (step.HeldOut is not null)
            _measured = step;
        Draw();
    }

    public void Saved(string path)
    {
        _saved = path;
        Draw();
    }

    public void Note(string text)
    {
        _note = text;
        Draw();
    }

    private void Draw()
    {
        display.UpdateTarget(Picture());
        display.Refresh();
    }

    private Rows Picture()
    {
        var rows = new List<IRenderable>();
        if (_run is not null)
            rows.AddRange(RunWords.Describe(_run).Select(line => new Spectre.Console.Text(line)));
        if (_note.Length > 0)
            rows.Add(new Spectre.Console.Text(_note));
        if (_step is { } step && _run is { } run)
        {
            rows.Add(Figures(run, step));
            rows.Add(new Spectre.Console.Text(RunReport.HalfWay(run.Recipe, step.Step).Trim(), new Style(Color.Grey)));
        }

        if (_measured?.Sample is { } sample)
            rows.Add(new Panel(new Spectre.Console.Text(sample)) { Header = new PanelHeader(Line($"step {_measured.Step} writes")), Expand = true });
        return new Rows(rows);
    }

    private Table Figures(RunSummary run, StepRecord step)
    {
        var table = new Table { Border = TableBorder.Rounded, ShowHeaders = false };
        table.AddColumn("").AddColumn(new TableColumn("").RightAligned()).AddColumn("").AddColumn(new TableColumn("").RightAligned());
        Add("step", Line($"{step.Step} / {run.Recipe.Steps}"), "time left", RunWords.Time(_secondsLeft));
        Add("loss", Line($"{_smoothedLoss:0.0000}"), "tokens per second", Line($"{step.TokensPerSecond:0}"));
        Add(
            "held-out loss",
            _measured?.HeldOut is { } heldOut ? Line($"{heldOut.Loss:0.0000}") : "-",
            "held-out bits per byte",
            _measured?.HeldOut is { } score ? Line($"{score.BitsPerByte:0.0000}") : "-");
        Add("learning rate", Line($"{step.LearningRate:0.000000}"), "gradient norm", Line($"{step.GradientNorm:0.000}"));
        Add("-1 / 0 / +1", _measured?.Shares?.Mean is { } s ? Line($"{s.Minus:0.00} / {s.Zero:0.00} / {s.Plus:0.00}") : "-", "epochs", Line($"{step.Epochs:0.00}"));
        if (_measured?.Shares is { } shares)
            Add("fewest zeros", RunWords.Zeros(shares.FewestZeros), "most zeros", RunWords.Zeros(shares.MostZeros));
        Add("checkpoint", Path.GetFileName(_saved), "tokens", Line($"{step.Tokens}"));
        return table;

        void Add(params string[] cells) => table.AddRow([.. cells.Select(Markup.Escape)]);
    }

    private static string Line(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
