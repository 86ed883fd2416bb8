using Tern.Files;

namespace Tern.Hub;

/// <summary>
/// The models on this machine: blobs by content, manifests that name them, directories of links that programs open. Any number of processes
/// may use it at once. A manifest is written after everything it names is there and whole, so what can be found can be opened; what a
/// killed process leaves behind has no manifest and is found by <see cref="StoreLeftovers"/>.
/// </summary>
internal sealed class ModelStore(StoreLayout layout)
{
    public StoreLayout Layout => layout;

    private string StoreLockPath => Path.Combine(layout.Locks, "store.lock");

    private string NamesLockPath => Path.Combine(layout.Locks, "names.lock");

    /// <summary>Held while blobs come in: nobody deletes blobs meanwhile.</summary>
    public IDisposable BringIn(CancellationToken cancellation) => StoreLock.Take(StoreLockPath, shared: true, cancellation);

    /// <summary>Held while names change.</summary>
    public IDisposable ChangeNames(CancellationToken cancellation) => StoreLock.Take(NamesLockPath, shared: false, cancellation);

    /// <summary>Held while blobs are deleted; null while somebody brings some in.</summary>
    public IDisposable? TryDeleteBlobs() => StoreLock.TryTake(StoreLockPath, shared: false);

    /// <summary>The model of exactly this name, or null.</summary>
    /// <exception cref="TernException">Its manifest is damaged.</exception>
    public Manifest? Find(ModelName name)
    {
        try
        {
            return Manifest.Read(layout.Manifest(name));
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException or PathTooLongException)
        {
            return null;
        }
    }

    /// <summary>
    /// The model that a user means: a name of the user's own, a short name of the list, owner/name, or owner/name:file where that file came
    /// with the whole model. Null when there is none.
    /// </summary>
    public StoredModel? Find(string text)
    {
        if (ModelName.TryStored(text) is not { } name)
            return null;
        if (Find(name) is { } exact)
            return new StoredModel(exact, exact.Main);
        if (Catalog.Find(text) is { } entry && Find(entry.ModelName) is { } listed && (entry.File is null || listed.Main == entry.File))
            return new StoredModel(listed, listed.Main);
        return name.File is { } file && Find(name with { File = null }) is { } whole && whole.Files.Any(f => f.Path == file)
            ? new StoredModel(whole, file)
            : null;
    }

    /// <summary>Every model, by name. Damaged manifests are reported and left out.</summary>
    public IReadOnlyList<Manifest> List(Action<string> warn)
    {
        var models = new List<Manifest>();
        foreach (string path in ManifestPaths())
        {
            try
            {
                models.Add(Manifest.Read(path));
            }
            catch (TernException e)
            {
                warn(e.Message);
            }
            catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
            {
                // Removed by somebody else after it was listed.
            }
        }

        return [.. models.OrderBy(m => m.Name.ToString(), StringComparer.OrdinalIgnoreCase)];
    }

    /// <summary>Makes a model findable. All its blobs must be there, and <see cref="BringIn"/> held or the blobs named by another model.</summary>
    public void Commit(Manifest manifest, CancellationToken cancellation)
    {
        using IDisposable names = ChangeNames(cancellation);
        CommitLocked(manifest);
    }

    /// <summary>The same with <see cref="ChangeNames"/> held.</summary>
    public void CommitLocked(Manifest manifest)
    {
        string path = layout.Manifest(manifest.Name);
        Manifest? old = null;
        try
        {
            old = Find(manifest.Name);
        }
        catch (TernException)
        {
            // A damaged manifest is what a new one repairs.
        }

        MakeDirectory(manifest);
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        AtomicFile.Write(path, stream => stream.Write(manifest.ToJson()));
        if (old is not null && old.Digest != manifest.Digest)
            StoreFiles.DeleteFolder(layout.Directory(old));
    }

    /// <summary>
    /// The path to open, after a look at the links: those that are missing (a store that was copied without them) are made again.
    /// </summary>
    /// <exception cref="TernException">A blob is gone.</exception>
    public string PathOf(StoredModel model)
    {
        string folder = layout.Directory(model.Manifest);
        if (!IsWhole(folder, model.Manifest))
        {
            using IDisposable names = ChangeNames(CancellationToken.None);
            if (Directory.Exists(folder) && !IsWhole(folder, model.Manifest))
                StoreFiles.DeleteFolder(folder);
            MakeDirectory(model.Manifest);
        }

        return model.File is null ? folder : Path.Combine(folder, LocalName(model.File));
    }

    /// <summary>The names of a model's files as this system writes them.</summary>
    public static string LocalName(string name) => name.Replace('/', Path.DirectorySeparatorChar);

    /// <summary>All manifests, whether they can be read or not.</summary>
    public IEnumerable<string> ManifestPaths() =>
        Directory.Exists(layout.Manifests)
            ? Directory.EnumerateFiles(layout.Manifests, "*" + StoreLayout.ManifestSuffix, SearchOption.AllDirectories)
            : [];

    private static bool IsWhole(string folder, Manifest manifest) => manifest.Files.All(f => StoreFiles.Length(Path.Combine(folder, LocalName(f.Path))) == f.Bytes);

    /// <summary>Links under a temporary name first; the folder's own name holds a digest of its contents, so it never changes afterwards.</summary>
    private void MakeDirectory(Manifest manifest)
    {
        string folder = layout.Directory(manifest);
        if (Directory.Exists(folder))
        {
            if (IsWhole(folder, manifest))
                return;
            StoreFiles.DeleteFolder(folder);
        }

        string partial = folder + StoreLayout.PartialSuffix;
        StoreFiles.DeleteFolder(partial);
        try
        {
            foreach (ManifestFile file in manifest.Files)
            {
                string blob = layout.Blob(file.Sha256);
                if (!File.Exists(blob))
                    throw new TernException(ErrorKind.File, $"{manifest.Name}: '{file.Path}' is not in the store any more ({blob}); run 'tern pull {manifest.Name}' or import it again");
                string link = Path.Combine(partial, LocalName(file.Path));
                Directory.CreateDirectory(Path.GetDirectoryName(link)!);
                FileLinks.Create(blob, link);
            }

            Directory.Move(partial, folder);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw FileError.Whole(ErrorKind.File, folder, "folder", $"cannot be written: {e.Message}", "check its permissions and the free space", e);
        }
    }
}

/// <summary>A model that was found, and which of its files was meant; null for the whole directory.</summary>
internal sealed record StoredModel(Manifest Manifest, string? File);
