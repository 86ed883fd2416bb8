using System.CommandLine;
using System.Globalization;

namespace Tern.Cli.Options;

/// <summary>One option for every field of <see cref="GenerationOptions"/>; the defaults are that record's.</summary>
internal sealed class SamplingOptionsBinding
{
    private static readonly GenerationOptions s_defaults = new();

    private readonly Option<int> _maxTokens = OptionOf.Integer("--max-tokens", 0, int.MaxValue, s_defaults.MaxTokens, "Most tokens to generate; 0 is until the context is full.", "-n");
    private readonly Option<float> _temperature = OptionOf.Number("--temp", 0, 100, s_defaults.Temperature, "Temperature; 0 always takes the most likely token.", "--temperature");
    private readonly Option<int> _topK = OptionOf.Integer("--top-k", 0, int.MaxValue, s_defaults.TopK, "Keep the N most likely tokens; 0 keeps all.");
    private readonly Option<float> _topP = OptionOf.Number("--top-p", 0, 1, s_defaults.TopP, "Keep the smallest set of tokens with this total probability; 1 keeps all.");
    private readonly Option<float> _minP = OptionOf.Number("--min-p", 0, 1, s_defaults.MinP, "Drop tokens less likely than this fraction of the most likely one; 0 drops none.");
    private readonly Option<float> _typical = OptionOf.Number("--typical", 0, 1, s_defaults.TypicalP, "Locally typical sampling: total probability kept; 1 is off.", "--typical-p");
    private readonly Option<float> _repeatPenalty = OptionOf.Number("--repeat-penalty", 0, 100, s_defaults.RepeatPenalty, "Divides the logits of repeated tokens; 1 is off.");
    private readonly Option<int> _repeatLastN = OptionOf.Integer("--repeat-last-n", -1, int.MaxValue, s_defaults.RepeatLastN, "Tokens that the penalties look back on; 0 is none, -1 all.");
    private readonly Option<float> _frequencyPenalty = OptionOf.Number("--frequency-penalty", -100, 100, s_defaults.FrequencyPenalty, "Subtracted per occurrence of a token.");
    private readonly Option<float> _presencePenalty = OptionOf.Number("--presence-penalty", -100, 100, s_defaults.PresencePenalty, "Subtracted once for a token that occurred.");
    private readonly Option<float> _dryMultiplier = OptionOf.Number("--dry-multiplier", 0, 100, s_defaults.DryMultiplier, "DRY (don't repeat yourself): strength; 0 is off.");
    private readonly Option<float> _dryBase = OptionOf.Number("--dry-base", 0, 100, s_defaults.DryBase, "DRY: growth with the length of the repetition.");
    private readonly Option<int> _dryAllowedLength = OptionOf.Integer("--dry-allowed-length", 0, int.MaxValue, s_defaults.DryAllowedLength, "DRY: repetitions up to this length are free.");
    private readonly Option<int> _dryPenaltyLastN = OptionOf.Integer("--dry-penalty-last-n", -1, int.MaxValue, s_defaults.DryPenaltyLastN, "DRY: tokens looked back on; 0 is none, -1 all.");
    private readonly Option<string[]> _dryBreakers = OptionOf.Texts("--dry-sequence-breaker", "TEXT", "DRY: a text at which repetition ends, instead of the usual ones; 'none' for no such text.");
    private readonly Option<string[]> _logitBias = OptionOf.Texts("--logit-bias", "ID=VALUE", "Added to the logit of a token; VALUE may be -inf.");
    private readonly Option<ulong?> _seed = Seed();
    private readonly Option<string[]> _stop = OptionOf.Texts("--stop", "TEXT", "A text that ends the answer and is not part of it.");
    private readonly Option<bool> _ignoreEos = OptionOf.Flag("--ignore-eos", "Go on after end-of-sequence tokens.");

    private SamplingOptionsBinding()
    {
    }

    public static SamplingOptionsBinding AddTo(Command command)
    {
        var binding = new SamplingOptionsBinding();
        Option[] options =
        [
            binding._maxTokens, binding._temperature, binding._topK, binding._topP, binding._minP, binding._typical,
            binding._repeatPenalty, binding._repeatLastN, binding._frequencyPenalty, binding._presencePenalty,
            binding._dryMultiplier, binding._dryBase, binding._dryAllowedLength, binding._dryPenaltyLastN, binding._dryBreakers,
            binding._logitBias, binding._seed, binding._stop, binding._ignoreEos,
        ];
        foreach (Option option in options)
            command.Add(option);
        return binding;
    }

    public GenerationOptions Options(ParseResult result) => new()
    {
        MaxTokens = result.GetValue(_maxTokens),
        Temperature = result.GetValue(_temperature),
        TopK = result.GetValue(_topK),
        TopP = result.GetValue(_topP),
        MinP = result.GetValue(_minP),
        TypicalP = result.GetValue(_typical),
        RepeatPenalty = result.GetValue(_repeatPenalty),
        RepeatLastN = result.GetValue(_repeatLastN),
        FrequencyPenalty = result.GetValue(_frequencyPenalty),
        PresencePenalty = result.GetValue(_presencePenalty),
        DryMultiplier = result.GetValue(_dryMultiplier),
        DryBase = result.GetValue(_dryBase),
        DryAllowedLength = result.GetValue(_dryAllowedLength),
        DryPenaltyLastN = result.GetValue(_dryPenaltyLastN),
        DrySequenceBreakers = Breakers(result.GetValue(_dryBreakers)),
        LogitBias = Biases(result.GetValue(_logitBias)),
        Seed = result.GetValue(_seed),
        Stop = result.GetValue(_stop) ?? [],
        IgnoreEos = result.GetValue(_ignoreEos),
    };

    private static IReadOnlyList<string> Breakers(string[]? given) =>
        given is not { Length: > 0 } ? s_defaults.DrySequenceBreakers : given is ["none"] ? [] : given;

    private static Dictionary<int, float>? Biases(string[]? given)
    {
        if (given is not { Length: > 0 })
            return null;

        var biases = new Dictionary<int, float>();
        foreach (string text in given)
        {
            int equals = text.IndexOf('=', StringComparison.Ordinal);
            if (equals < 0
                || !int.TryParse(text.AsSpan(0, equals), NumberStyles.None, CultureInfo.InvariantCulture, out int id)
                || !TryBias(text[(equals + 1)..], out float bias))
            {
                throw new UsageException($"'{text}' is not a value of --logit-bias: it takes ID=VALUE, such as 15043=-5 or 2=-inf");
            }

            biases[id] = bias;
        }

        return biases;
    }

    private static bool TryBias(string text, out float bias)
    {
        if (text == "-inf")
        {
            bias = float.NegativeInfinity;
            return true;
        }

        return float.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out bias) && float.IsFinite(bias);
    }

    private static Option<ulong?> Seed() => new("--seed", "-s")
    {
        Description = "Seed of the random draws: the same seed and request give the same answer; left out: a new one each time.",
        HelpName = "N",
        CustomParser = result =>
        {
            string text = result.Tokens[^1].Value;
            if (ulong.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out ulong value))
                return value;
            result.AddError($"'{text}' is not a value of --seed: it takes a whole number from 0 to {ulong.MaxValue}");
            return null;
        },
    };
}
