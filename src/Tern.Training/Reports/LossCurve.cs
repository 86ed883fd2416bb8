using Tern.Training.Runs;

namespace Tern.Training.Reports;

/// <summary>
/// The curves of a run as one SVG file: loss of the batches, smoothed; held-out loss; and where the second stage begins, because losses fall
/// faster from there and a curve that is cut off before it says little about its end.
/// </summary>
internal static class LossCurve
{
    private const int Smoothing = 100; // points of the smoothed curve

    /// <summary>Writes the file; <paramref name="note"/> receives one line when the one that is there cannot be replaced.</summary>
    public static void Write(string path, IReadOnlyList<StepRecord> records, TrainingRecipe recipe, Action<string> note)
    {
        var chart = new SvgChart("Loss by step", "step", "nats per token");
        chart.Add("training", Smoothed(records));
        chart.Add("held out", [.. records.Where(record => record.HeldOut is not null).Select(record => ((double)record.Step, record.HeldOut!.Value.Loss))]);
        if (recipe.Schedule == LearningSchedule.TwoStage && records.Count > 0)
            chart.Mark(recipe.Steps / 2.0, RunReport.SecondStage);
        ReportFile.Write(path, chart.Render(), note);
    }

    /// <summary>Means over stretches of equal length: a batch is too small to tell anything by itself.</summary>
    private static List<(double X, double Y)> Smoothed(IReadOnlyList<StepRecord> records)
    {
        int stretch = Math.Max(1, records.Count / Smoothing);
        var points = new List<(double, double)>();
        for (int start = 0; start < records.Count; start += stretch)
        {
            int count = Math.Min(stretch, records.Count - start);
            double sum = 0;
            for (int i = start; i < start + count; i++)
                sum += records[i].Loss;
            points.Add((records[start + count - 1].Step, sum / count));
        }

        return points;
    }
}
