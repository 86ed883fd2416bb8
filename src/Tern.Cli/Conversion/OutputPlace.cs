using Tern.Cli.Terminal;

namespace Tern.Cli.Conversion;

/// <summary>Looks at the place where something large will be written before the work begins.</summary>
internal static class OutputPlace
{
    /// <summary>Refuses a file name that is taken, unless told otherwise, a device, a folder, and a place in a folder that does not exist.</summary>
    /// <exception cref="TernException">The output is there already, or cannot be.</exception>
    public static void CheckFile(string path, bool force)
    {
        CheckAbove(path);
        if (Directory.Exists(path))
            throw new TernException(ErrorKind.Request, $"{path}: is a folder, and one file will be written; name a file in it");
        if (!File.Exists(path))
            return;
        if (Path.GetDirectoryName(Path.GetFullPath(path)) == "/dev")
            throw new TernException(ErrorKind.Request, $"{path}: is a device, which a file cannot replace; name a file");
        if (!force)
            throw new TernException(ErrorKind.Request, $"{path}: is there already; --force replaces it");
    }

    /// <summary>Refuses a folder name that is taken, unless told otherwise, and never gives leave to replace what is no checkpoint.</summary>
    /// <exception cref="TernException">The output is there already, or cannot be.</exception>
    public static void CheckFolder(string path, bool force)
    {
        CheckAbove(path);
        if (File.Exists(path))
            throw new TernException(ErrorKind.Request, $"{path}: is a file, and a folder will be written; choose another name");
        if (!Directory.Exists(path))
            return;
        if (!force)
            throw new TernException(ErrorKind.Request, $"{path}: a folder of this name is there already; --force replaces it");
        if (!File.Exists(Path.Combine(path, "config.json")) && Directory.EnumerateFileSystemEntries(path).Any())
            throw new TernException(ErrorKind.Request, $"{path}: is a folder, but not one of a checkpoint, and is not replaced; choose another name");
    }

    private static void CheckAbove(string path)
    {
        if (path.Length == 0)
            throw new TernException(ErrorKind.Request, "the name of the output is empty; name a file or folder");
        string folder = Path.GetDirectoryName(Path.TrimEndingDirectorySeparator(Path.GetFullPath(path)))
            ?? throw new TernException(ErrorKind.Request, $"{path}: is the root of a disk; name a file or folder in it");
        if (!Directory.Exists(folder))
            throw new TernException(ErrorKind.File, $"{folder}: the folder does not exist; make it first");
    }

    /// <summary>Refuses work whose result has no room on the disk.</summary>
    /// <exception cref="TernException">Not enough free space.</exception>
    public static void CheckSpace(string path, long bytes)
    {
        long free;
        try
        {
            free = new DriveInfo(Path.GetDirectoryName(Path.TrimEndingDirectorySeparator(Path.GetFullPath(path)))!).AvailableFreeSpace;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException)
        {
            // Not every file system says; writing will.
            Messages.Warning($"{path}: the free space of its disk is not known ({e.Message})");
            return;
        }

        if (free < bytes)
            throw new TernException(ErrorKind.File, $"{path}: needs about {RecodingRun.Size(bytes)}, and {RecodingRun.Size(free)} are free: make room, or write to another disk");
    }
}
