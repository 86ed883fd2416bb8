using System.Runtime.InteropServices;
using Tern.Files;

namespace Tern.Cli.Terminal;

/// <summary>
/// Ctrl+C. Work that looks at <see cref="Token"/> ends by itself; work that does not is cut off after a moment, and a second Ctrl+C does not
/// wait at all. Either way nothing half written stays behind. A conversation takes the signal for itself while it answers.
/// </summary>
internal sealed class Interrupt : IDisposable
{
    private static readonly TimeSpan s_patience = TimeSpan.FromMilliseconds(500);

    private readonly CancellationTokenSource _source = new();
    private readonly PosixSignalRegistration _registration;
    private volatile Func<bool>? _handler;

    public Interrupt() => _registration = PosixSignalRegistration.Create(PosixSignal.SIGINT, OnSignal);

    public CancellationToken Token => _source.Token;

    /// <summary>Until null is set again, signals go to this handler first; the program goes on when it returns true.</summary>
    public void Handle(Func<bool>? handler) => _handler = handler;

    public void Dispose()
    {
        _registration.Dispose();
        _source.Dispose();
    }

    private void OnSignal(PosixSignalContext context)
    {
        context.Cancel = true;
        if (_handler is { } handler && handler())
            return;

        if (_source.IsCancellationRequested)
            Exit();

        _source.Cancel();
        _ = Task.Delay(s_patience).ContinueWith(_ => Exit(), TaskScheduler.Default);
    }

    private static void Exit()
    {
        // A progress display that is cut off leaves the cursor hidden.
        if (Screen.ErrorIsRich)
            Screen.Error.Cursor.Show(true);
        UnfinishedOutput.DeleteAll();
        Environment.Exit(ExitCode.Interrupted);
    }
}
