using System.Globalization;
using Tern.Training.Data;
using Tern.Training.Runs;

namespace Tern.Training.Reports;

/// <summary>The report of a run in Markdown: what was trained on what and how, how it went, and what the model writes.</summary>
internal static class RunReport
{
    private const int SamplesMax = 5;

    /// <summary>Writes the report.</summary>
    /// <param name="path">The file.</param>
    /// <param name="run">What was run.</param>
    /// <param name="settings">What was asked for.</param>
    /// <param name="heldOutNames">Documents that were only measured.</param>
    /// <param name="records">The log.</param>
    /// <param name="final">All of the held-out text at the end; null on the way.</param>
    /// <param name="note">Receives one line when the file that is there cannot be replaced.</param>
    public static void Write(
        string path, RunSummary run, RunSettings settings, IReadOnlyList<string> heldOutNames, IReadOnlyList<StepRecord> records, HeldOutScore? final, Action<string> note) =>
        ReportFile.Write(path, Render(run, settings, heldOutNames, records, final), note);

    private static string Render(RunSummary run, RunSettings settings, IReadOnlyList<string> heldOutNames, IReadOnlyList<StepRecord> records, HeldOutScore? final)
    {
        var text = new MarkdownText();
        int done = records.Count > 0 ? records[^1].Step : 0;
        text.Line($"# Training run: {settings.Name}");
        text.Line($"");
        if (final is { } score)
            text.Line($"**Held-out text: {score.BitsPerByte:0.0000} bits per byte**, loss {score.Loss:0.0000}, perplexity {score.Perplexity:0.00} per token ({score.Tokens} tokens of {heldOutNames.Count} documents that were never trained on).");
        else
            text.Line($"{done} of {run.Recipe.Steps} steps are done.{(HalfWay(run.Recipe, done) is { Length: > 0 } warning ? " " + warning : "")}");
        text.Line($"");
        text.Line($"![Loss by step](loss.svg)");
        text.Line($"");
        text.Line($"| | |");
        text.Line($"|---|---|");
        text.Line($"| model | {run.Parameters / 1e6:0.00} million weights: {run.Shape.Layers} layers, width {run.Shape.Hidden}, {run.Shape.Heads} heads of {run.Shape.HeadDim} ({run.Shape.KvHeads} for keys), feed-forward {run.Shape.FeedForward}, vocabulary {run.Shape.Vocabulary}, context {run.Shape.Context} |");
        text.Line($"| linear layers | {Describe(run.Recipe.Linear)} |");
        text.Line($"| text | {run.TrainTokens} tokens of {run.TrainDocuments} documents; {run.HeldOutBytes} bytes of {run.HeldOutDocuments} documents held out |");
        text.Line($"| steps | {done} of {run.Recipe.Steps}, {run.TokensPerStep} tokens each: {(double)done * run.TokensPerStep / run.TrainTokens:0.00} epochs |");
        text.Line($"| learning rate | {run.Recipe.Schedule}: {run.Recipe.LearningRate}, then {run.Recipe.SecondLearningRate}; {run.Recipe.WarmUpSteps} steps of warm-up |");
        if (run.Recipe.Rule == OptimizerRule.Muon)
            text.Line($"| Muon | momentum {run.Recipe.Momentum}, for the matrices of the blocks |");
        text.Line($"| AdamW | β {run.Recipe.Beta1}, {run.Recipe.Beta2}; weight decay {run.Recipe.WeightDecay}; gradients clipped at {run.Recipe.ClipNorm} |");
        if (records.Count > 0)
            text.Line($"| speed | {Median(records):0} tokens per second (median) |");
        text.Line($"| seed | {settings.Seed} |");
        text.Line($"");
        text.Line($"Held out: {string.Join(", ", heldOutNames)}.");
        Measurements(text, records);
        TeachingReport.Write(text, run.Recipe.Distillation, records);
        if (records.LastOrDefault(record => record.Shares is not null) is { } measured)
        {
            text.Line($"");
            text.Line($"## -1, 0 and +1 in each layer");
            text.Line($"");
            text.Line($"Behind step {measured.Step}.");
            SharesTable.Append(text, measured.Shares!);
        }

        Samples(text, records);
        return text.ToString();
    }

    private static void Measurements(MarkdownText text, IReadOnlyList<StepRecord> records)
    {
        text.Line($"");
        text.Line($"## Measurements on the way");
        text.Line($"");
        text.Line($"On a part of the held-out text, always the same.");
        text.Line($"");
        text.Line($"| step | tokens | training loss | held-out loss | bits per byte | learning rate | gradient norm | -1 / 0 / +1 |");
        text.Line($"|---:|---:|---:|---:|---:|---:|---:|---|");
        foreach (StepRecord record in records)
        {
            if (record.HeldOut is not { } heldOut)
                continue;
            string shares = record.Shares?.Mean is { } s ? string.Create(CultureInfo.InvariantCulture, $"{s.Minus:0.000} / {s.Zero:0.000} / {s.Plus:0.000}") : "";
            text.Line($"| {record.Step} | {record.Tokens} | {record.Loss:0.0000} | {heldOut.Loss:0.0000} | {heldOut.BitsPerByte:0.0000} | {record.LearningRate:0.00000} | {record.GradientNorm:0.000} | {shares} |");
        }
    }

    private static void Samples(MarkdownText text, IReadOnlyList<StepRecord> records)
    {
        List<StepRecord> samples = [.. records.Where(record => record.Sample is not null).TakeLast(SamplesMax)];
        if (samples.Count == 0)
            return;
        text.Line($"");
        text.Line($"## What it writes");
        foreach (StepRecord record in samples)
        {
            text.Line($"");
            text.Line($"Step {record.Step}:");
            text.Line($"");
            text.Quote(record.Sample!);
        }
    }

    /// <summary>What the chart calls the middle of a run with two stages, where the learning rate begins to fall faster and weight decay ends.</summary>
    public const string SecondStage = "second stage";

    /// <summary>The sentence about the middle of a run with two stages, in front of it; empty otherwise.</summary>
    public static string HalfWay(TrainingRecipe recipe, int done) =>
        recipe.Schedule == LearningSchedule.TwoStage && done < recipe.Steps / 2
            ? "The loss will fall faster from the middle of the run on, where the learning rate turns towards zero and weight decay ends: figures before it say little about the end."
            : "";

    /// <summary>A quantizer in words.</summary>
    public static string Describe(Quantizer quantizer) => quantizer.Precision switch
    {
        LinearPrecision.Full => "full precision",
        LinearPrecision.Ternary => "-1, 0, +1 with a scale per tensor; activations int8 per token",
        LinearPrecision.Binary => "-1, +1 with a scale per tensor; activations int8 per token",
        LinearPrecision.TernaryRows => "-1, 0, +1 with a scale per row; activations int8 per token",
        _ => string.Create(CultureInfo.InvariantCulture, $"{quantizer.Bits} bits with a scale per row"),
    };

    private static double Median(IReadOnlyList<StepRecord> records)
    {
        double[] speeds = [.. records.Select(record => record.TokensPerSecond).Order()];
        return speeds[speeds.Length / 2];
    }
}
