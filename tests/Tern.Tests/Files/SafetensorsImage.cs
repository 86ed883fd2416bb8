using System.Buffers.Binary;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace Tern.Tests.Files;

/// <summary>A safetensors file in parts that a test can bend.</summary>
internal sealed class SafetensorsImage
{
    /// <summary>A tensor; <see cref="Offsets"/> when they shall not be the right ones.</summary>
    public sealed record Entry(string Name, string Type, long[] Shape, byte[] Data)
    {
        public JsonArray? Offsets { get; set; }
    }

    public List<Entry> Entries { get; } = [];

    /// <summary>Replaces the header.</summary>
    public byte[]? Header { get; set; }

    /// <summary>Replaces the header's length.</summary>
    public ulong? HeaderLength { get; set; }

    /// <summary>Behind the JSON.</summary>
    public string Padding { get; set; } = "";

    /// <summary>Three small tensors.</summary>
    public static SafetensorsImage Small()
    {
        var image = new SafetensorsImage();
        image.Entries.Add(new Entry("a", "F32", [2, 3], Bytes(24, 1)));
        image.Entries.Add(new Entry("b", "BF16", [4], Bytes(8, 2)));
        image.Entries.Add(new Entry("c", "U8", [5, 2], Bytes(10, 3)));
        return image;
    }

    public Entry this[string name] => Entries.First(e => e.Name == name);

    /// <summary>The header with right offsets where an entry has no others.</summary>
    public JsonObject Json()
    {
        var json = new JsonObject { ["__metadata__"] = new JsonObject { ["format"] = "pt" } };
        long at = 0;
        foreach (Entry entry in Entries)
        {
            json[entry.Name] = new JsonObject
            {
                ["dtype"] = entry.Type,
                ["shape"] = new JsonArray([.. entry.Shape.Select(d => (JsonNode)d)]),
                ["data_offsets"] = entry.Offsets?.DeepClone() ?? new JsonArray(at, at + entry.Data.Length),
            };
            at += entry.Data.Length;
        }

        return json;
    }

    public byte[] Build()
    {
        byte[] header = Header ?? [.. JsonSerializer.SerializeToUtf8Bytes(Json()), .. Encoding.UTF8.GetBytes(Padding)];
        byte[] length = new byte[8];
        BinaryPrimitives.WriteUInt64LittleEndian(length, HeaderLength ?? (ulong)header.Length);
        return [.. length, .. header, .. Entries.SelectMany(e => e.Data)];
    }

    private static byte[] Bytes(int count, int seed)
    {
        byte[] bytes = new byte[count];
        new Random(seed).NextBytes(bytes);
        return bytes;
    }
}
