using System.Diagnostics;
using System.Globalization;
using Tern.Training.Runs;

namespace Tern.Cli.Training;

/// <summary>A run as lines of text, for pipes and files: one for every measurement, and one now and then between them.</summary>
internal sealed class PlainRun : IRunDisplay
{
    private static readonly TimeSpan s_interval = TimeSpan.FromSeconds(10);

    private RunSummary? _run;
    private long _lastLine = Stopwatch.GetTimestamp();

    public void Encoded(double share)
    {
        if (Stopwatch.GetElapsedTime(_lastLine) < s_interval)
            return;
        _lastLine = Stopwatch.GetTimestamp();
        Console.Out.WriteLine(RunWords.Encoding(share));
    }

    public void Started(RunSummary run)
    {
        _run = run;
        foreach (string line in RunWords.Describe(run))
            Console.Out.WriteLine(line);
    }

    public void Stepped(StepRecord step, double secondsLeft)
    {
        bool due = step.HeldOut is not null || step.Step == _run!.FirstStep + 1 || Stopwatch.GetElapsedTime(_lastLine) >= s_interval;
        if (!due)
            return;
        _lastLine = Stopwatch.GetTimestamp();
        Console.Out.WriteLine(Line(step, secondsLeft));
        if (step.Sample is { } sample)
            Console.Out.WriteLine($"  “{Terminal.Messages.OneLine(sample)}”");
    }

    public void Saved(string path) => Console.Out.WriteLine($"saved {path}");

    public void Note(string text) => Console.Out.WriteLine(text);

    public void Stopping()
    {
        if (_run is not null)
            Console.Out.WriteLine(RunWords.Stopping);
    }

    private string Line(StepRecord step, double secondsLeft)
    {
        var fields = new List<string>
        {
            Text($"step {step.Step}/{_run!.Recipe.Steps}"),
            Text($"loss {step.Loss:0.0000}"),
        };
        if (step.HeldOut is { } heldOut)
            fields.Add(Text($"held-out {heldOut.Loss:0.0000} ({heldOut.BitsPerByte:0.0000} bits/byte)"));
        fields.Add(Text($"{step.TokensPerSecond:0} tok/s"));
        fields.Add(Text($"rate {step.LearningRate:0.000000}"));
        fields.Add(Text($"gradient {step.GradientNorm:0.000}"));
        if (step.Shares is { } shares)
            fields.Add(Text($"-1/0/+1 {shares.Mean.Minus:0.00}/{shares.Mean.Zero:0.00}/{shares.Mean.Plus:0.00} (zeros {RunWords.Zeros(shares.FewestZeros)} to {RunWords.Zeros(shares.MostZeros)})"));
        fields.Add($"{RunWords.Time(secondsLeft)} left");
        return string.Join("  ", fields);
    }

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
