namespace Tern;

/// <summary>Who says a message of a chat.</summary>
public enum Role
{
    /// <summary>Instructions that stand above the conversation.</summary>
    System,

    /// <summary>The person.</summary>
    User,

    /// <summary>The model.</summary>
    Assistant,

    /// <summary>The result of a tool.</summary>
    Tool,
}

/// <summary>One message of a chat.</summary>
/// <param name="Role">Who says it.</param>
/// <param name="Content">The text.</param>
public sealed record Message(Role Role, string Content);

/// <summary>Why an answer ended.</summary>
public enum FinishReason
{
    /// <summary>The model ended its turn, or a stop string appeared.</summary>
    Stop,

    /// <summary>The token limit or the end of the context was reached.</summary>
    Length,
}

/// <summary>How to load a model.</summary>
public sealed record LoadOptions
{
    /// <summary>Worker threads; 0 means one per core that the process may use.</summary>
    public int Threads { get; init; }

    /// <summary>Most tokens of prompt and answer together; 0 means what the model was trained for, at most 4096.</summary>
    public int ContextLength { get; init; }

    /// <summary>A kernel family or row, such as <c>scalar</c> or <c>avx2</c>; null means the best for this processor, or TERN_KERNEL.</summary>
    public string? Kernel { get; init; }

    /// <summary>Requests that may run at the same time and share the model.</summary>
    public int ParallelRequests { get; init; } = 4;
}

/// <summary>How to generate.</summary>
public sealed record GenerationOptions
{
    /// <summary>Most tokens to generate; 0 means until the context is full.</summary>
    public int MaxTokens { get; init; }

    /// <summary>0 is greedy.</summary>
    public float Temperature { get; init; } = 0.8f;

    /// <summary>Keep the k most likely tokens; 0 keeps all.</summary>
    public int TopK { get; init; } = 40;

    /// <summary>Keep the smallest set of tokens with this total probability.</summary>
    public float TopP { get; init; } = 0.95f;

    /// <summary>Drop tokens less likely than this fraction of the most likely one.</summary>
    public float MinP { get; init; } = 0.05f;

    /// <summary>Locally typical sampling (Meister et al. 2022): total probability kept; 1 is off.</summary>
    public float TypicalP { get; init; } = 1;

    /// <summary>Divides positive logits of repeated tokens (CTRL paper); 1 is off.</summary>
    public float RepeatPenalty { get; init; } = 1;

    /// <summary>Tokens that the penalties look back on.</summary>
    public int RepeatLastN { get; init; } = 64;

    /// <summary>Subtracted per occurrence of a token.</summary>
    public float FrequencyPenalty { get; init; }

    /// <summary>Subtracted once for a token that occurred.</summary>
    public float PresencePenalty { get; init; }

    /// <summary>DRY ("don't repeat yourself") strength; 0 is off.</summary>
    public float DryMultiplier { get; init; }

    /// <summary>DRY: base of the growth with the length of the repeated sequence.</summary>
    public float DryBase { get; init; } = 1.75f;

    /// <summary>DRY: repeated sequences up to this length are free.</summary>
    public int DryAllowedLength { get; init; } = 2;

    /// <summary>DRY: tokens that are looked back on; -1 is the whole context.</summary>
    public int DryPenaltyLastN { get; init; } = -1;

    /// <summary>DRY: strings at which matching stops.</summary>
    public IReadOnlyList<string> DrySequenceBreakers { get; init; } = ["\n", ":", "\"", "*"];

    /// <summary>Added to the logits of single tokens.</summary>
    public IReadOnlyDictionary<int, float>? LogitBias { get; init; }

    /// <summary>Seed of this request; null draws one.</summary>
    public ulong? Seed { get; init; }

    /// <summary>Texts that end the answer; they are not part of it.</summary>
    public IReadOnlyList<string> Stop { get; init; } = [];

    /// <summary>Go on after end-of-sequence tokens.</summary>
    public bool IgnoreEos { get; init; }
}

/// <summary>Counts and times of one request.</summary>
/// <param name="PromptTokens">Tokens of the prompt.</param>
/// <param name="CachedTokens">Those of them that were found in the cache.</param>
/// <param name="GeneratedTokens">Tokens generated.</param>
/// <param name="PromptTime">From submission to the first token.</param>
/// <param name="GenerationTime">From the first token to the last.</param>
public sealed record Usage(int PromptTokens, int CachedTokens, int GeneratedTokens, TimeSpan PromptTime, TimeSpan GenerationTime);

/// <summary>A piece of an answer while it is made; the last one carries the reason and the usage.</summary>
/// <param name="Text">New text, whole characters only; may be empty.</param>
/// <param name="FinishReason">Set on the last piece.</param>
/// <param name="Usage">Set on the last piece.</param>
public sealed record Chunk(string Text, FinishReason? FinishReason = null, Usage? Usage = null);

/// <summary>A language model on this computer's processor: load it, ask it, stream the answer. Safe for use by many threads.</summary>
public sealed class LanguageModel : IDisposable
{
    private LanguageModel()
    {
    }

    /// <summary>One line each: what was assumed or repaired at load.</summary>
    public IReadOnlyList<string> Warnings => throw new NotSupportedException();

    /// <summary>Loads a model file.</summary>
    /// <param name="path">A GGUF file (of a split one, the first part).</param>
    /// <param name="options">How to load it.</param>
    /// <exception cref="TernException">Missing, malformed or unsupported file.</exception>
    public static LanguageModel Load(string path, LoadOptions? options = null) => throw new NotSupportedException();

    /// <summary>Continues a text.</summary>
    /// <param name="prompt">The text.</param>
    /// <param name="options">How to generate.</param>
    /// <param name="cancellationToken">Ends the request within one step.</param>
    public IAsyncEnumerable<Chunk> CompleteAsync(string prompt, GenerationOptions? options = null, CancellationToken cancellationToken = default) => throw new NotSupportedException();

    /// <summary>Answers a chat, with the model's own template.</summary>
    /// <param name="messages">The chat so far.</param>
    /// <param name="options">How to generate.</param>
    /// <param name="cancellationToken">Ends the request within one step.</param>
    public IAsyncEnumerable<Chunk> ChatAsync(IReadOnlyList<Message> messages, GenerationOptions? options = null, CancellationToken cancellationToken = default) => throw new NotSupportedException();

    /// <summary>The embedding of a text, L2 normalised. Only embedding models have one.</summary>
    /// <param name="text">The text.</param>
    /// <param name="cancellationToken">Ends the request within one step.</param>
    public Task<float[]> EmbedAsync(string text, CancellationToken cancellationToken = default) => throw new NotSupportedException();

    /// <summary>Token ids of a text.</summary>
    /// <param name="text">The text.</param>
    /// <param name="addSpecial">Add begin and end tokens where the model wants them.</param>
    public IReadOnlyList<int> Tokenize(string text, bool addSpecial = true) => throw new NotSupportedException();

    /// <summary>Text of token ids.</summary>
    /// <param name="tokens">Ids.</param>
    public string Detokenize(IReadOnlyList<int> tokens) => throw new NotSupportedException();

    /// <inheritdoc/>
    public void Dispose()
    {
    }
}
