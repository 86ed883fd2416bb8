using System.Runtime.CompilerServices;
using System.Security.Cryptography;
using System.Threading.Channels;
using Tern.Generation.Sampling;
using Tern.Models;

namespace Tern.Generation;

/// <summary>A forward pass: reads a batch, writes [batch.LogitRowCount, width] numbers. <see cref="Transformer.Forward"/> is one.</summary>
internal delegate void ForwardStep(Batch batch, Span<float> output);

/// <summary>The sizes of an engine; all its memory follows from them.</summary>
internal sealed record EngineLimits
{
    /// <summary>Most tokens of a prompt and its answer.</summary>
    public required int ContextLength { get; init; }

    /// <summary>Pages of the KV cache; at least those of one whole context.</summary>
    public required int Pages { get; init; }

    /// <summary>Most requests that take part in a step.</summary>
    public required int ParallelRequests { get; init; }

    /// <summary>Most requests that wait.</summary>
    public required int QueuedRequests { get; init; }

    /// <summary>Most tokens in a step; at least <see cref="ParallelRequests"/>.</summary>
    public required int BatchTokens { get; init; }

    /// <summary>Numbers per row of output: the vocabulary's size, or an embedding model's hidden size.</summary>
    public required int OutputWidth { get; init; }
}

/// <summary>
/// Runs many requests on one model. One thread does it all, step by step; callers only leave requests in a bounded queue and read what
/// the thread publishes:
/// <code>
/// callers ──queue──► drain → plan → forward → sample → match stops → publish ──► readers (text)
///                      ▲___________________ one step ________________________│
/// </code>
/// Cancellation is looked at once per step. After a request was made, a token of it allocates nothing on this thread.
/// </summary>
internal sealed class Engine : IDisposable
{
    private readonly ForwardStep _forward;
    private readonly TokenTable _vocabulary;
    private readonly EngineLimits _limits;
    private readonly int _requestsMax;
    private readonly Channel<Request> _submitted;
    private readonly PageAllocator _pages;
    private readonly List<Sequence> _waiting, _running; // oldest first
    private readonly Plan _plan;
    private readonly Batch _batch;
    private readonly float[] _output; // [ParallelRequests, OutputWidth]
    private readonly Candidates _candidates;
    private readonly Thread _thread;

    private volatile TernException? _fault;
    private volatile bool _stopping;
    private int _inFlight;
    private long _steps, _promptTokens, _cachedTokens, _generatedTokens, _preemptions, _finished, _allocatedBytes;

