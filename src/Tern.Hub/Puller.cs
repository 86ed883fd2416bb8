using System.Globalization;

namespace Tern.Hub;

/// <summary>What to bring in.</summary>
/// <param name="Name">Repository, revision, file; also the name in the store.</param>
/// <param name="File">The file or type where the name does not say it; null lets the rules choose.</param>
/// <param name="AsDirectory">The checkpoint in safetensors.</param>
/// <param name="AllFiles">Everything in the repository.</param>
/// <param name="KnownSha256">Hash that the list of models knows for the main file.</param>
internal sealed record PullRequest(ModelName Name, string? File, bool AsDirectory, bool AllFiles, string? KnownSha256)
{
    /// <summary>Reads what a user wrote: a short name of the list, or a repository. Null when it is neither.</summary>
    public static PullRequest? TryFrom(string text, Uri hub)
    {
        if (Catalog.Find(text) is { } entry)
            return new PullRequest(entry.ModelName, entry.File, entry.IsDirectory, false, entry.Sha256);
        return ModelName.TryRepository(text, hub) is { } name ? new PullRequest(name, name.File, false, false, null) : null;
    }
}

/// <summary>
/// Brings a model from the hub into the store: list → choice → blobs, each checked → directory → manifest. Killed anywhere, it leaves the
/// old model or none under the name, and what it has downloaded for the next try.
/// </summary>
/// <param name="settings">Where from and where to.</param>
/// <param name="store">Where to.</param>
/// <param name="progress">Is told how far it is.</param>
/// <param name="say">Is told one line at a time what happens.</param>
internal sealed class Puller(HubSettings settings, ModelStore store, TransferProgress progress, Action<string> say)
{
    private const int HashTries = 2;

    /// <summary>Pulls.</summary>
    /// <exception cref="TernException">Nothing was changed in the store; what was downloaded is kept where that makes sense.</exception>
    public async Task<Manifest> Pull(PullRequest request, CancellationToken cancellation)
    {
        try
        {
            return await PullChecked(request, cancellation);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new TernException(ErrorKind.File, $"{store.Layout.Root}: the store cannot be used: {e.Message.TrimEnd('.')}; check its permissions and the free space, or set {HubEnvironment.Models}", e);
        }
    }

    private async Task<Manifest> PullChecked(PullRequest request, CancellationToken cancellation)
    {
        if (settings.Offline)
            throw new TernException(ErrorKind.File, $"{request.Name}: is not in the store, and nothing is downloaded offline; run without --offline ({HubEnvironment.Offline}, {HubEnvironment.HuggingFaceOffline})");

        using var client = new HubClient(settings, say);
        progress.Doing = "asking";
        Repository repository = await client.List(request.Name.Repository, request.Name.Revision, cancellation);
        FileChoice choice = FileChoice.From(repository, request.File, request.AsDirectory, request.AllFiles);
        foreach (RepositoryFile file in choice.Files)
            SafePath.Check(file.Path, repository.Name);
        if (choice.Files.DistinctBy(f => f.Path, StringComparer.OrdinalIgnoreCase).Count() != choice.Files.Count)
            throw new TernException(ErrorKind.Unsupported, $"{repository.Name}: two files differ only in the case of letters, which not every system keeps apart; pull one by its name");
        say(choice.Main is null || choice.Files.Count > 1
            ? string.Create(CultureInfo.InvariantCulture, $"{repository.Name}: {choice.Files.Count} files ({choice.Type}): {choice.Reason}")
            : $"{repository.Name}: {choice.Main} ({choice.Type}): {choice.Reason}");

        Directory.CreateDirectory(store.Layout.Blobs);
        using IDisposable bringing = store.BringIn(cancellation);
        List<RepositoryFile> files = [];
        foreach (RepositoryFile file in choice.Files)
            files.Add(await Complete(client, repository, file, cancellation));
        CheckRoom(files);

        progress.Total = files.Sum(f => f.Bytes!.Value);
        var stored = new List<ManifestFile>();
        foreach (RepositoryFile file in files)
            stored.Add(new ManifestFile(file.Path, file.Bytes!.Value, await Bring(client, repository, file, cancellation)));

        var manifest = new Manifest
        {
            Name = request.Name,
            Files = stored,
            Main = choice.Main,
            Type = choice.Type,
            Source = $"{settings.Hub.Host}/{repository.Name}",
            Commit = repository.Commit,
            Licence = repository.Licence,
            Created = DateTimeOffset.UtcNow,
        };
        cancellation.ThrowIfCancellationRequested();
        manifest = manifest with { Type = ModelType.Of(store, manifest, say) };
        store.Commit(manifest, cancellation);
        if (request.KnownSha256 is { } known && stored.Find(f => f.Path == choice.Main)?.Sha256 != known)
            say($"{repository.Name}: the file is newer than the one that this version of tern was tested with");
        return manifest;
    }

