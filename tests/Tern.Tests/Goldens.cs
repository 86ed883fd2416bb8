using System.Text.Json;

namespace Tern.Tests;

/// <summary>The golden models of the shared folder with their reference outputs.</summary>
internal static class Goldens
{
    /// <summary>Files whose output is logits.</summary>
    public static IEnumerable<string> Causal => Names.Where(n => !IsEmbedding(n));

    /// <summary>Files whose output is an embedding.</summary>
    public static IEnumerable<string> Embedding => Names.Where(IsEmbedding);

    /// <summary>All GGUF goldens, without extension; a placeholder when the shared folder is absent, so that tests skip aloud.</summary>
    public static IEnumerable<string> Names =>
        SharedData.Root is null
            ? ["absent"]
            : Directory.EnumerateFiles(SharedData.File("goldens"), "*.gguf").Select(f => Path.GetFileNameWithoutExtension(f)!).Order(StringComparer.Ordinal);

    public static string File(string name) => SharedData.File("goldens", name + ".gguf");

    public static JsonElement Expected(string name) =>
        JsonDocument.Parse(System.IO.File.ReadAllBytes(SharedData.File("goldens", name + ".expected.json"))).RootElement;

    private static bool IsEmbedding(string name) => name.Contains("embedding", StringComparison.Ordinal);
}
