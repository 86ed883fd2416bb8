using System.Globalization;
using System.Security.Cryptography;
using Tern.Files;

namespace Tern.Hub;

/// <summary>A file to import, and the name that it has in the model.</summary>
internal sealed record ImportFile(string Path, string Name);

/// <summary>
/// Brings models that are on this machine already into the store: a GGUF file (with the other parts of a split one), a folder with a
/// checkpoint, or a model of Ollama's store.
/// </summary>
internal sealed class Importer(HubSettings settings, ModelStore store, TransferProgress progress, Action<string> say)
{
    private const int BlockBytes = 1 << 20;

    /// <summary>Checkpoints are flat; deeper folders are something else, or a link to itself.</summary>
    private const int DepthMax = 4;

    /// <summary>Imports.</summary>
    /// <param name="source">A path, or <c>ollama:NAME[:TAG]</c>.</param>
    /// <param name="name">What to call it; null makes a name out of the source's.</param>
    /// <param name="link">The store and the source share the bytes where the file system can; nobody may change the source then.</param>
    /// <param name="cancellation">Ends it; nothing is left that looks finished.</param>
    public Manifest Import(string source, ModelName? name, bool link, CancellationToken cancellation)
    {
        (List<ImportFile> files, string? main, ModelName proposed) = Files(source);
        using IDisposable bringing = BringIn(cancellation);
        progress.Total = files.Sum(f => StoreFiles.Length(f.Path));
        CheckRoom(progress.Total, link);
        var stored = new List<ManifestFile>();
        foreach (ImportFile file in files)
        {
            progress.Doing = Path.GetFileName(file.Name);
            stored.Add(Bring(file, link, cancellation));
        }

        var manifest = new Manifest
        {
            Name = name ?? proposed,
            Files = stored,
            Main = main,
            Type = main is null ? "safetensors" : FileChoice.TypeInName(main) ?? "GGUF",
            Source = source.StartsWith(OllamaModels.Prefix, StringComparison.Ordinal) ? source : Path.GetFullPath(source),
            Created = DateTimeOffset.UtcNow,
        };
        manifest = manifest with { Type = ModelType.Of(store, manifest, say) };
        store.Commit(manifest, cancellation);
        return manifest;
    }

    private IDisposable BringIn(CancellationToken cancellation)
    {
        try
        {
            Directory.CreateDirectory(store.Layout.Blobs);
            return store.BringIn(cancellation);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new TernException(ErrorKind.File, $"{store.Layout.Root}: the folder of the store cannot be made: {e.Message.TrimEnd('.')}; check it or set {HubEnvironment.Models}", e);
        }
    }

    private (List<ImportFile> Files, string? Main, ModelName Name) Files(string source)
    {
        if (source.StartsWith(OllamaModels.Prefix, StringComparison.Ordinal))
            return OllamaModels.Find(settings.OllamaStore, source[OllamaModels.Prefix.Length..]);

        if (File.Exists(source))
        {
            List<ImportFile> parts = [.. Parts(source).Select(p => new ImportFile(p, Path.GetFileName(p)))];
            foreach (ImportFile part in parts)
                SafePath.Check(part.Name, source);
            if (!IsGguf(parts[0].Path))
                throw new TernException(ErrorKind.Format, $"{source}: is no GGUF file: it does not begin with 'GGUF'; import a .gguf file or the folder of a checkpoint");
            return (parts, parts[0].Name, ModelName.FromFile(parts[0].Path));
        }

        if (!Directory.Exists(source))
            throw new TernException(ErrorKind.File, $"{source}: file or folder not found");

        List<ImportFile> files =
        [
            .. Directory.EnumerateFiles(source, "*", new EnumerationOptions { RecurseSubdirectories = true, MaxRecursionDepth = DepthMax, AttributesToSkip = FileAttributes.None })
                .Select(p => new ImportFile(p, Path.GetRelativePath(source, p).Replace(Path.DirectorySeparatorChar, '/')))
                .Where(f => !f.Name.Split('/').Any(part => part.StartsWith('.')) && !f.Name.EndsWith(StoreLayout.PartialSuffix, StringComparison.Ordinal))
                .OrderBy(f => f.Name, StringComparer.Ordinal),
        ];
        foreach (ImportFile file in files)
            SafePath.Check(file.Name, source);
        var folder = new Repository(source, "", null, [.. files.Select(f => new RepositoryFile(f.Name, null, null, null))]);
        FileChoice choice = FileChoice.From(folder, wanted: null, asDirectory: false, allFiles: false);
        return ([.. choice.Files.Select(f => new ImportFile(InFolder(source, f.Path), f.Path))], choice.Main, ModelName.FromFile(source));
    }

