using Tern.Models;

namespace Tern.Generation.Sampling;

/// <summary>
/// Makes tokens of the last <c>lastCount</c> less likely: the repetition penalty of CTRL (Keskar et al. 2019; divides a positive logit,
/// multiplies a negative one), then the frequency penalty once per occurrence, then the presence penalty once.
/// </summary>
internal sealed class PenaltyStep(int lastCount, float repeat, float frequency, float presence) : SamplerStep
{
    private readonly int[] _window = new int[lastCount]; // [lastCount], sorted by id when applied

    public static PenaltyStep? From(GenerationOptions options, int contextLength)
    {
        int lastCount = options.RepeatLastN < 0 ? contextLength : Math.Min(options.RepeatLastN, contextLength);
        bool on = options.RepeatPenalty != 1 || options.FrequencyPenalty != 0 || options.PresencePenalty != 0;
        return on && lastCount > 0 ? new(lastCount, options.RepeatPenalty, options.FrequencyPenalty, options.PresencePenalty) : null;
    }

    public override void Apply(Candidates candidates, ReadOnlySpan<int> history)
    {
        Span<int> window = Window(history);
        for (int start = 0, end; start < window.Length; start = end)
        {
            end = start + 1;
            while (end < window.Length && window[end] == window[start])
                end++;
            int index = candidates.IndexOf(window[start]);
            if (index < 0)
                continue;
            ref float logit = ref candidates.Items[index].Logit;
            logit = logit > 0 ? logit / repeat : logit * repeat;
            logit -= (end - start) * frequency + presence;
        }

        candidates.LogitsChanged();
    }

    public override void AddTouched(ReadOnlySpan<int> history, LogitDemand demand)
    {
        Span<int> window = Window(history);
        for (int i = 0; i < window.Length; i++)
            if (i == 0 || window[i] != window[i - 1])
                demand.Force(window[i]);
    }

    /// <summary>The last tokens, sorted by id.</summary>
    private Span<int> Window(ReadOnlySpan<int> history)
    {
        Span<int> window = _window.AsSpan(0, Math.Min(lastCount, history.Length));
        history[^window.Length..].CopyTo(window);
        window.Sort();
        return window;
    }
}
