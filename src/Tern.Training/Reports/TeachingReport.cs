using System.Globalization;
using System.Text;
using Tern.Training.Runs;

namespace Tern.Training.Reports;

/// <summary>The section of a run's report about its teacher: which terms there were, and which of them led.</summary>
internal static class TeachingReport
{
    /// <summary>Adds the section, if there was a teacher.</summary>
    /// <param name="text">The report.</param>
    /// <param name="distillation">The recipe's; null without a teacher.</param>
    /// <param name="records">The log; steps with a measurement are shown.</param>
    public static void Write(StringBuilder text, Distillation? distillation, IReadOnlyList<StepRecord> records)
    {
        if (distillation is null)
            return;
        Line(text, $"");
        Line(text, $"## What the teacher gave");
        Line(text, $"");
        Line(text, $"Loss: {distillation.CrossEntropyWeight} · cross-entropy of the text + {distillation.LogitWeight} · divergence from the teacher at temperature {distillation.Temperature}{Attention(distillation)}. ");
        Line(text, $"Norms of gradients stand where the terms meet: those of text and teacher at the logits; those of the rest of the loss and of the attention relations at queries, keys and values of the compared layer.");
        Line(text, $"");
        Line(text, $"| step | cross-entropy | divergence | text's gradient | teacher's gradient | attention divergence | rest's gradient | attention's gradient | factor |");
        Line(text, $"|---:|---:|---:|---:|---:|---:|---:|---:|---:|");
        foreach (StepRecord record in records)
            if (record is { HeldOut: not null, Teaching: { } t })
                Line(text, $"| {record.Step} | {t.CrossEntropy:0.0000} | {t.LogitDivergence:0.0000} | {t.CrossEntropyGradientNorm:g3} | {t.LogitGradientNorm:g3} | {t.AttentionDivergence:g3} | {t.OtherGradientNorm:g3} | {t.AttentionGradientNorm:g3} | {t.AttentionFactor:g3} |");
    }

    private static string Attention(Distillation distillation)
    {
        if (distillation.AttentionWeight == 0)
            return "";
        string relation = distillation.AttentionRelation == AttentionRelation.Cosine ? "cosines" : "scaled products";
        string weight = distillation.BalanceGradients ? "with a gradient as large as that of the rest times" : "times";
        return string.Create(CultureInfo.InvariantCulture, $" + attention relations ({relation}) of layer {distillation.AttentionLayer}, {weight} {distillation.AttentionWeight}");
    }

    private static void Line(StringBuilder text, FormattableString line) => text.Append(line.ToString(CultureInfo.InvariantCulture)).Append('\n');
}
