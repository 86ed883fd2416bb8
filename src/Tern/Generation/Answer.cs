using System.Threading.Tasks.Sources;

namespace Tern.Generation;

/// <summary>How far a request is.</summary>
internal enum Outcome
{
    /// <summary>It goes on.</summary>
    Running,

    /// <summary>The model ended its turn, or a stop string appeared; an embedding is complete.</summary>
    Stop,

    /// <summary>Its limit of tokens was reached.</summary>
    Length,

    /// <summary>The caller cancelled it, or stopped reading.</summary>
    Cancelled,

    /// <summary>The engine stopped.</summary>
    Failed,
}

/// <summary>What the engine has published of an answer.</summary>
/// <param name="Tokens">Tokens of the answer that can be read.</param>
/// <param name="Bytes">Bytes of their text that can be read: the rest may become a stop string, or is one.</param>
/// <param name="Outcome">Whether more will come.</param>
internal readonly record struct Progress(int Tokens, long Bytes, Outcome Outcome);

/// <summary>
/// Where the engine's thread and the one reader of a request meet. The engine writes three numbers and, when the reader waits, wakes it
/// on another thread; it never waits and allocates nothing. There is no queue to fill: the tokens stand in the sequence.
/// </summary>
internal sealed class Answer : IValueTaskSource
{
    private readonly Lock _gate = new();
    private ManualResetValueTaskSourceCore<bool> _wake = new() { RunContinuationsAsynchronously = true };
    private Progress _progress;
    private bool _waiting;

    /// <summary>What was published last.</summary>
    public Progress Progress
    {
        get
        {
            lock (_gate)
                return _progress;
        }
    }

    /// <summary>Engine's side: says how far the answer is.</summary>
    public void Publish(Progress progress)
    {
        bool wake;
        lock (_gate)
        {
            _progress = progress;
            (wake, _waiting) = (_waiting, false);
        }

        if (wake)
            _wake.SetResult(true);
    }

    /// <summary>Reader's side: completes when there are more than <paramref name="tokensSeen"/> tokens or the answer ended.</summary>
    public ValueTask WaitAsync(int tokensSeen)
    {
        lock (_gate)
        {
            if (_progress.Tokens > tokensSeen || _progress.Outcome != Outcome.Running)
                return ValueTask.CompletedTask;
            _wake.Reset();
            _waiting = true;
            return new ValueTask(this, _wake.Version);
        }
    }

    void IValueTaskSource.GetResult(short token) => _wake.GetResult(token);

    ValueTaskSourceStatus IValueTaskSource.GetStatus(short token) => _wake.GetStatus(token);

    void IValueTaskSource.OnCompleted(Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags) =>
        _wake.OnCompleted(continuation, state, token, flags);
}
