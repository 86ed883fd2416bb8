using System.Globalization;
using System.Text;
using Tern.Training.Runs;

namespace Tern.Training.Reports;

/// <summary>The table of a comparison in Markdown, with the held-out losses of all its runs in one chart.</summary>
internal static class ComparisonReport
{
    /// <summary>Writes report and chart into the folder of the comparison; <paramref name="note"/> receives a line for what cannot be replaced.</summary>
    public static void Write(
        RunFolder folder, RunSettings settings, TrainingRecipe recipe, ModelShape shape, IReadOnlyList<ComparisonRow> rows,
        IReadOnlyList<(string Name, IReadOnlyList<StepRecord> Records)> curves, Action<string> note)
    {
        var chart = new SvgChart("Held-out loss by step", "step", "nats per token");
        foreach ((string name, IReadOnlyList<StepRecord> records) in curves)
            chart.Add(name, [.. records.Where(record => record.HeldOut is not null).Select(record => ((double)record.Step, record.HeldOut!.Value.Loss))]);
        if (recipe.Schedule == LearningSchedule.TwoStage)
            chart.Mark(recipe.Steps / 2.0, RunReport.SecondStage);
        ReportFile.Write(folder.Curve, chart.Render(), note);

        var text = new StringBuilder("# Comparison\n\n");
        text.Append(CultureInfo.InvariantCulture, $"{shape.Parameters / 1e6:0.00} million weights, {recipe.Steps} steps of {settings.Batch * shape.Context} tokens each, the same sequences in the same order, one seed. ");
        text.Append("Small models that are trained for a short time show the order of the methods; their distances shrink with size and grow with training.\n\n");
        text.Append("| | held-out loss | perplexity | bits per byte | size in bytes |\n|---|---:|---:|---:|---:|\n");
        foreach (ComparisonRow row in rows)
            text.Append(CultureInfo.InvariantCulture, $"| {row.Name} | {row.Score.Loss:0.0000} | {row.Score.Perplexity:0.00} | {row.Score.BitsPerByte:0.0000} | {row.Bytes} |\n");
        text.Append("\nSize: linear layers at their bits (ternary in two, as I2_S has them), the rest as f16.\n\n![Held-out loss by step](loss.svg)\n");
        ReportFile.Write(folder.Report, text.ToString(), note);
    }
}