    /// <summary>Allocates everything and starts the thread.</summary>
    public Engine(ForwardStep forward, TokenTable vocabulary, EngineLimits limits)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(limits.Pages, Sequence.PagesFor(limits.ContextLength));
        ArgumentOutOfRangeException.ThrowIfLessThan(limits.BatchTokens, limits.ParallelRequests);
        (_forward, _vocabulary, _limits) = (forward, vocabulary, limits);
        _requestsMax = limits.ParallelRequests + limits.QueuedRequests;
        _submitted = Channel.CreateBounded<Request>(new BoundedChannelOptions(_requestsMax) { SingleReader = true });
        _pages = new PageAllocator(limits.Pages);
        _waiting = new List<Sequence>(_requestsMax);
        _running = new List<Sequence>(limits.ParallelRequests);
        _plan = new Plan(limits.ParallelRequests);
        _batch = new Batch(limits.BatchTokens, limits.ParallelRequests);
        _output = new float[limits.ParallelRequests * limits.OutputWidth];
        _candidates = new Candidates(vocabulary.Size);
        _thread = new Thread(Run) { IsBackground = true, Name = "Tern engine" };
        _thread.Start();
    }

    /// <summary>What was done, and what is held now.</summary>
    public EngineStatistics Statistics => new()
    {
        Running = _running.Count,
        Waiting = Math.Max(0, Volatile.Read(ref _inFlight) - _running.Count),
        Finished = Interlocked.Read(ref _finished),
        Steps = Interlocked.Read(ref _steps),
        PromptTokens = Interlocked.Read(ref _promptTokens),
        CachedTokens = Interlocked.Read(ref _cachedTokens),
        GeneratedTokens = Interlocked.Read(ref _generatedTokens),
        Preemptions = Interlocked.Read(ref _preemptions),
        Pages = _pages.PageCount,
        PagesUsed = _pages.UsedCount,
        AllocatedBytes = Interlocked.Read(ref _allocatedBytes),
    };

    /// <summary>Asks for text. The request is made when the answer is enumerated.</summary>
    /// <param name="prompt">Token ids.</param>
    /// <param name="options">Validated options.</param>
    /// <param name="cancellation">Ends the request within one step.</param>
    /// <exception cref="TernException">The prompt does not fit, too many requests wait, or the engine stopped.</exception>
    public async IAsyncEnumerable<Chunk> GenerateAsync(
        int[] prompt,
        GenerationOptions options,
        [EnumeratorCancellation] CancellationToken cancellation)
    {
        CheckPrompt(prompt, room: 1);
        int generatedMax = _limits.ContextLength - prompt.Length;
        if (options.MaxTokens > 0)
            generatedMax = Math.Min(generatedMax, options.MaxTokens);
        ulong seed = options.Seed ?? BitConverter.ToUInt64(RandomNumberGenerator.GetBytes(sizeof(ulong)));
        var sampler = Sampler.From(options, seed, _vocabulary, _limits.ContextLength);
        var request = Request.ForText(prompt, generatedMax, sampler, options, cancellation);
        Submit(request);
        await foreach (Chunk chunk in request.ReadAsync(_vocabulary.Bytes, Fault))
            yield return chunk;
    }

    /// <summary>Asks for the L2 normalised last hidden state of a text.</summary>
    /// <param name="text">Token ids.</param>
    /// <param name="cancellation">Ends the request within one step.</param>
    /// <exception cref="TernException">The text does not fit, too many requests wait, or the engine stopped.</exception>
    public Task<float[]> EmbedAsync(int[] text, CancellationToken cancellation)
    {
        CheckPrompt(text, room: 0);
        var request = Request.ForEmbedding(text, _limits.OutputWidth, cancellation);
        Submit(request);
        return request.ReadEmbeddingAsync(Fault);
    }

    /// <summary>Ends all requests and the thread.</summary>
    public void Dispose()
    {
        _stopping = true;
        _submitted.Writer.TryComplete();
        _thread.Join();
    }

    private void CheckPrompt(int[] prompt, int room)
    {
        if (prompt.Length == 0)
            throw new TernException(ErrorKind.Request, "the prompt is empty, and the model has no token that begins a text");
        if (prompt.Length > _limits.ContextLength - room)
        {
            string answer = room > 0 ? " and the answer needs at least one of them" : "";
            throw new TernException(
                ErrorKind.Request,
                $"the prompt has {prompt.Length} tokens, but the context has {_limits.ContextLength}{answer}; shorten the prompt or load with a larger context (ContextLength, --context)");
        }

        foreach (int id in prompt)
            if (id < 0 || id >= _vocabulary.Size)
                throw new TernException(ErrorKind.Request, $"the prompt holds token {id}, must be in [0, {_vocabulary.Size - 1}]");
    }

    private void Submit(Request request)
    {
        if (Interlocked.Increment(ref _inFlight) > _requestsMax)
        {
            Interlocked.Decrement(ref _inFlight);
            throw new TernException(
                ErrorKind.Limit,
                $"{_limits.QueuedRequests} requests wait and {_limits.ParallelRequests} run already; try again later, or load with a larger QueuedRequests");
        }

        if (_submitted.Writer.TryWrite(request))
            return;

        Interlocked.Decrement(ref _inFlight);
        throw Fault();
    }

    private TernException Fault() => _fault ?? new TernException(ErrorKind.Engine, "the model was disposed before the answer was complete");

    private void Run()
    {
        try
        {
            while (Drain())
            {
                Step();
                Interlocked.Exchange(ref _allocatedBytes, GC.GetAllocatedBytesForCurrentThread());
            }
        }
        catch (Exception e)
        {
            // Whatever it was, the state of the pass is unknown now; readers get the reason instead of waiting for ever.
            _fault = new TernException(ErrorKind.Engine, $"the engine stopped after an internal error ({e.GetType().Name}: {e.Message}); load the model again", e);
        }

        _submitted.Writer.TryComplete();
        while (_submitted.Reader.TryRead(out Request? request))
            _waiting.Add(request);
        while (_waiting.Count > 0)
            Finish((Request)_waiting[^1], Outcome.Failed);
        while (_running.Count > 0)
            Finish((Request)_running[^1], Outcome.Failed);
    }

    /// <summary>Takes in what was submitted, and sleeps while there is nothing to do; false when the engine is to stop.</summary>
    private bool Drain()
    {
        while (!_stopping)
        {
            while (_submitted.Reader.TryRead(out Request? request))
                _waiting.Add(request);
            if (_waiting.Count + _running.Count > 0)
                return true;
            if (!_submitted.Reader.WaitToReadAsync().AsTask().GetAwaiter().GetResult())
                return false;
        }

        return false;
    }

    private void Step()
    {
        DropCancelled(_waiting);
        DropCancelled(_running);
        if (_waiting.Count + _running.Count == 0)
            return;

        Scheduler.Plan(_waiting, _running, _limits.ParallelRequests, _pages, _limits.BatchTokens, _plan);
        Interlocked.Add(ref _preemptions, _plan.Preemptions);
        if (_plan.SliceCount == 0)
            throw new InvalidOperationException("the scheduler found nothing to do although requests are there");

        _batch.Clear();
        foreach ((Sequence sequence, int count) in _plan.Slices)
        {
            LogitRows wants = count == sequence.Pending ? LogitRows.Last : LogitRows.None;
            LogitDemand? demand = wants == LogitRows.Last ? ((Request)sequence).Sampler?.Demand(sequence.Tokens.AsSpan(0, sequence.Count)) : null;
            _batch.Add(sequence.Pages, sequence.Computed, sequence.Tokens.AsSpan(sequence.Computed, count), wants, demand);
        }

        _forward(_batch, _output.AsSpan(0, _batch.LogitRowCount * _limits.OutputWidth));
        Interlocked.Increment(ref _steps);

        int row = 0;
        foreach ((Sequence sequence, int count) in _plan.Slices)
        {
            if (!sequence.Started)
                Interlocked.Add(ref _cachedTokens, sequence.CachedAtStart);
            Interlocked.Add(ref _promptTokens, Math.Clamp(sequence.PromptCount - sequence.Computed, 0, count));
            sequence.Advance(_pages, count);
            if (sequence.Pending == 0)
                Deliver((Request)sequence, _output.AsSpan(row++ * _limits.OutputWidth, _limits.OutputWidth));
        }
    }

    private void DropCancelled(List<Sequence> sequences)
    {
        for (int i = sequences.Count - 1; i >= 0; i--)
            if (((Request)sequences[i]).IsCancelled)
                Finish((Request)sequences[i], Outcome.Cancelled);
    }

    /// <summary>Turns a row of output into the next token, or the embedding.</summary>
    private void Deliver(Request request, ReadOnlySpan<float> row)
    {
        if (request.Sampler is not { } sampler)
        {
            Normalize(row, request.Embedding);
            Finish(request, Outcome.Stop);
            return;
        }

        int id = sampler.Next(row, request.Tokens.AsSpan(0, request.Count), _candidates);
        request.CountToken();
        Interlocked.Increment(ref _generatedTokens);
        if (!request.IgnoreEos && _vocabulary.StopIds.Contains(id))
        {
            request.Stop.Finish();
            Finish(request, Outcome.Stop);
            return;
        }

        request.Append(id);
        if (request.Stop.Append(_vocabulary.Bytes(id)))
        {
            Finish(request, Outcome.Stop);
        }
        else if (request.Generated == request.GeneratedMax)
        {
            request.Stop.Finish();
            Finish(request, Outcome.Length);
        }
        else
        {
            request.Answer.Publish(new Progress(request.Count - request.PromptCount, request.Stop.Released, Outcome.Running));
        }
    }

    private void Finish(Request request, Outcome outcome)
    {
        if (!_running.Remove(request))
            _waiting.Remove(request);
        request.Release(_pages);
        Interlocked.Increment(ref _finished);
        Interlocked.Decrement(ref _inFlight);
        request.Answer.Publish(new Progress(request.Count - request.PromptCount, request.Stop.Released, outcome));
    }

    /// <summary>y = x / |x|; all zeros stay zeros.</summary>
    private static void Normalize(ReadOnlySpan<float> x, Span<float> y)
    {
        double squares = 0;
        foreach (float value in x)
            squares += (double)value * value;
        double scale = squares > 0 ? 1 / Math.Sqrt(squares) : 0;
        for (int i = 0; i < x.Length; i++)
            y[i] = (float)(x[i] * scale);
    }
}
