using System.Text.Json;

namespace Tern.Hub;

/// <summary>A file as the hub lists it.</summary>
/// <param name="Path">Its name, not checked yet.</param>
/// <param name="Bytes">Size; null where a mirror does not say.</param>
/// <param name="Sha256">Hash of a large file (LFS).</param>
/// <param name="GitSha1">Git's hash of a small file's blob.</param>
internal sealed record RepositoryFile(string Path, long? Bytes, string? Sha256, string? GitSha1)
{
    /// <summary>What the store calls its unfinished download; null where the hub gave no hash.</summary>
    public string? Key => Sha256 is not null ? "sha256-" + Sha256 : GitSha1 is not null ? "git-" + GitSha1 : null;
}

/// <summary>What a repository holds at one commit.</summary>
internal sealed record Repository(string Name, string Commit, string? Licence, IReadOnlyList<RepositoryFile> Files)
{
    private const int FilesMax = 100_000;
    private const long BytesMax = 1L << 46;

    /// <summary>Reads the hub's answer to <c>/api/models/…/revision/…?blobs=true</c>.</summary>
    /// <exception cref="FormatException">A field does not hold what it should.</exception>
    public static Repository From(JsonElement root, string name)
    {
        if (root.ValueKind != JsonValueKind.Object)
            throw new FormatException("not an object");
        string commit = Text(root, "sha") ?? throw new FormatException("no 'sha'");
        if (commit.Length is < 7 or > 64 || !commit.All(char.IsAsciiHexDigit))
            throw new FormatException("'sha' is no commit");
        if (!root.TryGetProperty("siblings", out JsonElement siblings) || siblings.ValueKind != JsonValueKind.Array)
            throw new FormatException("no 'siblings'");
        if (siblings.GetArrayLength() > FilesMax)
            throw new FormatException($"more than {FilesMax} files");

        string? licence = root.TryGetProperty("cardData", out JsonElement card) && card.ValueKind == JsonValueKind.Object
            ? Text(card, "license_name") ?? Text(card, "license")
            : null;
        return new Repository(name, commit, licence, [.. siblings.EnumerateArray().Select(FileOf)]);
    }

    private static RepositoryFile FileOf(JsonElement e)
    {
        string path = Text(e, "rfilename") ?? throw new FormatException("a file without 'rfilename'");
        long? bytes = Size(e);
        string? sha256 = null;
        bool isLarge = e.TryGetProperty("lfs", out JsonElement lfs) && lfs.ValueKind == JsonValueKind.Object;
        if (isLarge)
        {
            bytes = Size(lfs) ?? bytes;
            sha256 = Text(lfs, "sha256")?.ToLowerInvariant();
            if (sha256 is not null && !Manifest.IsSha256(sha256))
                throw new FormatException("'lfs.sha256' is no SHA-256");
        }

        // For large files blobId names the pointer that git holds, not the contents, also where a mirror leaves their hash out.
        string? git = !isLarge ? Text(e, "blobId")?.ToLowerInvariant() : null;
        if (git is not null && (git.Length != 40 || !git.All(char.IsAsciiHexDigitLower)))
            throw new FormatException("'blobId' is no SHA-1");
        return new RepositoryFile(path, bytes, sha256, git);
    }

    private static long? Size(JsonElement e)
    {
        if (!e.TryGetProperty("size", out JsonElement size) || size.ValueKind != JsonValueKind.Number)
            return null;
        return size.TryGetInt64(out long bytes) && bytes is >= 0 and <= BytesMax ? bytes : throw new FormatException("'size' is out of range");
    }

    private static string? Text(JsonElement e, string field) =>
        e.ValueKind == JsonValueKind.Object && e.TryGetProperty(field, out JsonElement value) && value.ValueKind == JsonValueKind.String ? value.GetString() : null;
}
