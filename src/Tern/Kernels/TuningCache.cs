using System.Security.Cryptography;
using System.Text;
using System.Text.Json;

namespace Tern.Kernels;

/// <summary>
/// What <see cref="KernelTuner"/> found on earlier runs: one small file for each key, named after its hash.
/// <code>
///   FOLDER/tuning-0123456789abcdef.json
///   {"key":"tern 0.1.0 | …","rows":{"I2_S":"ternary-avx512","F16":"f16-avx512"},
///    "measured":[{"type":"I2_S","row":"ternary-avx512","generated":18.1,"prompt":3.0},…]}      picoseconds per weight, for whoever is curious
/// </code>
/// Everything here can be measured again, so whatever is wrong with a file or the folder counts as not remembered. Files appear whole, by a
/// rename, so that processes that tune at the same time do not mix.
/// </summary>
/// <param name="folder">The folder, which need not exist; null remembers nothing.</param>
internal sealed class TuningCache(string? folder)
{
    private const int FileBytesMax = 1 << 16;

    /// <summary>Row names by tensor type, or null.</summary>
    public IReadOnlyDictionary<string, string>? Find(string key)
    {
        if (folder is null)
            return null;
        try
        {
            var file = new FileInfo(PathOf(folder, key));
            if (!file.Exists || file.Length > FileBytesMax)
                return null;
            using JsonDocument document = JsonDocument.Parse(File.ReadAllBytes(file.FullName));
            if (document.RootElement.GetProperty("key").GetString() != key)
                return null;
            return document.RootElement.GetProperty("rows").EnumerateObject().ToDictionary(p => p.Name, p => p.Value.GetString()!, StringComparer.Ordinal);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or JsonException or KeyNotFoundException or InvalidOperationException or ArgumentException or NotSupportedException)
        {
            return null;
        }
    }

    /// <summary>Writes down what was found, if that is possible.</summary>
    /// <param name="key">What the measurement depends on.</param>
    /// <param name="measured">The best row of each type first.</param>
    public void Remember(string key, IReadOnlyList<TunedRow> measured)
    {
        if (folder is null)
            return;
        string path = PathOf(folder, key);
        string partial = $"{path}.{Guid.NewGuid():N}";
        try
        {
            Directory.CreateDirectory(folder);
            using (var stream = new FileStream(partial, FileMode.CreateNew))
            using (var writer = new Utf8JsonWriter(stream))
            {
                writer.WriteStartObject();
                writer.WriteString("key", key);
                writer.WriteStartObject("rows");
                foreach (TunedRow best in measured.DistinctBy(m => m.Type))
                    writer.WriteString(best.Type, best.Row);
                writer.WriteEndObject();
                writer.WriteStartArray("measured");
                foreach (TunedRow row in measured)
                {
                    writer.WriteStartObject();
                    writer.WriteString("type", row.Type);
                    writer.WriteString("row", row.Row);
                    writer.WriteNumber("generated", Math.Round(row.Generated, 3));
                    writer.WriteNumber("prompt", Math.Round(row.Prompt, 3));
                    writer.WriteEndObject();
                }

                writer.WriteEndArray();
                writer.WriteEndObject();
            }

            File.Move(partial, path, overwrite: true);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException or NotSupportedException)
        {
            Forget(partial);
        }
    }

    private static string PathOf(string folder, string key) =>
        Path.Combine(folder, $"tuning-{Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(key)).AsSpan(0, 8))}.json");

    private static void Forget(string partial)
    {
        try
        {
            File.Delete(partial);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException or NotSupportedException)
        {
        }
    }
}
