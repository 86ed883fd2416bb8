using System.Buffers;
using System.Diagnostics;
using System.Text;
using Tern.Generation.Sampling;

namespace Tern.Generation;

/// <summary>
/// A sequence with what its caller asked for. The caller's thread makes it, with everything that generating will need; the engine's
/// thread generates; the caller's side turns the tokens into text.
/// </summary>
internal sealed class Request : Sequence
{
    private readonly long _submittedAt = Stopwatch.GetTimestamp();
    private readonly CancellationToken _cancellation;
    private long _firstTokenAt, _lastTokenAt;
    private volatile bool _abandoned;

    private Request(ReadOnlySpan<int> prompt, int generatedMax, Sampler? sampler, IReadOnlyList<string> stop, CancellationToken cancellation)
        : base(prompt, prompt.Length + generatedMax)
    {
        GeneratedMax = generatedMax;
        Sampler = sampler;
        Stop = new StopMatcher(stop);
        _cancellation = cancellation;
    }

    /// <summary>Chooses tokens; null when an embedding is asked for.</summary>
    public Sampler? Sampler { get; }

    public StopMatcher Stop { get; }

    public Answer Answer { get; } = new();

    /// <summary>Where the embedding goes; null when text is asked for.</summary>
    public float[]? Embedding { get; private init; }

    public bool IgnoreEos { get; private init; }

    public int GeneratedMax { get; }

    /// <summary>Tokens generated, the one that ended the answer included.</summary>
    public int Generated { get; private set; }

    /// <summary>Whether nobody wants the answer any more.</summary>
    public bool IsCancelled => _abandoned || _cancellation.IsCancellationRequested;

    /// <summary>A request for text.</summary>
    public static Request ForText(ReadOnlySpan<int> prompt, int generatedMax, Sampler sampler, GenerationOptions options, CancellationToken cancellation) =>
        new(prompt, generatedMax, sampler, options.Stop, cancellation) { IgnoreEos = options.IgnoreEos };

    /// <summary>A request for an embedding of <paramref name="width"/> numbers.</summary>
    public static Request ForEmbedding(ReadOnlySpan<int> text, int width, CancellationToken cancellation) =>
        new(text, 0, null, [], cancellation) { Embedding = new float[width] };

    /// <summary>Engine's side: notes that a token was generated.</summary>
    public void CountToken()
    {
        _lastTokenAt = Stopwatch.GetTimestamp();
        if (Generated++ == 0)
            _firstTokenAt = _lastTokenAt;
    }

    /// <summary>Reader's side: the answer, piece by piece. Leaving early cancels the request.</summary>
    /// <param name="bytes">What tokens stand for.</param>
    /// <param name="fault">Why the engine stopped, when it did.</param>
    /// <exception cref="OperationCanceledException">The request was cancelled.</exception>
    /// <exception cref="TernException">The engine stopped.</exception>
    public async IAsyncEnumerable<Chunk> ReadAsync(TokenBytes bytes, Func<TernException> fault)
    {
        var text = new TextAssembler();
        int seen = 0;
        try
        {
            while (true)
            {
                await Answer.WaitAsync(seen);
                Progress progress = Answer.Progress;
                for (; seen < progress.Tokens; seen++)
                    text.Append(bytes(Tokens[PromptCount + seen]));
                ThrowIfBroken(progress.Outcome, fault);
                bool ended = progress.Outcome != Outcome.Running;
                string piece = text.Take(progress.Bytes, ended);
                if (ended)
                {
                    yield return new Chunk(piece, progress.Outcome == Outcome.Stop ? FinishReason.Stop : FinishReason.Length, Usage());
                    yield break;
                }

                if (piece.Length > 0)
                    yield return new Chunk(piece);
            }
        }
        finally
        {
            _abandoned = true;
        }
    }

    /// <summary>Reader's side: the embedding.</summary>
    /// <param name="fault">Why the engine stopped, when it did.</param>
    /// <exception cref="OperationCanceledException">The request was cancelled.</exception>
    /// <exception cref="TernException">The engine stopped.</exception>
    public async Task<float[]> ReadEmbeddingAsync(Func<TernException> fault)
    {
        await Answer.WaitAsync(0);
        ThrowIfBroken(Answer.Progress.Outcome, fault);
        return Embedding!;
    }

    private void ThrowIfBroken(Outcome outcome, Func<TernException> fault)
    {
        if (outcome == Outcome.Cancelled)
            throw new OperationCanceledException(_cancellation);
        if (outcome == Outcome.Failed)
            throw fault();
    }

    private Usage Usage() => new(
        PromptCount,
        CachedAtStart,
        Generated,
        Stopwatch.GetElapsedTime(_submittedAt, _firstTokenAt),
        Stopwatch.GetElapsedTime(_firstTokenAt, _lastTokenAt));

    /// <summary>Bytes of tokens to text: what is released and makes whole characters.</summary>
    private sealed class TextAssembler
    {
        private readonly ArrayBufferWriter<byte> _bytes = new();
        private readonly Decoder _decoder = Encoding.UTF8.GetDecoder();
        private int _taken;

        public void Append(ReadOnlySpan<byte> bytes) => _bytes.Write(bytes);

        /// <summary>The text between the last call and the first <paramref name="released"/> bytes; at the end, incomplete characters as U+FFFD.</summary>
        public string Take(long released, bool ended)
        {
            ReadOnlySpan<byte> next = _bytes.WrittenSpan[_taken..checked((int)released)];
            _taken += next.Length;
            Span<char> characters = new char[_decoder.GetCharCount(next, ended)];
            int count = _decoder.GetChars(next, characters, ended);
            return new string(characters[..count]);
        }
    }
}
