namespace Tern.Hub;

/// <summary>Something in the store that no model names.</summary>
/// <param name="Path">Where it lies.</param>
/// <param name="Bytes">What it takes on the disk, at most.</param>
/// <param name="What">For the user.</param>
/// <param name="Changed">When somebody last wrote to it.</param>
internal sealed record Leftover(string Path, long Bytes, string What, DateTime Changed);

/// <summary>
/// What is in the store without belonging to a model: unfinished downloads, files that came in before a process was killed, folders that
/// were not finished. And the deletion of all that, and of models.
/// </summary>
internal static class StoreLeftovers
{
    private const string BlobPrefix = "sha256-";

    /// <summary>Everything that no model names. A process that brings models in right now has some, too.</summary>
    public static IReadOnlyList<Leftover> Find(ModelStore store, Action<string> warn)
    {
        StoreLayout layout = store.Layout;
        IReadOnlyList<Manifest> models = store.List(warn);
        HashSet<string> named = [.. models.SelectMany(m => m.Files).Select(f => BlobPrefix + f.Sha256)];
        HashSet<string> folders = [.. models.Select(layout.Directory)];
        var found = new List<Leftover>();
        if (Directory.Exists(layout.Blobs))
        {
            foreach (FileInfo file in new DirectoryInfo(layout.Blobs).EnumerateFiles().OrderBy(f => f.Name, StringComparer.Ordinal))
            {
                if (file.Name.EndsWith(StoreLayout.PartialSuffix, StringComparison.Ordinal))
                    found.Add(new Leftover(file.FullName, file.Length, file.Name.StartsWith("import-", StringComparison.Ordinal) ? "unfinished import" : "unfinished download", file.LastWriteTimeUtc));
                else if (IsPointer(file.Name))
                {
                    if (!named.Contains(BlobPrefix + File.ReadAllText(file.FullName)))
                        found.Add(new Leftover(file.FullName, file.Length, "name of a file that no model has", file.LastWriteTimeUtc));
                }
                else if (!named.Contains(file.Name))
                    found.Add(new Leftover(file.FullName, file.Length, file.Name.StartsWith(BlobPrefix, StringComparison.Ordinal) && !file.Name.Contains('.', StringComparison.Ordinal) ? "file that no model has" : "state of an unfinished download", file.LastWriteTimeUtc));
            }
        }

        if (Directory.Exists(layout.Directories))
        {
            foreach (DirectoryInfo folder in new DirectoryInfo(layout.Directories).EnumerateDirectories("*", SearchOption.AllDirectories))
            {
                // OWNER/NAME/TAG-DIGEST: the third level is a model's.
                if (folder.Parent!.Parent!.Parent!.FullName == Path.GetFullPath(layout.Directories) && !folders.Contains(folder.FullName))
                    found.Add(new Leftover(folder.FullName, 0, "folder of links that no model has", folder.LastWriteTimeUtc));
            }
        }

        if (Directory.Exists(layout.Manifests))
        {
            foreach (FileInfo file in new DirectoryInfo(layout.Manifests).EnumerateFiles("*" + StoreLayout.PartialSuffix, SearchOption.AllDirectories))
                found.Add(new Leftover(file.FullName, file.Length, "unfinished manifest", file.LastWriteTimeUtc));
        }

        return found;
    }

    /// <summary>Deletes all of them; null while another process brings a model in, which needs its own.</summary>
    public static IReadOnlyList<Leftover>? Delete(ModelStore store, Action<string> warn, CancellationToken cancellation)
    {
        using IDisposable names = store.ChangeNames(cancellation);
        using IDisposable? blobs = store.TryDeleteBlobs();
        if (blobs is null)
            return null;
        RefuseIfDamaged(store);
        IReadOnlyList<Leftover> found = Find(store, warn);
        foreach (Leftover leftover in found)
        {
            if (Directory.Exists(leftover.Path))
                StoreFiles.DeleteFolder(leftover.Path);
            else
                StoreFiles.DeleteFile(leftover.Path);
        }

        return found;
    }

    /// <summary>Deletes a model, and its blobs that no other model names. False when the blobs had to stay because another process brings a model in.</summary>
    public static bool DeleteModel(ModelStore store, Manifest manifest, CancellationToken cancellation)
    {
        StoreLayout layout = store.Layout;
        using IDisposable names = store.ChangeNames(cancellation);
        RefuseIfDamaged(store);
        string path = layout.Manifest(manifest.Name);
        StoreFiles.DeleteFile(path);
        StoreFiles.FlushFolderOf(path);
        DeleteEmpty(Path.GetDirectoryName(path)!, layout.Manifests);
        string folder = layout.Directory(manifest);
        StoreFiles.DeleteFolder(folder);
        DeleteEmpty(Path.GetDirectoryName(folder)!, layout.Directories);

        using IDisposable? blobs = store.TryDeleteBlobs();
        if (blobs is null)
            return false;
        HashSet<string> named = [.. store.List(_ => { }).SelectMany(m => m.Files).Select(f => f.Sha256)];
        foreach (ManifestFile file in manifest.Files.Where(f => !named.Contains(f.Sha256)).DistinctBy(f => f.Sha256))
            StoreFiles.DeleteFile(layout.Blob(file.Sha256));
        return true;
    }

    /// <summary>git-SHA1: the small files that say which blob a hash of git's is.</summary>
    private static bool IsPointer(string name) => name.StartsWith("git-", StringComparison.Ordinal) && !name.Contains('.', StringComparison.Ordinal);

    /// <summary>A manifest that cannot be read may name any blob, so none is deleted.</summary>
    private static void RefuseIfDamaged(ModelStore store)
    {
        foreach (string path in store.ManifestPaths())
            _ = Manifest.Read(path);
    }

    private static void DeleteEmpty(string folder, string root)
    {
        for (; folder.Length > root.Length && Directory.Exists(folder) && !Directory.EnumerateFileSystemEntries(folder).Any(); folder = Path.GetDirectoryName(folder)!)
            Directory.Delete(folder);
    }
}
