using System.Globalization;
using Tern.Training.Runs;

namespace Tern.Training.Reports;

/// <summary>The section of a run's report about its teacher: which terms there were, and which of them led.</summary>
internal static class TeachingReport
{
    /// <summary>Adds the section, if there was a teacher.</summary>
    /// <param name="text">The report.</param>
    /// <param name="distillation">The recipe's; null without a teacher.</param>
    /// <param name="records">The log; steps with a measurement are shown.</param>
    public static void Write(MarkdownText text, Distillation? distillation, IReadOnlyList<StepRecord> records)
    {
        if (distillation is null)
            return;
        text.Line($"");
        text.Line($"## What the teacher gave");
        text.Line($"");
        text.Line($"Loss: {distillation.CrossEntropyWeight} · cross-entropy of the text + {distillation.LogitWeight} · divergence from the teacher at temperature {distillation.Temperature}{Attention(distillation)}. ");
        text.Line($"Norms of gradients stand where the terms meet: those of text and teacher at the logits; those of the rest of the loss and of the attention relations at queries, keys and values of the compared layer.");
        text.Line($"");
        text.Line($"| step | cross-entropy | divergence | text's gradient | teacher's gradient | attention divergence | rest's gradient | attention's gradient | factor |");
        text.Line($"|---:|---:|---:|---:|---:|---:|---:|---:|---:|");
        foreach (StepRecord record in records)
            if (record is { HeldOut: not null, Teaching: { } t })
                text.Line($"| {record.Step} | {t.CrossEntropy:0.0000} | {t.LogitDivergence:0.0000} | {t.CrossEntropyGradientNorm:g3} | {t.LogitGradientNorm:g3} | {t.AttentionDivergence:g3} | {t.OtherGradientNorm:g3} | {t.AttentionGradientNorm:g3} | {t.AttentionFactor:g3} |");
    }

    private static string Attention(Distillation distillation)
    {
        if (distillation.AttentionWeight == 0)
            return "";
        string relation = distillation.AttentionRelation == AttentionRelation.Cosine ? "cosines" : "scaled products";
        string weight = distillation.BalanceGradients ? "with a gradient as large as that of the rest times" : "times";
        return string.Create(CultureInfo.InvariantCulture, $" + attention relations ({relation}) of layer {distillation.AttentionLayer}, {weight} {distillation.AttentionWeight}");
    }
}
