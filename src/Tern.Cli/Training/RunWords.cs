using System.Globalization;
using Tern.Training;
using Tern.Training.Reports;
using Tern.Training.Runs;

namespace Tern.Cli.Training;

/// <summary>A run in words, the same at a terminal and in a pipe.</summary>
internal static class RunWords
{
    /// <summary>What begins, in a few lines.</summary>
    public static IEnumerable<string> Describe(RunSummary run)
    {
        yield return Text($"model    {run.Parameters / 1e6:0.00} million weights: {run.Shape.Layers} layers, width {run.Shape.Hidden}, {run.Shape.Heads} heads, feed-forward {run.Shape.FeedForward}, vocabulary {run.Shape.Vocabulary}, context {run.Shape.Context}");
        yield return Text($"linear   {RunReport.Describe(run.Recipe.Linear)}");
        yield return Text($"text     {run.TrainTokens} tokens of {run.TrainDocuments} documents; held out {run.HeldOutBytes} bytes of {run.HeldOutDocuments} documents");
        yield return Text($"steps    {run.Recipe.Steps} of {run.TokensPerStep} tokens: {(double)run.Recipe.Steps * run.TokensPerStep / run.TrainTokens:0.00} epochs; about {run.MemoryBytes / 1e6:0} MB of memory");
        if (run.FirstStep > 0)
            yield return Text($"goes on behind step {run.FirstStep}");
        if (RunReport.HalfWay(run.Recipe, run.FirstStep) is { Length: > 0 } note)
            yield return "note     " + note;
    }

    /// <summary>What the first signal that ends a run is answered with.</summary>
    public const string Stopping = "saving behind this step; again to end at once";

    /// <summary>How much of the text is encoded.</summary>
    public static string Encoding(double share) => Text($"reading the text: {100 * share:0} %");

    /// <summary>How many of a layer's codes are zero.</summary>
    public static string Zeros(CodeShares layer) => Text($"{layer.Zero:0.00} {layer.Name}");

    /// <summary>Seconds in a form for people.</summary>
    public static string Time(double seconds)
    {
        var time = TimeSpan.FromSeconds(Math.Min(seconds, 1e9));
        return time.TotalHours >= 1 ? Text($"{(int)time.TotalHours} h {time.Minutes:00} min") : time.TotalMinutes >= 1 ? Text($"{time.Minutes} min {time.Seconds:00} s") : Text($"{time.TotalSeconds:0} s");
    }

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
