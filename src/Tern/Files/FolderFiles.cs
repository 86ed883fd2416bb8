namespace Tern.Files;

/// <summary>
/// Which files of a folder may be opened in its name. A checkpoint from a stranger is a folder; a symbolic link in it could lead anywhere.
/// Links are followed where their true target lies in the folder itself, or in the store that the folder is a view of:
/// <code>
/// models--owner--name/                     store/
///     blobs/SHA…            ← target           blobs/sha256-…       ← target
///     snapshots/COMMIT/     ← the folder       …/FOLDER/            ← the folder, any depth below the store
/// </code>
/// A store is the nearest folder above that has a folder <c>blobs</c>, no more than six levels up.
/// </summary>
internal static class FolderFiles
{
    private const int StoreLevelsMax = 6;
    private const int LinksMax = 40;

    /// <summary>The path of a file in a folder, or null when there is none of that name.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="name">A file's name, or its path from the folder on.</param>
    /// <exception cref="TernException">It is a link that leads out of the folder and its store.</exception>
    public static string? Find(string folder, string name)
    {
        string path = Path.Combine(folder, name);
        var file = new FileInfo(path);
        try
        {
            if (file.LinkTarget is null && (!file.Exists || Path.GetFileName(name) == name))
                return file.Exists ? path : null;
            string target = RealPath(path);
            string home = RealPath(folder);
            if (IsInside(target, home) || (BlobsOf(home) is { } blobs && IsInside(target, blobs)))
                return File.Exists(target) ? path : null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw FileError.Whole(ErrorKind.File, path, "link", $"cannot be followed: {e.Message}", "put the file itself in the folder", e);
        }

        throw FileError.At(ErrorKind.Format, path, 0, "link", $"leads to {FileError.Quote(file.LinkTarget ?? RealPath(path))}, out of the folder of the model", "put the file itself there; links may lead into the folder, or into the folder blobs of the store it belongs to");
    }

    private static bool IsInside(string path, string folder) =>
        path.StartsWith(folder.TrimEnd(Path.DirectorySeparatorChar) + Path.DirectorySeparatorChar, StringComparison.Ordinal);

    private static string? BlobsOf(string folder)
    {
        string? at = Path.GetDirectoryName(folder);
        for (int level = 0; at is not null && level < StoreLevelsMax; level++, at = Path.GetDirectoryName(at))
        {
            string blobs = Path.Combine(at, "blobs");
            if (new DirectoryInfo(blobs) is { Exists: true, LinkTarget: null })
                return blobs;
        }

        return null;
    }

    /// <summary>The path without any link in any of its parts.</summary>
    private static string RealPath(string path)
    {
        string root = Path.GetPathRoot(Path.GetFullPath(path))!;
        var rest = new Stack<string>(Parts(Path.GetFullPath(path)[root.Length..]).Reverse());
        string real = root;
        int links = 0;
        while (rest.TryPop(out string? part))
        {
            if (part is "." or "..")
            {
                real = part == "." ? real : Path.GetDirectoryName(real) ?? root;
                continue;
            }

            string next = Path.Combine(real, part);
            if (new FileInfo(next).LinkTarget is not { } target)
            {
                real = next;
                continue;
            }

            if (++links > LinksMax)
                throw new IOException("too many links");
            if (Path.IsPathRooted(target))
                real = Path.GetPathRoot(target)!;
            foreach (string linked in Parts(Path.IsPathRooted(target) ? target[real.Length..] : target).Reverse())
                rest.Push(linked);
        }

        return real;
    }

    private static string[] Parts(string path) =>
        path.Split([Path.DirectorySeparatorChar, Path.AltDirectorySeparatorChar], StringSplitOptions.RemoveEmptyEntries);
}
