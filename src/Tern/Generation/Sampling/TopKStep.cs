namespace Tern.Generation.Sampling;

/// <summary>Keeps the k most likely tokens, in order; 0 keeps all.</summary>
internal sealed class TopKStep(int k) : SamplerStep
{
    public static TopKStep? From(GenerationOptions options) => options.TopK > 0 ? new(options.TopK) : null;

    public override void Apply(Candidates candidates, ReadOnlySpan<int> history)
    {
        if (k <= 0)
            return;
        candidates.SortFirst(k);
        candidates.Keep(0, Math.Min(k, candidates.Count));
    }
}
