using Tern.Models;

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

    /// <summary>Adds the tokens whose logits this step will change, each for a reason of its own, to a demand. A step that only drops candidates adds none.</summary>
    /// <param name="history">As <see cref="Apply"/> will get it.</param>
    /// <param name="demand">Where they are added.</param>
    public virtual void AddTouched(ReadOnlySpan<int> history, LogitDemand demand)
    {
    }
}