    /// <summary>Size and hash that the list left out come from the file's own headers.</summary>
    private static async Task<RepositoryFile> Complete(HubClient client, Repository repository, RepositoryFile file, CancellationToken cancellation)
    {
        if (file is { Bytes: not null, Key: not null })
            return file;

        return await client.Backoff.Retry(
            repository.Name,
            async token =>
            {
                using HubResponse response = await client.Send(HttpMethod.Head, client.FileAddress(repository.Name, repository.Commit, file.Path), null, token);
                if (!response.Message.IsSuccessStatusCode && response.LinkedETag is null)
                    throw client.Refused(response, repository.Name, $"file '{file.Path}'");
                string? etag = (response.LinkedETag ?? response.Message.Headers.ETag?.Tag)?.Trim('"').ToLowerInvariant();
                file = file with
                {
                    Bytes = file.Bytes ?? response.LinkedBytes ?? response.Message.Content.Headers.ContentLength,
                    Sha256 = file.Key is null && Manifest.IsSha256(etag) ? etag : file.Sha256,
                    GitSha1 = file.Key is null && etag is { Length: 40 } && etag.All(char.IsAsciiHexDigitLower) ? etag : file.GitSha1,
                };
                return file is { Bytes: not null, Key: not null }
                    ? file
                    : throw new TernException(ErrorKind.Format, $"{repository.Name}: the server gives neither in its list nor in its headers size and hash of '{file.Path}', so the file could not be checked; use another mirror");
            },
            cancellation);
    }

    private void CheckRoom(List<RepositoryFile> files)
    {
        long needed = files
            .Where(f => Known(f) is null)
            .DistinctBy(f => f.Key)
            .Sum(f => f.Bytes!.Value - Math.Min(f.Bytes.Value, PartialFile.BytesOnDisk(store.Layout, f.Key!)));
        if (StoreFiles.FreeBytes(store.Layout.Blobs) is { } free && needed > free)
        {
            throw new TernException(
                ErrorKind.File,
                string.Create(CultureInfo.InvariantCulture, $"{store.Layout.Root}: the disk is too full: {needed} bytes ({Sizes.Text(needed)}) are needed, {free} ({Sizes.Text(free)}) are free; make room, 'tern rm' models, or set {HubEnvironment.Models} to a folder on another disk"));
        }
    }

    /// <summary>The SHA-256 of a file that the store has already, or null.</summary>
    private string? Known(RepositoryFile file)
    {
        string? sha256 = file.Sha256;
        if (sha256 is null)
        {
            string pointer = store.Layout.GitPointer(file.GitSha1!);
            if (File.Exists(pointer) && File.ReadAllText(pointer) is var text && Manifest.IsSha256(text))
                sha256 = text;
        }

        return sha256 is not null && new FileInfo(store.Layout.Blob(sha256)) is { Exists: true } blob && blob.Length == file.Bytes ? sha256 : null;
    }

    private async Task<string> Bring(HubClient client, Repository repository, RepositoryFile file, CancellationToken cancellation)
    {
        string name = $"{repository.Name}/{file.Path}";
        for (int attempt = 1; ; attempt++)
        {
            using PartialFile? partial = await PartialFile.Open(
                store.Layout, file.Key!, file.Bytes!.Value, () => Known(file) is not null, () => say($"{name}: another process downloads it; waiting"), cancellation);
            if (partial is null)
            {
                progress.Add(file.Bytes.Value);
                progress.AddChecked(file.Bytes.Value);
                return Known(file)!;
            }

            long resumed = partial.DoneBytes;
            progress.Add(resumed);
            progress.Doing = Path.GetFileName(file.Path);
            if (resumed > 0)
                say(string.Create(CultureInfo.InvariantCulture, $"{name}: goes on at {Sizes.Text(resumed)} of {Sizes.Text(file.Bytes.Value)}"));
            await new Download(client, settings, client.FileAddress(repository.Name, repository.Commit, file.Path), name, partial, progress).Run(cancellation);

            progress.Doing = "checking";
            (string sha256, string? git) = StoreFiles.Hash(partial.Handle, file.Sha256 is null, progress.AddChecked, cancellation);
            if (file.Sha256 is { } wanted ? wanted == sha256 : file.GitSha1 == git)
            {
                partial.Finish(store.Layout.Blob(sha256));
                if (file.Sha256 is null)
                    Files.AtomicFile.Write(store.Layout.GitPointer(file.GitSha1!), stream => stream.Write(System.Text.Encoding.ASCII.GetBytes(sha256)));
                return sha256;
            }

            progress.Add(-file.Bytes.Value);
            progress.AddChecked(-file.Bytes.Value);
            partial.Abandon();
            if (resumed == 0 || attempt == HashTries)
            {
                throw new TernException(
                    ErrorKind.Format,
                    $"{name}: the downloaded bytes are not those that the hub promises: {(file.Sha256 is null ? "git hash" : "SHA-256")} is {(file.Sha256 is null ? git : sha256)}, must be {file.Sha256 ?? file.GitSha1}; the download was thrown away: try again or use another mirror");
            }

            say($"{name}: what an earlier run left was damaged; the file is downloaded anew");
        }
    }
}
