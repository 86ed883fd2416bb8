using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Tern.Files;

/// <summary>
/// Writes a file so that its name never stands for half of it: everything goes to <c>name.tern-partial</c> in the same folder, is
/// flushed to the disk, and only then renamed.
/// <code>
/// write name.tern-partial → fsync file → rename to name → fsync folder
/// </code>
/// A process that dies before the rename leaves the old file, if there was one, and a partial file that does not end in the name of any
/// format; the next write of the same name takes the partial file over. The partial file is locked, so two writers of one name do not mix.
/// </summary>
internal static partial class AtomicFile
{
    private const string PartialSuffix = ".tern-partial";
    private const int InputOutputError = 5; // EIO on Linux and macOS
    private const int InvalidArgument = 22, ReadOnlyFileSystem = 30, NotSupported = 95; // on Linux
    private const int CurrentFolder = -100; // AT_FDCWD on Linux: paths that do not begin with / are below the current folder
    private const uint ExchangeFlag = 2; // RENAME_EXCHANGE

    /// <summary>Writes a file.</summary>
    /// <param name="path">The final name; a file that is there is replaced, and whoever has it mapped keeps the old bytes.</param>
    /// <param name="write">Writes the contents, front to back.</param>
    /// <exception cref="TernException">The disk is full, the folder missing or not writable; no trace of the new file is left.</exception>
    public static void Write(string path, Action<FileStream> write)
    {
        string partial = path + PartialSuffix;
        FileStream? stream = null;
        try
        {
            stream = new FileStream(partial, FileMode.Create, FileAccess.Write, FileShare.None, bufferSize: 1 << 20);
            UnfinishedOutput.Add(partial);
            write(stream);
            FlushToDisk(stream);

            // Renamed while still locked, so that no second writer can take the partial file over in between; Windows allows that only closed.
            if (OperatingSystem.IsWindows())
                stream.Dispose();
            File.Move(partial, path, overwrite: true);
            stream.Dispose();
            FlushFolder(Path.GetDirectoryName(Path.GetFullPath(path))!);
        }
        catch (Exception e)
        {
            if (stream is not null)
                Abandon(stream, partial);
            if (e is IOException or UnauthorizedAccessException or ArgumentException { ParamName: "path" })
                throw FileError.Whole(ErrorKind.File, path, "file", $"cannot be written: {e.Message}", "check the folder, its permissions and the free space", e);
            throw;
        }
        finally
        {
            if (stream is not null)
                UnfinishedOutput.Remove(partial);
        }
    }

    private static void Abandon(FileStream stream, string partial)
    {
        // Deleted while still locked where that is possible. Closing flushes what is buffered, which on a full disk fails once more; the
        // first error is the one to report.
        if (!OperatingSystem.IsWindows())
            Try(() => File.Delete(partial));
        Try(stream.Dispose);
        if (OperatingSystem.IsWindows())
            Try(() => File.Delete(partial));

        static void Try(Action action)
        {
            try
            {
                action();
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
            }
        }
    }

    /// <summary>Flushes what was written, and the file to the disk.</summary>
    /// <exception cref="IOException">The disk is full or broken.</exception>
    internal static void FlushToDisk(FileStream stream)
    {
        stream.Flush();
        FlushToDisk(stream.SafeFileHandle);
    }

    /// <summary>
    /// Flushes a file to the disk, and fails where the disk does. The methods of .NET keep a failure of fsync to themselves on Linux, after which a file
    /// would take its name whose bytes were never written.
    /// </summary>
    /// <exception cref="IOException">The disk is full or broken.</exception>
    internal static void FlushToDisk(SafeFileHandle file)
    {
        if (!OperatingSystem.IsLinux())
        {
            RandomAccess.FlushToDisk(file);
            return;
        }

        if (Flush(file) == 0)
            return;

        // Not everything that can be written can be flushed, such as a pipe.
        int error = Marshal.GetLastPInvokeError();
        if (error is not (InvalidArgument or ReadOnlyFileSystem or NotSupported))
            throw new IOException($"it could not be flushed to the disk: {Marshal.GetPInvokeErrorMessage(error)}");
    }

    /// <summary>Makes the rename durable where the system can: a folder is a file there. Not all file systems take it, which is no error.</summary>
    internal static void FlushFolder(string folder)
    {
        if (!OperatingSystem.IsLinux() && !OperatingSystem.IsMacOS())
            return;
        int descriptor = OpenFolder(folder, flags: 0);
        if (descriptor < 0)
            return;
        bool failed = Flush(descriptor) != 0 && Marshal.GetLastPInvokeError() == InputOutputError;
        _ = Close(descriptor);
        if (failed)
            throw new IOException($"the folder {folder} could not be flushed to the disk");
    }

    /// <summary>Gives two files or folders each other's names in one step. False where the system or the file system cannot.</summary>
    internal static bool TryExchange(string one, string other)
    {
        if (!OperatingSystem.IsLinux())
            return false;
        try
        {
            return RenameExchange(CurrentFolder, one, CurrentFolder, other, ExchangeFlag) == 0;
        }
        catch (EntryPointNotFoundException)
        {
            // A C library older than the call.
            return false;
        }
    }

    [LibraryImport("libc", EntryPoint = "renameat2", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int RenameExchange(int oldFolder, string oldPath, int newFolder, string newPath, uint flags);

    [LibraryImport("libc", EntryPoint = "open", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int OpenFolder(string path, int flags);

    [LibraryImport("libc", EntryPoint = "fsync", SetLastError = true)]
    private static partial int Flush(int descriptor);

    [LibraryImport("libc", EntryPoint = "fsync", SetLastError = true)]
    private static partial int Flush(SafeFileHandle file);

    [LibraryImport("libc", EntryPoint = "close")]
    private static partial int Close(int descriptor);
}
