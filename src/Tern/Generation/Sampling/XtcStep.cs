namespace Tern.Generation.Sampling;

/// <summary>
/// XTC, "exclude top choices" (p-e-w 2024): with a chance, drops all tokens of at least the threshold probability but the least likely
/// of them. Above a threshold of one half at most one token could reach it, so nothing happens.
/// </summary>
internal sealed class XtcStep(float chance, float threshold, SeededRandom random) : SamplerStep
{
    public static XtcStep? From(GenerationOptions options, SeededRandom random) =>
        options.XtcProbability > 0 && options.XtcThreshold <= 0.5f ? new(options.XtcProbability, options.XtcThreshold, random) : null;

    public override void Apply(Candidates candidates, ReadOnlySpan<int> history)
    {
        if (candidates.Count < 2 || random.NextDouble() >= chance)
            return;

        candidates.Softmax();
        int reaching = 0;
        foreach (Candidate candidate in candidates.Items)
            if (candidate.Probability >= threshold)
                reaching++;
        if (reaching < 2)
            return;
        candidates.SortFirst(reaching);
        candidates.Keep(reaching - 1, candidates.Count);
    }
}
