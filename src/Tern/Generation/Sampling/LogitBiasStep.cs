using Tern.Models;

namespace Tern.Generation.Sampling;

/// <summary>Adds to the logits of single tokens; negative infinity forbids one.</summary>
internal sealed class LogitBiasStep((int Id, float Bias)[] biases) : SamplerStep
{
    public static LogitBiasStep? From(GenerationOptions options) =>
        options.LogitBias is { Count: > 0 } biases ? new([.. biases.Select(b => (b.Key, b.Value))]) : null;

    public override void Apply(Candidates candidates, ReadOnlySpan<int> history)
    {
        foreach ((int id, float bias) in biases)
        {
            int index = candidates.IndexOf(id);
            if (index >= 0)
                candidates.Items[index].Logit += bias;
        }

        candidates.LogitsChanged();
    }

    public override void AddTouched(ReadOnlySpan<int> history, LogitDemand demand)
    {
        foreach ((int id, _) in biases)
            demand.Force(id);
    }
}
