using System.Globalization;
using System.Text;

namespace Tern.Hub;

/// <summary>
/// Where things lie in the store.
/// <code>
/// blobs/sha256-HEX                       a file by its contents, read-only
/// blobs/git-SHA1                         which of them a small file of a repository is: its SHA-256 in 64 letters
/// blobs/KEY.tern-partial                 a download that is not finished: bytes at their final places, holes between them
/// blobs/KEY.tern-partial.json            which bytes those are
/// manifests/OWNER/NAME/TAG.json          a model: its files and where they came from; written last
/// directories/OWNER/NAME/TAG-DIGEST/…    the same files under their own names, links to the blobs
/// locks/store.lock                       shared by whoever brings blobs in, exclusive for whoever deletes some
/// locks/names.lock                       exclusive for whoever changes manifests and directories
/// </code>
/// </summary>
/// <param name="Root">The store's folder.</param>
internal sealed record StoreLayout(string Root)
{
    public const string PartialSuffix = ".tern-partial";
    public const string StateSuffix = ".tern-partial.json";
    public const string ManifestSuffix = ".json";

    public string Blobs => Path.Combine(Root, "blobs");

    public string Manifests => Path.Combine(Root, "manifests");

    public string Directories => Path.Combine(Root, "directories");

    public string Locks => Path.Combine(Root, "locks");

    public string Blob(string sha256) => Path.Combine(Blobs, "sha256-" + sha256);

    public string GitPointer(string sha1) => Path.Combine(Blobs, "git-" + sha1);

    public string Partial(string key) => Path.Combine(Blobs, key + PartialSuffix);

    public string State(string key) => Path.Combine(Blobs, key + StateSuffix);

    public string Manifest(ModelName name) => Path.Combine(Manifests, Encode(name.Owner), Encode(name.Name), Encode(name.Tag) + ManifestSuffix);

    public string Directory(Manifest manifest) =>
        Path.Combine(Directories, Encode(manifest.Name.Owner), Encode(manifest.Name.Name), $"{Encode(manifest.Name.Tag)}-{manifest.Digest[..12]}");

    /// <summary>A part of a path out of any text: letters, digits and <c>. _ - @</c> stay, everything else is percent-encoded.</summary>
    private static string Encode(string text)
    {
        var encoded = new StringBuilder();
        foreach (byte b in Encoding.UTF8.GetBytes(text))
        {
            if (char.IsAsciiLetterOrDigit((char)b) || (char)b is '.' or '_' or '-' or '@')
                encoded.Append((char)b);
            else
                encoded.Append(CultureInfo.InvariantCulture, $"%{b:X2}");
        }

        return encoded.ToString();
    }
}
