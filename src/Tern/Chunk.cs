namespace Tern;

/// <summary>Why an answer ended.</summary>
public enum FinishReason
{
    /// <summary>The model ended its turn, or a stop string appeared.</summary>
    Stop,

    /// <summary>The token limit or the end of the context was reached.</summary>
    Length,
}

/// <summary>Counts and times of one request.</summary>
/// <param name="PromptTokens">Tokens of the prompt.</param>
/// <param name="CachedTokens">Those of them that were found in the cache.</param>
/// <param name="GeneratedTokens">Tokens generated, the one that ended the answer included.</param>
/// <param name="PromptTime">From submission to the first token; waiting for a turn is part of it.</param>
/// <param name="GenerationTime">From the first token to the last.</param>
public sealed record Usage(int PromptTokens, int CachedTokens, int GeneratedTokens, TimeSpan PromptTime, TimeSpan GenerationTime);

/// <summary>A piece of an answer while it is made; the last one carries the reason and the usage.</summary>
/// <param name="Text">New text, whole characters only; may be empty.</param>
/// <param name="FinishReason">Set on the last piece.</param>
/// <param name="Usage">Set on the last piece.</param>
public sealed record Chunk(string Text, FinishReason? FinishReason = null, Usage? Usage = null);