    /// <summary>A file of a folder that may have come from a stranger, whose links are followed only inside.</summary>
    private static string InFolder(string folder, string name) =>
        FolderFiles.Find(folder, ModelStore.LocalName(name)) ?? throw FileError.Whole(ErrorKind.File, Path.Combine(folder, name), "file", "is a link to nothing", "put the file itself in the folder");

    /// <summary>All parts of a split file, beginning with the first; otherwise the file.</summary>
    private static List<string> Parts(string path)
    {
        string folder = Path.GetDirectoryName(Path.GetFullPath(path))!;
        var beside = new Repository(path, "", null, [.. Directory.EnumerateFiles(folder, "*.gguf").Select(p => new RepositoryFile(Path.GetFileName(p), null, null, null))]);
        return path.EndsWith(".gguf", StringComparison.OrdinalIgnoreCase) && beside.Files.Any(f => f.Path == Path.GetFileName(path))
            ? [.. FileChoice.From(beside, Path.GetFileName(path), asDirectory: false, allFiles: false).Files.Select(f => Path.Combine(folder, f.Path))]
            : [path];
    }

    private static bool IsGguf(string path)
    {
        using FileStream stream = Open(path);
        Span<byte> magic = stackalloc byte[4];
        return stream.ReadAtLeast(magic, 4, throwOnEndOfStream: false) == 4 && magic.SequenceEqual("GGUF"u8);
    }

    private static FileStream Open(string path)
    {
        try
        {
            return new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, bufferSize: 0);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw FileError.Whole(ErrorKind.File, path, "file", $"cannot be read: {e.Message.TrimEnd('.')}", "check its permissions", e);
        }
    }

    private void CheckRoom(long needed, bool link)
    {
        if (!link && StoreFiles.FreeBytes(store.Layout.Blobs) is { } free && needed > free)
            throw new TernException(ErrorKind.File, string.Create(CultureInfo.InvariantCulture, $"{store.Layout.Root}: the disk is too full: {needed} bytes ({Sizes.Text(needed)}) are needed, {free} ({Sizes.Text(free)}) are free; make room, or --link the file instead of copying it"));
    }

    private ManifestFile Bring(ImportFile file, bool link, CancellationToken cancellation)
    {
        try
        {
            return link && TryLink(file, cancellation) is { } linked ? linked : Copy(file, cancellation);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw FileError.Whole(ErrorKind.File, file.Path, "file", $"cannot be copied into {store.Layout.Blobs}: {e.Message.TrimEnd('.')}", "check permissions and free space", e);
        }
    }

    /// <summary>The same bytes under the blob's name; null where the file system does not link.</summary>
    private ManifestFile? TryLink(ImportFile file, CancellationToken cancellation)
    {
        using FileStream stream = Open(file.Path);
        (string sha256, _) = StoreFiles.Hash(stream.SafeFileHandle, withGit: false, progress.AddChecked, cancellation);
        string blob = store.Layout.Blob(sha256);
        if (!File.Exists(blob) && !FileLinks.TryCreate(Path.GetFullPath(file.Path), blob, LinkKind.Hard))
            return null;
        StoreFiles.FlushFolderOf(blob);
        progress.Add(stream.Length);
        return new ManifestFile(file.Name, stream.Length, sha256);
    }

    private ManifestFile Copy(ImportFile file, CancellationToken cancellation)
    {
        // A name of its own: unlike a download, a copy has no name before its hash is known, and is not worth resuming.
        string partial = store.Layout.Partial($"import-{Guid.NewGuid():N}");
        try
        {
            string sha256;
            long length;

            // What has no length is an empty file, or a pipe or device that would never end.
            long left = StoreFiles.Length(file.Path);
            using (FileStream? from = left > 0 ? Open(file.Path) : null)
            using (var to = new FileStream(partial, FileMode.CreateNew, FileAccess.Write, FileShare.None, bufferSize: 0))
            {
                using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
                byte[] block = new byte[BlockBytes];
                while (left > 0 && from!.Read(block, 0, (int)Math.Min(left, block.Length)) is > 0 and int count)
                {
                    left -= count;
                    cancellation.ThrowIfCancellationRequested();
                    hash.AppendData(block, 0, count);
                    to.Write(block, 0, count);
                    progress.Add(count);
                }

                AtomicFile.FlushToDisk(to);
                length = to.Length;
                sha256 = Convert.ToHexStringLower(hash.GetHashAndReset());
            }

            string blob = store.Layout.Blob(sha256);
            if (!File.Exists(blob))
            {
                File.Move(partial, blob, overwrite: true);
                StoreFiles.MakeReadOnly(blob);
                StoreFiles.FlushFolderOf(blob);
            }

            return new ManifestFile(file.Name, length, sha256);
        }
        finally
        {
            StoreFiles.DeleteFile(partial);
        }
    }
}
