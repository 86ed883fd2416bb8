using Tern.Kernels;

namespace Tern.Generation.Sampling;

/// <summary>
/// Divides the logits by a temperature; 0 leaves only the most likely token a chance. With a range the temperature follows the entropy
/// of the distribution ("dynamic temperature"): temperature − range when the model is certain, temperature + range when every token is
/// equally likely, <c>(entropy / ln count)^exponent</c> of the way in between.
/// </summary>
internal sealed class TemperatureStep(float temperature, float range, float exponent) : SamplerStep
{
    public static TemperatureStep? From(GenerationOptions options) =>
        options.Temperature != 1 || options.DynamicTemperatureRange > 0
            ? new(options.Temperature, options.DynamicTemperatureRange, options.DynamicTemperatureExponent)
            : null;

    public override void Apply(Candidates candidates, ReadOnlySpan<int> history)
    {
        float divisor = range > 0 ? Dynamic(candidates) : temperature;
        int best = candidates.MostLikely();
        if (divisor <= 0)
        {
            for (int i = 0; i < candidates.Count; i++)
                if (i != best)
                    candidates.Items[i].Logit = float.NegativeInfinity;
            return;
        }

        // A shift of all logits changes no probability; with the largest at 0 no quotient overflows.
        float max = candidates.Items[best].Logit;
        foreach (ref Candidate candidate in candidates.Items)
            candidate.Logit = candidate.Logit > float.NegativeInfinity ? (candidate.Logit - max) / divisor : candidate.Logit;
    }

    private float Dynamic(Candidates candidates)
    {
        if (candidates.Count < 2)
            return temperature;

        candidates.Softmax();
        double share = candidates.Entropy() / PortableMath.Log(candidates.Count);
        double lowest = Math.Max(0, temperature - range), highest = temperature + range;
        return (float)(lowest + (highest - lowest) * (share > 0 ? PortableMath.Pow(Math.Min(share, 1), exponent) : 0));
    }
}
