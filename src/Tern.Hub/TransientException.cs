namespace Tern.Hub;

/// <summary>Something that may go well the next time: a cut connection, a busy server. It never leaves this assembly.</summary>
internal sealed class TransientException(string message, TimeSpan? retryAfter = null, Exception? inner = null) : Exception(message, inner)
{
    /// <summary>How long the server asks us to wait; null leaves it to the backoff.</summary>
    public TimeSpan? RetryAfter { get; } = retryAfter;
}
