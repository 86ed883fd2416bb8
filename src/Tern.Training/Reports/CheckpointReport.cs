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
    /// <param name="note">Receives one line when the file that is there cannot be replaced.</param>
    public static void Write(string path, StepRecord record, TrainingRecipe recipe, Action<string> note) => ReportFile.Write(path, Render(record, recipe), note);

    private static string Render(StepRecord record, TrainingRecipe recipe)
    {
        var text = new MarkdownText();
        text.Line($"# Step {record.Step} of {recipe.Steps}");
        text.Line($"");
        text.Line($"| | |");
        text.Line($"|---|---|");
        text.Line($"| tokens trained on | {record.Tokens} |");
        if (record.HeldOut is { } heldOut)
            text.Line($"| held-out text, {heldOut.Tokens} tokens of it | loss {heldOut.Loss:0.0000}, perplexity {heldOut.Perplexity:0.00}, {heldOut.BitsPerByte:0.0000} bits per byte |");
        if (record.Step > 0)
        {
            text.Line($"| loss of the batch | {record.Loss:0.0000} |");
            text.Line($"| gradient norm | {record.GradientNorm:0.000} |");
            text.Line($"| learning rate | {record.LearningRate:0.00000} |");
        }

        if (RunReport.HalfWay(recipe, record.Step) is { Length: > 0 } warning)
        {
            text.Line($"");
            text.Line($"{warning}");
        }

        if (record.Shares is { } shares)
        {
            text.Line($"");
            text.Line($"## -1, 0 and +1 in each layer");
            SharesTable.Append(text, shares);
        }

        if (record.Sample is { } sample)
        {
            text.Line($"");
            text.Line($"## What it writes");
            text.Line($"");
            text.Quote(sample);
        }

        return text.ToString();
    }
}
