using System.Text.Json;

namespace Tern.Hub;

/// <summary>
/// Ollama's store, read only.
/// <code>
/// manifests/registry.ollama.ai/library/NAME/TAG     {"layers":[{"mediaType":"application/vnd.ollama.image.model","digest":"sha256:…"}, …]}
/// blobs/sha256-…                                    the GGUF file
/// </code>
/// Models of users stand under their name instead of <c>library</c>, models of other registries under the registry's.
/// </summary>
internal static class OllamaModels
{
    /// <summary>What such a source begins with.</summary>
    public const string Prefix = "ollama:";

    private const string Registry = "registry.ollama.ai";
    private const string ModelLayer = "application/vnd.ollama.image.model";

    /// <summary>The file of a model.</summary>
    /// <param name="store">Ollama's folder.</param>
    /// <param name="model">NAME, NAME:TAG, USER/NAME[:TAG] or REGISTRY/USER/NAME[:TAG].</param>
    /// <exception cref="TernException">There is no such model, or its manifest is damaged.</exception>
    public static (List<ImportFile> Files, string? Main, ModelName Name) Find(string store, string model)
    {
        string[] parts = model.Split('/');
        string last = parts[^1];
        int colon = last.IndexOf(':', StringComparison.Ordinal);
        string name = colon < 0 ? last : last[..colon];
        string tag = colon < 0 ? "latest" : last[(colon + 1)..];
        string[] path = parts.Length switch
        {
            1 => [Registry, "library", name, tag],
            2 => [Registry, parts[0], name, tag],
            3 => [parts[0], parts[1], name, tag],
            _ => [],
        };
        if (path.Length == 0 || path.Any(p => SafePath.Problem(p.Replace(':', '-')) is not null))
            throw new TernException(ErrorKind.Request, $"{Prefix}{model}: is no name of an Ollama model, such as {Prefix}llama3:8b");

        string manifest = Path.Combine([store, "manifests", .. path]);
        if (!File.Exists(manifest))
            throw new TernException(ErrorKind.File, $"{Prefix}{model}: there is no such model in Ollama's store ({manifest}); there is {FileChoice.Listed(Names(store))}; {HubEnvironment.OllamaModels} names another store");

        string digest = ModelDigest(manifest);
        string blob = Path.Combine(store, "blobs", "sha256-" + digest);
        if (!File.Exists(blob))
            throw new TernException(ErrorKind.File, $"{Prefix}{model}: its file is missing in Ollama's store ({blob}); run 'ollama pull {model}' again");
        var own = ModelName.FromFile(colon < 0 || tag == "latest" ? name : $"{name}-{tag}");
        string file = own.Name + ".gguf";
        return ([new ImportFile(blob, file)], file, own);
    }

    private static string ModelDigest(string manifest)
    {
        try
        {
            using JsonDocument document = JsonDocument.Parse(File.ReadAllBytes(manifest));
            foreach (JsonElement layer in document.RootElement.GetProperty("layers").EnumerateArray())
            {
                if (layer.GetProperty("mediaType").GetString() != ModelLayer)
                    continue;
                string digest = layer.GetProperty("digest").GetString() ?? "";
                return digest.StartsWith("sha256:", StringComparison.Ordinal) && Manifest.IsSha256(digest[7..])
                    ? digest[7..]
                    : throw new FormatException("its digest is no SHA-256");
            }

            throw new FormatException($"it has no layer of type {ModelLayer}");
        }
        catch (Exception e) when (e is JsonException or KeyNotFoundException or InvalidOperationException or FormatException)
        {
            throw new TernException(ErrorKind.Format, $"{manifest}: is no manifest of an Ollama model: {e.Message.TrimEnd('.')}; run 'ollama pull' again", e);
        }
    }

    private static IEnumerable<string> Names(string store)
    {
        string library = Path.Combine(store, "manifests", Registry, "library");
        return Directory.Exists(library)
            ? Directory.EnumerateFiles(library, "*", SearchOption.AllDirectories).Select(p => Path.GetRelativePath(library, p).Replace(Path.DirectorySeparatorChar, ':')).Order(StringComparer.Ordinal)
            : [];
    }
}
