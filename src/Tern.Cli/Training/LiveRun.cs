using System.Diagnostics;
using System.Globalization;
using Spectre.Console;
using Spectre.Console.Rendering;
using Tern.Training.Reports;
using Tern.Training.Runs;

namespace Tern.Cli.Training;

/// <summary>
/// A run at a terminal: what begins, the last remarks, a table of figures that is drawn anew with every step, and the last sample of text. The thread
/// that trains calls it, and the one of a signal.
/// </summary>
internal sealed class LiveRun(LiveDisplayContext display) : IRunDisplay
{
    private const int NotesMax = 5;

    private static readonly TimeSpan s_frame = TimeSpan.FromMilliseconds(100);

    private readonly Lock _drawing = new();
    private readonly Queue<string> _notes = new();
    private string _encoding = "";
    private long _lastFrame;
    private RunSummary? _run;
    private StepRecord? _step;
    private StepRecord? _measured;
    private double _smoothedLoss;
    private double _secondsLeft;
    private string _saved = "none yet";

    public void Encoded(double share)
    {
        if (Stopwatch.GetElapsedTime(_lastFrame) < s_frame)
            return;
        _lastFrame = Stopwatch.GetTimestamp();
        Draw(() => _encoding = RunWords.Encoding(share));
    }

    public void Started(RunSummary run) => Draw(() =>
    {
        _run = run;
        (_step, _measured, _smoothedLoss, _encoding) = (null, null, 0, "");
    });

    public void Stepped(StepRecord step, double secondsLeft) => Draw(() =>
    {
        const double memory = 0.95;
        _smoothedLoss = _step is null ? step.Loss : memory * _smoothedLoss + (1 - memory) * step.Loss;
        _step = step;
        _secondsLeft = secondsLeft;
        if (step.HeldOut is not null)
            _measured = step;
    });

    public void Saved(string path) => Draw(() => _saved = path);

    public void Note(string text) => Draw(() =>
    {
        _notes.Enqueue(text);
        if (_notes.Count > NotesMax)
            _notes.Dequeue();
    });

    public void Stopping()
    {
        if (_run is not null)
            Note(RunWords.Stopping);
    }

    private void Draw(Action change)
    {
        lock (_drawing)
        {
            change();
            display.UpdateTarget(Picture());
            display.Refresh();
        }
    }

    private Rows Picture()
    {
        var rows = new List<IRenderable>();
        if (_run is not null)
            rows.AddRange(RunWords.Describe(_run).Select(line => new Spectre.Console.Text(line)));
        rows.AddRange(_notes.Append(_encoding).Where(line => line.Length > 0).Select(line => new Spectre.Console.Text(line)));
        if (_step is { } step && _run is { } run)
        {
            rows.Add(Figures(run, step));
            rows.Add(new Spectre.Console.Text(RunReport.HalfWay(run.Recipe, step.Step), new Style(Color.Grey)));
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
