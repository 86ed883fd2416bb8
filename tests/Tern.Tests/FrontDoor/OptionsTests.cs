namespace Tern.Tests.FrontDoor;

/// <summary>Options that cannot be meant are refused with their name, their value and the range.</summary>
public sealed class OptionsTests
{
    public static TheoryData<GenerationOptions, string> Wrong => new()
    {
        { new() { MaxTokens = -1 }, "option MaxTokens is -1, must be in [0, 2147483647]" },
        { new() { Temperature = -0.5f }, "option Temperature is -0.5, must be in [0, 100]" },
        { new() { Temperature = float.NaN }, "option Temperature is NaN, must be in [0, 100]" },
        { new() { Temperature = float.PositiveInfinity }, "option Temperature is Infinity, must be in [0, 100]" },
        { new() { DynamicTemperatureRange = -1 }, "option DynamicTemperatureRange is -1" },
        { new() { DynamicTemperatureExponent = 0 }, "option DynamicTemperatureExponent is 0, must be in [0.01, 100]" },
        { new() { TopK = -3 }, "option TopK is -3" },
        { new() { TopP = 1.5f }, "option TopP is 1.5, must be in [0, 1]" },
        { new() { MinP = 2 }, "option MinP is 2" },
        { new() { TypicalP = -1 }, "option TypicalP is -1" },
        { new() { TopNSigma = -1 }, "option TopNSigma is -1" },
        { new() { XtcProbability = 2 }, "option XtcProbability is 2" },
        { new() { XtcThreshold = -1 }, "option XtcThreshold is -1" },
        { new() { RepeatPenalty = 0 }, "option RepeatPenalty is 0" },
        { new() { RepeatLastN = -2 }, "option RepeatLastN is -2, must be in [-1, 2147483647]" },
        { new() { FrequencyPenalty = 101 }, "option FrequencyPenalty is 101" },
        { new() { PresencePenalty = float.NegativeInfinity }, "option PresencePenalty is -Infinity" },
        { new() { DryMultiplier = -1 }, "option DryMultiplier is -1" },
        { new() { DryBase = 0.5f }, "option DryBase is 0.5, must be in [1, 100]" },
        { new() { DryAllowedLength = 0 }, "option DryAllowedLength is 0" },
        { new() { DryPenaltyLastN = -5 }, "option DryPenaltyLastN is -5" },
        { new() { DrySequenceBreakers = ["a", ""] }, "option DrySequenceBreakers[1] has 0 characters, must have 1 to 64" },
        { new() { Stop = [""] }, "option Stop[0] has 0 characters, must have 1 to 1024" },
        { new() { Stop = null! }, "option Stop is null" },
        { new() { Stop = [.. Enumerable.Repeat("x", 65)] }, "option Stop has 65 entries, must have at most 64" },
        { new() { LogitBias = new Dictionary<int, float> { [100] = 1 } }, "option LogitBias token is 100, must be in [0, 99]" },
        { new() { LogitBias = new Dictionary<int, float> { [1] = float.NaN } }, "option LogitBias[1] is NaN" },
    };

    [Theory]
    [MemberData(nameof(Wrong))]
    public void A_wrong_option_is_named(GenerationOptions options, string message)
    {
        TernException e = Assert.Throws<TernException>(() => options.Validate(100));
        Assert.Equal(ErrorKind.Request, e.Kind);
        Assert.StartsWith(message, e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Every_option_with_a_range_has_a_wrong_value_above()
    {
        string[] free = [nameof(GenerationOptions.Seed), nameof(GenerationOptions.IgnoreEos)];
        IEnumerable<string> checkedNames = Wrong.Select(row => ((string)row[1]).Split(' ', '[')[1]).Distinct();
        Assert.Equal(typeof(GenerationOptions).GetProperties().Select(p => p.Name).Except(free).Order(), checkedNames.Order());
    }

    [Fact]
    public void What_can_be_meant_is_accepted()
    {
        new GenerationOptions().Validate(100);
        new GenerationOptions { Temperature = 0, TopP = 0, MinP = 1, RepeatLastN = -1, LogitBias = new Dictionary<int, float> { [99] = float.NegativeInfinity } }.Validate(100);
        new LoadOptions().Validate();
    }

    [Fact]
    public void Load_options_are_checked_before_the_file_is_touched()
    {
        TernException e = Assert.Throws<TernException>(() => LanguageModel.Load("absent.gguf", new LoadOptions { ParallelRequests = 0 }));
        Assert.Equal("option ParallelRequests is 0, must be in [1, 256]", e.Message);
        Assert.Throws<TernException>(() => new LoadOptions { Threads = -1 }.Validate());
        Assert.Throws<TernException>(() => new LoadOptions { ContextLength = -1 }.Validate());
        Assert.Throws<TernException>(() => new LoadOptions { QueuedRequests = -1 }.Validate());
        Assert.Throws<TernException>(() => new LoadOptions { KvCache = (KvPrecision)9 }.Validate());
    }
}
