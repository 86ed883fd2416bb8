using System.Text.Json;

namespace Tern.Training.Runs;

/// <summary>
/// The terms of distillation as an object of the log, with the norms of their gradients where they meet, so that one sees which of them leads.
/// <code>
///   at the logits:               textGradient    | logitGradient
///   at Q, K, V of the layer:     otherGradient   | attentionGradient, its attentionFactor included
/// </code>
/// </summary>
internal static class TeachingLog
{
    private const string
        LogitDivergence = "logitDivergence",
        AttentionDivergence = "attentionDivergence",
        TextGradient = "textGradient",
        LogitGradient = "logitGradient",
        OtherGradient = "otherGradient",
        AttentionGradient = "attentionGradient",
        AttentionFactor = "attentionFactor";

    public static void Write(Utf8JsonWriter writer, string name, DistillationReport report)
    {
        writer.WriteStartObject(name);
        writer.WriteNumber(LogitDivergence, report.LogitDivergence);
        writer.WriteNumber(AttentionDivergence, report.AttentionDivergence);
        writer.WriteNumber(TextGradient, report.CrossEntropyGradientNorm);
        writer.WriteNumber(LogitGradient, report.LogitGradientNorm);
        writer.WriteNumber(OtherGradient, report.OtherGradientNorm);
        writer.WriteNumber(AttentionGradient, report.AttentionGradientNorm);
        writer.WriteNumber(AttentionFactor, report.AttentionFactor);
        writer.WriteEndObject();
    }

    /// <param name="element">What <see cref="Write"/> wrote.</param>
    /// <param name="crossEntropy">The step's loss, which is this term.</param>
    public static DistillationReport Read(JsonElement element, double crossEntropy)
    {
        return new DistillationReport(crossEntropy, Number(LogitDivergence), Number(AttentionDivergence))
        {
            CrossEntropyGradientNorm = Number(TextGradient),
            LogitGradientNorm = Number(LogitGradient),
            OtherGradientNorm = Number(OtherGradient),
            AttentionGradientNorm = Number(AttentionGradient),
            AttentionFactor = Number(AttentionFactor),
        };

        double Number(string name) => element.GetProperty(name).GetDouble();
    }
}
