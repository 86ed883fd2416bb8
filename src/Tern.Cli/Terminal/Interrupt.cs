using System.Runtime.InteropServices;
using Tern.Files;

namespace Tern.Cli.Terminal;

/// <summary>
/// Ctrl+C, and SIGTERM, by which a system asks a program to end. Work that looks at <see cref="Token"/> ends by itself; work that does not is cut off
/// after a moment, and a second signal does not wait at all. Either way nothing half written stays behind. A conversation takes Ctrl+C for itself while
/// it answers, and training takes both to save what it has.
/// </summary>
internal sealed class Interrupt : IDisposable
{
    private static readonly TimeSpan s_patience = TimeSpan.FromMilliseconds(500);

    private readonly CancellationTokenSource _source = new();
    private readonly PosixSignalRegistration[] _registrations;
    private volatile Func<PosixSignal, bool>? _handler;
    private volatile int _code = ExitCode.Interrupted;

    public Interrupt() => _registrations = [PosixSignalRegistration.Create(PosixSignal.SIGINT, OnSignal), PosixSignalRegistration.Create(PosixSignal.SIGTERM, OnSignal)];

    public CancellationToken Token => _source.Token;

    /// <summary>What the process returns when it ends because of a signal: by the last one that came.</summary>
    public int Code => _code;

    /// <summary>Until null is set again, signals go to this handler first; the program goes on when it returns true.</summary>
    public void Handle(Func<PosixSignal, bool>? handler) => _handler = handler;

    public void Dispose()
    {
        foreach (PosixSignalRegistration registration in _registrations)
            registration.Dispose();
        _source.Dispose();
    }

    private void OnSignal(PosixSignalContext context)
    {
        context.Cancel = true;
        _code = context.Signal == PosixSignal.SIGTERM ? ExitCode.Terminated : ExitCode.Interrupted;
        if (_handler is { } handler && handler(context.Signal))
            return;

        if (_source.IsCancellationRequested)
            Exit();

        _source.Cancel();
        _ = Task.Delay(s_patience).ContinueWith(_ => Exit(), TaskScheduler.Default);
    }

    private void Exit()
    {
        // A progress display that is cut off leaves the cursor hidden.
        if (Screen.ErrorIsRich)
            Screen.Error.Cursor.Show(true);
        UnfinishedOutput.DeleteAll();
        Environment.Exit(Code);
    }
}
