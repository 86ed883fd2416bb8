namespace Tern;

/// <summary>How to generate. What is on is applied in a fixed order: logit bias, penalties, DRY, then (unless greedy) top-n-sigma, top-k,
/// typical-p, top-p, min-p, XTC, temperature, and a draw.</summary>
public sealed record GenerationOptions
{
    /// <summary>Most tokens to generate; 0 means until the context is full.</summary>
    public int MaxTokens { get; init; }

    /// <summary>Divides the logits, in [0, 100]. 0 is greedy: the most likely token after bias, penalties and DRY; nothing else is applied.</summary>
    public float Temperature { get; init; } = 0.8f;

    /// <summary>Lets the temperature follow the model's certainty by up to this much to both sides; 0 is off.</summary>
    public float DynamicTemperatureRange { get; init; }

    /// <summary>How the entropy maps to the dynamic temperature, in [0.01, 100]; 1 is linear.</summary>
    public float DynamicTemperatureExponent { get; init; } = 1;

    /// <summary>Keep the k most likely tokens; 0 keeps all.</summary>
    public int TopK { get; init; } = 40;

    /// <summary>Keep the smallest set of tokens with this total probability; 1 is off.</summary>
    public float TopP { get; init; } = 0.95f;

    /// <summary>Drop tokens less likely than this fraction of the most likely one; 0 is off.</summary>
    public float MinP { get; init; } = 0.05f;

    /// <summary>Locally typical sampling (Meister et al. 2022): total probability kept; 1 is off.</summary>
    public float TypicalP { get; init; } = 1;

    /// <summary>Top-nσ (Tang et al. 2024): keep tokens within n standard deviations of the largest logit; 0 is off.</summary>
    public float TopNSigma { get; init; }

    /// <summary>XTC ("exclude top choices"): chance that the likely tokens but the last of them are dropped; 0 is off.</summary>
    public float XtcProbability { get; init; }

    /// <summary>XTC: tokens of at least this probability are likely ones; above 0.5 XTC does nothing.</summary>
    public float XtcThreshold { get; init; } = 0.1f;

    /// <summary>Divides positive logits of repeated tokens (CTRL paper), in [0.01, 100]; 1 is off.</summary>
    public float RepeatPenalty { get; init; } = 1;

    /// <summary>Tokens that the penalties look back on; -1 is the whole context, 0 is off.</summary>
    public int RepeatLastN { get; init; } = 64;

    /// <summary>Subtracted per occurrence of a token.</summary>
    public float FrequencyPenalty { get; init; }

    /// <summary>Subtracted once for a token that occurred.</summary>
    public float PresencePenalty { get; init; }

    /// <summary>DRY ("don't repeat yourself") strength; 0 is off.</summary>
    public float DryMultiplier { get; init; }

    /// <summary>DRY: base of the growth with the length of the repeated sequence.</summary>
    public float DryBase { get; init; } = 1.75f;

    /// <summary>DRY: repeated sequences shorter than this are free.</summary>
    public int DryAllowedLength { get; init; } = 2;

    /// <summary>DRY: tokens that are looked back on; -1 is the whole context.</summary>
    public int DryPenaltyLastN { get; init; } = -1;

    /// <summary>DRY: strings at which matching stops.</summary>
    public IReadOnlyList<string> DrySequenceBreakers { get; init; } = ["\n", ":", "\"", "*"];

    /// <summary>Added to the logits of single tokens; negative infinity forbids a token.</summary>
    public IReadOnlyDictionary<int, float>? LogitBias { get; init; }

    /// <summary>Seed of this request; null draws one.</summary>
    public ulong? Seed { get; init; }

    /// <summary>Texts that end the answer; they are not part of it.</summary>
    public IReadOnlyList<string> Stop { get; init; } = [];

    /// <summary>Go on after end-of-sequence tokens.</summary>
    public bool IgnoreEos { get; init; }

    /// <summary>Refuses what cannot be meant.</summary>
    /// <param name="vocabularySize">Token ids are below it.</param>
    /// <exception cref="TernException">An option is out of its range; the message names it, its value and the range.</exception>
    internal void Validate(int vocabularySize)
    {
        OptionRange.Range(nameof(MaxTokens), MaxTokens, 0, int.MaxValue);
        OptionRange.Range(nameof(Temperature), Temperature, 0, 100);
        OptionRange.Range(nameof(DynamicTemperatureRange), DynamicTemperatureRange, 0, 100);
        OptionRange.Range(nameof(DynamicTemperatureExponent), DynamicTemperatureExponent, 0.01f, 100);
        OptionRange.Range(nameof(TopK), TopK, 0, int.MaxValue);
        OptionRange.Range(nameof(TopP), TopP, 0, 1);
        OptionRange.Range(nameof(MinP), MinP, 0, 1);
        OptionRange.Range(nameof(TypicalP), TypicalP, 0, 1);
        OptionRange.Range(nameof(TopNSigma), TopNSigma, 0, 100);
        OptionRange.Range(nameof(XtcProbability), XtcProbability, 0, 1);
        OptionRange.Range(nameof(XtcThreshold), XtcThreshold, 0, 1);
        OptionRange.Range(nameof(RepeatPenalty), RepeatPenalty, 0.01f, 100);
        OptionRange.Range(nameof(RepeatLastN), RepeatLastN, -1, int.MaxValue);
        OptionRange.Range(nameof(FrequencyPenalty), FrequencyPenalty, -100, 100);
        OptionRange.Range(nameof(PresencePenalty), PresencePenalty, -100, 100);
        OptionRange.Range(nameof(DryMultiplier), DryMultiplier, 0, 100);
        OptionRange.Range(nameof(DryBase), DryBase, 1, 100);
        OptionRange.Range(nameof(DryAllowedLength), DryAllowedLength, 1, int.MaxValue);
        OptionRange.Range(nameof(DryPenaltyLastN), DryPenaltyLastN, -1, int.MaxValue);
        OptionRange.Texts(nameof(DrySequenceBreakers), DrySequenceBreakers, 64, 64);
        OptionRange.Texts(nameof(Stop), Stop, 64, 1024);
        if (LogitBias is null)
            return;
        foreach ((int id, float bias) in LogitBias)
        {
            OptionRange.Range($"{nameof(LogitBias)} token", id, 0, vocabularySize - 1);
            OptionRange.Range($"{nameof(LogitBias)}[{id}]", bias, float.NegativeInfinity, float.MaxValue);
        }
    }
}
