namespace Tern.Generation.Sampling;

/// <summary>Nucleus sampling (Holtzman et al. 2020): keeps the smallest set of most likely tokens with a total probability of at least p.</summary>
internal sealed class TopPStep(float p) : SamplerStep
{
    /// <summary>Candidates that are sorted first; usually the nucleus ends among them.</summary>
    private const int SortedFirst = 128;

    public static TopPStep? From(GenerationOptions options) => options.TopP < 1 ? new(options.TopP) : null;

    public override void Apply(Candidates candidates, ReadOnlySpan<int> history)
    {
        if (p >= 1)
            return;

        candidates.Softmax();
        float total = 0;
        int kept = 0;
        for (int sorted = SortedFirst; kept < candidates.Count; sorted *= 8)
        {
            candidates.SortFirst(sorted);
            for (; kept < Math.Min(sorted, candidates.Count); kept++)
            {
                total += candidates.Items[kept].Probability;
                if (total >= p)
                {
                    candidates.Keep(0, kept + 1);
                    return;
                }
            }
        }
    }
}
