using System.Globalization;
using System.Text;
using Tern.Files;
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
    public static void Write(string path, RunSummary run, RunSettings settings, IReadOnlyList<string> heldOutNames, IReadOnlyList<StepRecord> records, HeldOutScore? final)
    {
        string text = Render(run, settings, heldOutNames, records, final);
        AtomicFile.Write(path, stream => stream.Write(Encoding.UTF8.GetBytes(text)));
    }

    private static string Render(RunSummary run, RunSettings settings, IReadOnlyList<string> heldOutNames, IReadOnlyList<StepRecord> records, HeldOutScore? final)
    {
        var text = new StringBuilder();
        int done = records.Count > 0 ? records[^1].Step : 0;
        Line(text, $"# Training run: {settings.Name}");
        Line(text, $"");
        if (final is { } score)
            Line(text, $"**Held-out text: {score.BitsPerByte:0.0000} bits per byte**, loss {score.Loss:0.0000}, perplexity {score.Perplexity:0.00} per token ({score.Tokens} tokens of {heldOutNames.Count} documents that were never trained on).");
        else
            Line(text, $"{done} of {run.Recipe.Steps} steps are done.{HalfWay(run.Recipe, done)}");
        Line(text, $"");
        Line(text, $"![Loss by step](loss.svg)");
        Line(text, $"");
        Line(text, $"| | |");
        Line(text, $"|---|---|");
        Line(text, $"| model | {run.Parameters / 1e6:0.00} million weights: {run.Shape.Layers} layers, width {run.Shape.Hidden}, {run.Shape.Heads} heads of {run.Shape.HeadDim} ({run.Shape.KvHeads} for keys), feed-forward {run.Shape.FeedForward}, vocabulary {run.Shape.Vocabulary}, context {run.Shape.Context} |");
        Line(text, $"| linear layers | {Describe(run.Recipe.Linear)} |");
        Line(text, $"| text | {run.TrainTokens} tokens of {run.TrainDocuments} documents; {run.HeldOutBytes} bytes of {run.HeldOutDocuments} documents held out |");
        Line(text, $"| steps | {done} of {run.Recipe.Steps}, {run.TokensPerStep} tokens each: {(double)done * run.TokensPerStep / run.TrainTokens:0.00} epochs |");
        Line(text, $"| learning rate | {run.Recipe.Schedule}: {run.Recipe.LearningRate}, then {run.Recipe.SecondLearningRate}; {run.Recipe.WarmUpSteps} steps of warm-up |");
        if (run.Recipe.Rule == OptimizerRule.Muon)
            Line(text, $"| Muon | momentum {run.Recipe.Momentum}, for the matrices of the blocks |");
        Line(text, $"| AdamW | β {run.Recipe.Beta1}, {run.Recipe.Beta2}; weight decay {run.Recipe.WeightDecay}; gradients clipped at {run.Recipe.ClipNorm} |");
        if (records.Count > 0)
            Line(text, $"| speed | {Median(records):0} tokens per second (median) |");
        Line(text, $"| seed | {settings.Seed} |");
        Line(text, $"");
        Line(text, $"Held out: {string.Join(", ", heldOutNames)}.");
        Measurements(text, records);
        TeachingReport.Write(text, run.Recipe.Distillation, records);
        if (records.LastOrDefault(record => record.Shares is not null) is { } measured)
        {
            Line(text, $"");
            Line(text, $"## -1, 0 and +1 in each layer");
            Line(text, $"");
            Line(text, $"Behind step {measured.Step}.");
            SharesTable.Append(text, measured.Shares!);
        }

        Samples(text, records);
        return text.ToString();
    }

    private static void Measurements(StringBuilder text, IReadOnlyList<StepRecord> records)
    {
        Line(text, $"");
        Line(text, $"## Measurements on the way");
        Line(text, $"");
        Line(text, $"On a part of the held-out text, always the same.");
        Line(text, $"");
        Line(text, $"| step | tokens | training loss | held-out loss | bits per byte | learning rate | gradient norm | -1 / 0 / +1 |");
        Line(text, $"|---:|---:|---:|---:|---:|---:|---:|---|");
        foreach (StepRecord record in records)
        {
            if (record.HeldOut is not { } heldOut)
                continue;
            string shares = record.Shares?.Mean is { } s ? string.Create(CultureInfo.InvariantCulture, $"{s.Minus:0.000} / {s.Zero:0.000} / {s.Plus:0.000}") : "";
            Line(text, $"| {record.Step} | {record.Tokens} | {record.Loss:0.0000} | {heldOut.Loss:0.0000} | {heldOut.BitsPerByte:0.0000} | {record.LearningRate:0.00000} | {record.GradientNorm:0.000} | {shares} |");
        }
    }

    private static void Samples(StringBuilder text, IReadOnlyList<StepRecord> records)
    {
        List<StepRecord> samples = [.. records.Where(record => record.Sample is not null).TakeLast(SamplesMax)];
        if (samples.Count == 0)
            return;
        Line(text, $"");
        Line(text, $"## What it writes");
        foreach (StepRecord record in samples)
        {
            Line(text, $"");
            Line(text, $"Step {record.Step}:");
            Line(text, $"");
            foreach (string line in record.Sample!.Split('\n'))
                Line(text, $"> {line}");
        }
    }

    /// <summary>The warning about the middle of a run with two stages.</summary>
    public static string HalfWay(TrainingRecipe recipe, int done) =>
        recipe.Schedule == LearningSchedule.TwoStage && done < recipe.Steps / 2
            ? " The loss will fall once more when the learning rate drops in the middle of the run: figures before it say little about the end."
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

    private static void Line(StringBuilder text, FormattableString line) => text.Append(line.ToString(CultureInfo.InvariantCulture)).Append('\n');
}
