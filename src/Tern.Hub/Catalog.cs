using System.Reflection;
using System.Text.Json;

namespace Tern.Hub;

/// <summary>A model that has a short name.</summary>
/// <param name="Name">The short name.</param>
/// <param name="Title">Its maker's name for it.</param>
/// <param name="Repository">owner/name on the hub.</param>
/// <param name="File">The file; null lets the rules choose among what the repository has.</param>
/// <param name="IsDirectory">All files of the checkpoint instead of one GGUF file.</param>
/// <param name="Bytes">Size of the file, where it is known for sure.</param>
/// <param name="Sha256">Hash of the file that Tern's authors know; the repository may have a newer one.</param>
/// <param name="Licence">As its maker calls it.</param>
/// <param name="Parameters">Weights, rounded, such as 2.4B.</param>
/// <param name="Note">What a user should know before the download, and what is not known.</param>
internal sealed record CatalogEntry(string Name, string Title, string Repository, string? File, bool IsDirectory, long? Bytes, string? Sha256, string Licence, string Parameters, string Note)
{
    /// <summary>The repository as a name.</summary>
    public ModelName ModelName => ModelName.TryRepository(Repository)!;
}

/// <summary>The list of models with short names, which is part of the program (models.json).</summary>
internal static class Catalog
{
    private static readonly Lazy<IReadOnlyList<CatalogEntry>> s_all = new(Read);

    public static IReadOnlyList<CatalogEntry> All => s_all.Value;

    /// <summary>The entry of a short name, in any case of letters.</summary>
    public static CatalogEntry? Find(string name) => All.FirstOrDefault(e => e.Name.Equals(name, StringComparison.OrdinalIgnoreCase));

    private static CatalogEntry[] Read()
    {
        using Stream stream = Assembly.GetExecutingAssembly().GetManifestResourceStream("models.json")!;
        using JsonDocument document = JsonDocument.Parse(stream);
        return [.. document.RootElement.EnumerateArray().Select(Entry)];
    }

    private static CatalogEntry Entry(JsonElement e)
    {
        string? file = e.GetProperty("file").GetString();
        return new CatalogEntry(
            e.GetProperty("name").GetString()!,
            e.GetProperty("title").GetString()!,
            e.GetProperty("repository").GetString()!,
            file == "directory" ? null : file,
            file == "directory",
            e.GetProperty("bytes") is { ValueKind: JsonValueKind.Number } bytes ? bytes.GetInt64() : null,
            e.TryGetProperty("sha256", out JsonElement hash) ? hash.GetString() : null,
            e.GetProperty("licence").GetString()!,
            e.GetProperty("parameters").GetString()!,
            e.GetProperty("note").GetString()!);
    }
}
