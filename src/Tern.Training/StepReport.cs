namespace Tern.Training;

/// <summary>What one optimizer step did.</summary>
/// <param name="Step">The number of the step, from 1.</param>
/// <param name="Loss">Mean cross-entropy of the batch in nats per target, before the step.</param>
/// <param name="LearningRate">What was used.</param>
/// <param name="GradientNorm">Of the whole gradient, before clipping.</param>
/// <param name="Tokens">Input tokens computed.</param>
/// <param name="NonFinite">
/// Null when the step was applied; else the first place, in the order of the computation, whose values or gradients are NaN or infinite, such
/// as <c>blk.3.attn_q</c>: then neither weights nor moments were touched and the step does not count.
/// </param>
internal readonly record struct StepReport(int Step, double Loss, float LearningRate, float GradientNorm, long Tokens, string? NonFinite)
{
    /// <summary>The parts of the loss under distillation.</summary>
    public DistillationReport? Distillation { get; init; }
}

/// <summary>The terms of a distilled step, each before its weight, with the norms of their gradients where terms meet: at the logits, and at Q, K, V.</summary>
/// <param name="CrossEntropy">Nats per target.</param>
/// <param name="LogitDivergence">T² KL(teacher || student) per target.</param>
/// <param name="AttentionDivergence">Of the attention relations, per position.</param>
internal sealed record DistillationReport(double CrossEntropy, double LogitDivergence, double AttentionDivergence)
{
    /// <summary>Norm of the weighted cross-entropy's gradient with respect to the logits.</summary>
    public required double CrossEntropyGradientNorm { get; init; }

    /// <summary>Norm of the weighted divergence's gradient with respect to the logits.</summary>
    public required double LogitGradientNorm { get; init; }

    /// <summary>Norm, at Q, K, V of the compared layer, of the gradient that comes from the logits.</summary>
    public required double OtherGradientNorm { get; init; }

    /// <summary>Norm, at the same place, of the attention term's gradient with its factor.</summary>
    public required double AttentionGradientNorm { get; init; }

    /// <summary>The factor that the attention term got, in the last micro batch.</summary>
    public required double AttentionFactor { get; init; }
}

/// <summary>The sum over targets that an evaluation gives.</summary>
/// <param name="NegativeLogLikelihood">Σ -ln p(target), in nats.</param>
/// <param name="Targets">How many.</param>
internal readonly record struct LossSum(double NegativeLogLikelihood, long Targets)
{
    /// <summary>Nats per target; NaN without targets.</summary>
    public double Mean => NegativeLogLikelihood / Targets;

    public static LossSum operator +(LossSum left, LossSum right) =>
        new(left.NegativeLogLikelihood + right.NegativeLogLikelihood, left.Targets + right.Targets);
}

/// <summary>How the codes of one linear layer are distributed.</summary>
/// <param name="Name">As in the exported file, such as <c>blk.0.attn_q</c>.</param>
/// <param name="Minus">Share of -1.</param>
/// <param name="Zero">Share of 0.</param>
/// <param name="Plus">Share of +1.</param>
internal readonly record struct CodeShares(string Name, double Minus, double Zero, double Plus);
