using Tern.Kernels;

namespace Tern.Generation.Sampling;

/// <summary>Min-p (Nguyen et al. 2024): drops tokens less likely than the fraction p of the most likely one.</summary>
internal sealed class MinPStep(float p) : SamplerStep
{
    /// <summary>ln p: p_i >= p · p_max is the same as logit_i >= logit_max + ln p, and needs no softmax.</summary>
    public float Distance { get; } = p > 0 ? (float)PortableMath.Log(p) : float.NegativeInfinity;

    public static MinPStep? From(GenerationOptions options) => options.MinP > 0 ? new(options.MinP) : null;

    public override void Apply(Candidates candidates, ReadOnlySpan<int> history) =>
        candidates.DropBelow(candidates.Items[candidates.MostLikely()].Logit + Distance);
}
