using Tern.Models;

namespace Tern.Generation.Sampling;

/// <summary>
/// Chooses the next token of one sequence. The order of the steps is fixed:
/// <code>
/// 1  logit bias            LogitBiasStep
/// 2  penalties             PenaltyStep      repetition, frequency, presence
/// 3  DRY                   DryStep
///    — temperature 0: the most likely token, the lowest id of equals; done —
/// 4  top-n-sigma           TopNSigmaStep
/// 5  top-k                 TopKStep
/// 6  typical-p             TypicalStep
/// 7  top-p                 TopPStep
/// 8  min-p                 MinPStep
/// 9  XTC                   XtcStep
/// 10 temperature           TemperatureStep
/// 11 a draw with the request's seed
/// </code>
/// It sees logits and the sequence's own tokens, nothing else; the same seed gives the same tokens on every machine. After construction
/// nothing is allocated.
/// </summary>
internal sealed class Sampler
{
    private readonly SamplerStep[] _steps;
    private readonly SeededRandom _random;
    private readonly bool _greedy;
    private readonly LogitDemand? _demand;

    private Sampler(SamplerStep[] steps, SeededRandom random, bool greedy, LogitDemand? demand) =>
        (_steps, _random, _greedy, _demand) = (steps, random, greedy, demand);

    /// <summary>The sampler of a request.</summary>
    /// <param name="options">Validated options.</param>
    /// <param name="seed">Of this request.</param>
    /// <param name="vocabulary">For the strings of DRY, and the size.</param>
    /// <param name="contextLength">Most tokens of the sequence.</param>
    public static Sampler From(GenerationOptions options, ulong seed, TokenTable vocabulary, int contextLength)
    {
        var random = new SeededRandom(seed);
        bool greedy = options.Temperature == 0;
        DryBreakers breakers = options.DryMultiplier != 0 ? DryBreakers.From(options.DrySequenceBreakers, vocabulary) : DryBreakers.None;
        SamplerStep?[] shaping =
        [
            LogitBiasStep.From(options),
            PenaltyStep.From(options, contextLength),
            DryStep.From(options, contextLength, breakers),
        ];
        SamplerStep?[] choosing =
        [
            TopNSigmaStep.From(options),
            TopKStep.From(options),
            TypicalStep.From(options, vocabulary.Size),
            TopPStep.From(options),
            MinPStep.From(options),
            XtcStep.From(options, random),
            TemperatureStep.From(options),
        ];
        return new Sampler([.. shaping.OfType<SamplerStep>(), .. greedy ? [] : choosing.OfType<SamplerStep>()], random, greedy, DemandOf(options));
    }

    /// <summary>What the next token depends on besides the tokens so far; null: on all logits.</summary>
    /// <param name="history">Prompt and answer so far, as <see cref="Next"/> will get them.</param>
    public LogitDemand? Demand(ReadOnlySpan<int> history)
    {
        if (_demand is null)
            return null;
        _demand.Clear();
        foreach (SamplerStep step in _steps)
            step.AddTouched(history, _demand);
        return _demand.IsOverfull ? null : _demand;
    }

    /// <summary>The next token.</summary>
    /// <param name="logits">[vocabulary]; of a demand that was answered with a list, the list's logits in front.</param>
    /// <param name="history">Prompt and answer so far.</param>
    /// <param name="candidates">Workspace.</param>
    public int Next(ReadOnlySpan<float> logits, ReadOnlySpan<int> history, Candidates candidates)
    {
        bool isList = _demand is { IsListed: true };
        ReadOnlySpan<int> ids = isList ? _demand!.Ids : [];
        if (isList)
            logits = logits[..ids.Length];
        if (_greedy && _steps.Length == 0)
            return isList ? ids[MostLikely(logits)] : MostLikely(logits);

        if (isList)
            candidates.Load(ids, logits);
        else
            candidates.Load(logits);
        foreach (SamplerStep step in _steps)
            step.Apply(candidates, history);
        return candidates.Items[_greedy ? candidates.MostLikely() : Draw(candidates)].Id;
    }

    /// <summary>
    /// Greedy looks at the largest logit; top-k at the k largest, whatever comes after it; min-p alone at those within ln p of the largest. The
    /// other steps look at all logits when they come first.
    /// </summary>
    private static LogitDemand? DemandOf(GenerationOptions options)
    {
        if (options.Temperature == 0)
            return LogitDemand.Largest(1);
        if (options.TopNSigma > 0)
            return null;

        bool sharesOfAll = options.TypicalP < 1 || options.TopP < 1;
        float distance = MinPStep.From(options) is { } minP && !sharesOfAll ? minP.Distance : float.NegativeInfinity;
        if (options.TopK > 0)
            return LogitDemand.Largest(options.TopK, distance);
        return float.IsFinite(distance) ? LogitDemand.Within(distance) : null;
    }

    private int Draw(Candidates candidates)
    {
        candidates.Softmax();
        double left = _random.NextDouble();
        Span<Candidate> items = candidates.Items;
        int chosen = 0;
        for (int i = 0; i < items.Length; i++)
        {
            if (items[i].Probability <= 0)
                continue;
            chosen = i;
            left -= items[i].Probability;
            if (left < 0)
                break;
        }

        return chosen;
    }

    private static int MostLikely(ReadOnlySpan<float> logits)
    {
        int best = 0;
        float max = float.NegativeInfinity;
        for (int id = 0; id < logits.Length; id++)
        {
            if (logits[id] > max)
                (best, max) = (id, logits[id]);
        }

        return best;
    }
}
