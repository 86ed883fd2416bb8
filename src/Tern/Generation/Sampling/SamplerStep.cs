namespace Tern.Generation.Sampling;

/// <summary>
/// One step of a sampler: it changes logits or drops candidates, and always leaves at least one. Steps may stand in any order. They are
/// made when a request is made; applying one allocates nothing.
/// </summary>
internal abstract class SamplerStep
{
    /// <summary>Changes the candidates.</summary>
    /// <param name="candidates">What may come next.</param>
    /// <param name="history">Tokens of the prompt and the answer so far, oldest first.</param>
    public abstract void Apply(Candidates candidates, ReadOnlySpan<int> history);
}
