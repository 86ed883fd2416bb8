using System.Text;
using Tern.Files;

namespace Tern.Training.Reports;

/// <summary>
/// Writes what people look at while a run goes on. Another program may hold the file open, which forbids to replace it on some systems: that is worth
/// a line and not the run. A full disk is no such case, and ends it.
/// </summary>
internal static class ReportFile
{
    private const int NoSpaceLeft = 28; // ENOSPC on Linux and macOS
    private const int DiskFull = unchecked((int)0x80070070); // ERROR_DISK_FULL on Windows

    /// <summary>Writes a file, whole or not at all.</summary>
    /// <param name="path">The file.</param>
    /// <param name="text">What it is to hold.</param>
    /// <param name="note">Receives one line when the file that is there cannot be replaced.</param>
    /// <exception cref="TernException">The disk is full.</exception>
    public static void Write(string path, string text, Action<string> note)
    {
        try
        {
            AtomicFile.Write(path, stream => stream.Write(Encoding.UTF8.GetBytes(text)));
        }
        catch (TernException e) when (e.InnerException is UnauthorizedAccessException or IOException { HResult: not (NoSpaceLeft or DiskFull) })
        {
            note($"{e.Message}; the run goes on without it");
        }
    }
}
