using System.Globalization;
using System.Text;
using Tern.Files;
using Tern.Training.Runs;

namespace Tern.Training.Reports;

/// <summary>
/// What one checkpoint is worth, in Markdown beside it: so that who goes back to an older one, or keeps one apart, knows what it is. The same run
/// gives the same bytes.
/// </summary>
internal static class CheckpointReport
{
    /// <summary>Writes the report.</summary>
    /// <param name="path">The file.</param>
    /// <param name="record">The checkpoint's step, measured; step 0 is the model that the run began with.</param>
    /// <param name="recipe">How it is trained.</param>
    public static void Write(string path, StepRecord record, TrainingRecipe recipe)
    {
        string text = Render(record, recipe);
        AtomicFile.Write(path, stream => stream.Write(Encoding.UTF8.GetBytes(text)));
    }

    private static string Render(StepRecord record, TrainingRecipe recipe)
    {
        var text = new StringBuilder();
        Line(text, $"# Step {record.Step} of {recipe.Steps}");
        Line(text, $"");
        Line(text, $"| | |");
        Line(text, $"|---|---|");
        Line(text, $"| tokens trained on | {record.Tokens} |");
        if (record.HeldOut is { } heldOut)
            Line(text, $"| held-out text, {heldOut.Tokens} tokens of it | loss {heldOut.Loss:0.0000}, perplexity {heldOut.Perplexity:0.00}, {heldOut.BitsPerByte:0.0000} bits per byte |");
        if (record.Step > 0)
        {
            Line(text, $"| loss of the batch | {record.Loss:0.0000} |");
            Line(text, $"| gradient norm | {record.GradientNorm:0.000} |");
            Line(text, $"| learning rate | {record.LearningRate:0.00000} |");
        }

        if (RunReport.HalfWay(recipe, record.Step) is { Length: > 0 } warning)
        {
            Line(text, $"");
            Line(text, $"{warning.Trim()}");
        }

        if (record.Shares is { } shares)
        {
            Line(text, $"");
            Line(text, $"## -1, 0 and +1 in each layer");
            SharesTable.Append(text, shares);
        }

        if (record.Sample is { } sample)
        {
            Line(text, $"");
            Line(text, $"## What it writes");
            Line(text, $"");
            foreach (string line in sample.Split('\n'))
                Line(text, $"> {line}");
        }

        return text.ToString();
    }

    private static void Line(StringBuilder text, FormattableString line) => text.Append(line.ToString(CultureInfo.InvariantCulture)).Append('\n');
}
