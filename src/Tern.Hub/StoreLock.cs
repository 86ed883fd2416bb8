namespace Tern.Hub;

/// <summary>
/// Locks between processes: open handles on files that stay, so that a lock dies with the process that held it. Handles of
/// <see cref="FileShare.Read"/> stand beside each other, one of <see cref="FileShare.None"/> stands alone.
/// </summary>
internal static class StoreLock
{
    private const int SharingViolation = unchecked((int)0x80070020); // Windows
    private static readonly int[] s_wouldBlock = [11, 35]; // EAGAIN on Linux and on macOS, from flock

    private static readonly TimeSpan s_poll = TimeSpan.FromMilliseconds(20);

    /// <summary>The lock, or null when somebody else has it.</summary>
    public static FileStream? TryTake(string path, bool shared)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        try
        {
            return shared
                ? new FileStream(path, FileMode.OpenOrCreate, FileAccess.Read, FileShare.Read)
                : new FileStream(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
        }
        catch (IOException e) when (IsTaken(e))
        {
            return null;
        }
    }

    /// <summary>The lock, as soon as it is free.</summary>
    public static FileStream Take(string path, bool shared, CancellationToken cancellation)
    {
        while (true)
        {
            if (TryTake(path, shared) is { } taken)
                return taken;
            cancellation.WaitHandle.WaitOne(s_poll);
            cancellation.ThrowIfCancellationRequested();
        }
    }

    /// <summary>Whether opening failed because somebody else has the file.</summary>
    public static bool IsTaken(IOException e) =>
        OperatingSystem.IsWindows() ? e.HResult == SharingViolation : s_wouldBlock.Contains(e.HResult);
}
