using Tern.Files;

namespace Tern.Conversion.HuggingFace;

/// <summary>
/// Writes a folder so that its name never stands for half of it:
/// <code>
/// write NAME.tern-partial/…, each file flushed → rename to NAME → flush the folder above
/// </code>
/// No system renames over a folder that is not empty. On Linux the new folder and the one to be replaced exchange their names in one step, and
/// the old one is deleted as NAME.tern-partial. Where that cannot be done the old one steps aside to NAME.tern-replaced first: a process that dies
/// between those two renames leaves no NAME, and never a wrong one. NAME.tern-lock keeps a second writer of the same folder away.
/// </summary>
internal static class AtomicFolder
{
    private const string PartialSuffix = ".tern-partial", ReplacedSuffix = ".tern-replaced", LockSuffix = ".tern-lock";

    /// <summary>Writes a folder.</summary>
    /// <param name="folder">The final name; a folder that is there is replaced.</param>
    /// <param name="write">Writes the files into the folder that it is given.</param>
    /// <exception cref="TernException">The disk is full, or the folder above missing or not writable; no trace of the new folder is left.</exception>
    public static void Write(string folder, Action<string> write)
    {
        folder = Path.TrimEndingDirectorySeparator(Path.GetFullPath(folder));
        string partial = folder + PartialSuffix, locked = folder + LockSuffix;
        FileStream? gate = null;
        try
        {
            gate = new FileStream(locked, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None, bufferSize: 1, FileOptions.DeleteOnClose);
            UnfinishedOutput.Add(locked);
            UnfinishedOutput.Add(partial);
            if (Directory.Exists(partial))
                Directory.Delete(partial, recursive: true);
            Directory.CreateDirectory(partial);
            write(partial);
            Publish(partial, folder);
        }
        catch (Exception e)
        {
            if (gate is not null)
                Remove(partial);
            if (e is IOException or UnauthorizedAccessException)
                throw FileError.Whole(ErrorKind.File, folder, "folder", $"cannot be written: {e.Message}", "check the folder above, its permissions and the free space", e);
            throw;
        }
        finally
        {
            if (gate is not null)
            {
                gate.Dispose();
                UnfinishedOutput.Remove(partial);
                UnfinishedOutput.Remove(locked);
            }
        }
    }

    private static void Publish(string partial, string folder)
    {
        string above = Path.GetDirectoryName(folder)!;
        AtomicFile.FlushFolder(partial);
        if (Directory.Exists(folder) && AtomicFile.TryExchange(partial, folder))
        {
            AtomicFile.FlushFolder(above);
            Remove(partial);
            return;
        }

        string replaced = folder + ReplacedSuffix;
        if (Directory.Exists(folder))
        {
            Remove(replaced);
            Directory.Move(folder, replaced);
        }

        Directory.Move(partial, folder);
        AtomicFile.FlushFolder(above);
        Remove(replaced);
    }

    private static void Remove(string folder)
    {
        try
        {
            if (Directory.Exists(folder))
                Directory.Delete(folder, recursive: true);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // What remains has no name that anybody opens, and the next writer takes it over.
        }
    }
}
