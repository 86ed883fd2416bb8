namespace Tern.Generation.Sampling;

/// <summary>Top-nσ (Tang et al. 2024): rules out what lies more than n standard deviations of all logits below the largest.</summary>
internal sealed class TopNSigmaStep(float n) : SamplerStep
{
    public static TopNSigmaStep? From(GenerationOptions options) => options.TopNSigma > 0 ? new(options.TopNSigma) : null;

    public override void Apply(Candidates candidates, ReadOnlySpan<int> history)
    {
        if (n <= 0)
            return;

        double sum = 0, squares = 0;
        int count = 0;
        foreach (Candidate candidate in candidates.Items)
        {
            if (float.IsNegativeInfinity(candidate.Logit))
                continue;
            sum += candidate.Logit;
            count++;
        }

        double mean = sum / Math.Max(count, 1);
        foreach (Candidate candidate in candidates.Items)
            if (!float.IsNegativeInfinity(candidate.Logit))
                squares += (candidate.Logit - mean) * (candidate.Logit - mean);
        double deviation = Math.Sqrt(squares / Math.Max(count, 1));
        candidates.RuleOutBelow((float)(candidates.Items[candidates.MostLikely()].Logit - n * deviation));
    }
}
