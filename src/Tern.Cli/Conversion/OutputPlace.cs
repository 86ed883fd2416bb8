using System.Globalization;
using Tern.Cli.Terminal;

namespace Tern.Cli.Conversion;

/// <summary>Looks at the place where something large will be written before the work begins.</summary>
internal static class OutputPlace
{
    private const double GB = 1e9;

    /// <summary>Refuses a name that is taken, unless told otherwise, and a folder that does not exist.</summary>
    /// <exception cref="TernException">The output is there already, or cannot be.</exception>
    public static void Check(string path, bool force)
    {
        string folder = Path.GetDirectoryName(Path.GetFullPath(path))!;
        if (!Directory.Exists(folder))
            throw new TernException(ErrorKind.File, $"{folder}: the folder does not exist; make it first");
        if (Directory.Exists(path) && !force)
            throw new TernException(ErrorKind.Request, $"{path}: a folder of this name is there already; --force replaces it");
        if (File.Exists(path) && !force)
            throw new TernException(ErrorKind.Request, $"{path}: is there already; --force replaces it");
    }

    /// <summary>Refuses work whose result has no room on the disk.</summary>
    /// <exception cref="TernException">Not enough free space.</exception>
    public static void CheckSpace(string path, long bytes)
    {
        long free;
        try
        {
            free = new DriveInfo(Path.GetDirectoryName(Path.GetFullPath(path))!).AvailableFreeSpace;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException)
        {
            // Not every file system says; writing will.
            Messages.Warning($"{path}: the free space of its disk is not known ({e.Message})");
            return;
        }

        if (free < bytes)
            throw new TernException(ErrorKind.File, string.Create(CultureInfo.InvariantCulture, $"{path}: needs about {bytes / GB:0.00} GB, and {free / GB:0.00} GB are free: make room, or write to another disk"));
    }
}
