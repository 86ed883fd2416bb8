namespace Tern;

/// <summary>What a model's engine has done since it was loaded, and holds now.</summary>
public sealed record EngineStatistics
{
    /// <summary>Requests that hold memory and take part in steps.</summary>
    public required int Running { get; init; }

    /// <summary>Requests that wait for their turn.</summary>
    public required int Waiting { get; init; }

    /// <summary>Requests that ended, for whatever reason.</summary>
    public required long Finished { get; init; }

    /// <summary>Forward passes.</summary>
    public required long Steps { get; init; }

    /// <summary>Tokens of prompts that were computed, repeats after a preemption included.</summary>
    public required long PromptTokens { get; init; }

    /// <summary>Tokens of prompts that were found in the cache.</summary>
    public required long CachedTokens { get; init; }

    /// <summary>Tokens generated.</summary>
    public required long GeneratedTokens { get; init; }

    /// <summary>Times a request had to give its memory back and start its prefill again.</summary>
    public required long Preemptions { get; init; }

    /// <summary>Pages of the KV cache, 32 tokens each.</summary>
    public required int Pages { get; init; }

    /// <summary>Pages that requests hold now.</summary>
    public required int PagesUsed { get; init; }

    /// <summary>Bytes that the engine's thread has allocated on the managed heap.</summary>
    public required long AllocatedBytes { get; init; }
}
