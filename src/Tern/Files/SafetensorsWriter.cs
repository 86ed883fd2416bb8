using System.Buffers.Binary;
using System.Globalization;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace Tern.Files;

/// <summary>A tensor to be written: what it is, and a way to produce its bytes when their turn comes.</summary>
/// <param name="Name">The name in the file.</param>
/// <param name="Type">Type of its elements, of whole bytes.</param>
/// <param name="Shape">Dimensions, outermost first.</param>
/// <param name="Write">Writes exactly the bytes of the shape; it is called once, after all tensors before it.</param>
internal sealed record SafetensorsSource(string Name, SafetensorsType Type, IReadOnlyList<long> Shape, Action<Stream> Write)
{
    /// <summary>Bytes of the tensor.</summary>
    public long ByteCount => Shape.Aggregate((long)Type.Bits / 8, (bytes, dimension) => checked(bytes * dimension));
}

/// <summary>
/// Writes one safetensors file whose tensors stream, and which appears under its name only when it is whole.
/// <code>
/// byte  0           8                              8 + n
///       [ n: u64 ][ JSON header, spaces to 64 B  ][ tensor ][ tensor ]…       data without gaps, in the order given
/// </code>
/// The spaces put the data on a multiple of 64 bytes, so that a mapped tensor begins aligned when the ones before it have whole lines.
/// </summary>
internal static class SafetensorsWriter
{
    private const int Alignment = 64;

    private static readonly JsonWriterOptions s_options = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>Writes a file.</summary>
    /// <param name="path">Replaced when it exists.</param>
    /// <param name="tensors">Names without repetition.</param>
    /// <exception cref="TernException">The file cannot be written.</exception>
    /// <exception cref="ArgumentException">A name is there twice, or a source wrote another number of bytes.</exception>
    public static void Write(string path, IReadOnlyList<SafetensorsSource> tensors)
    {
        if (tensors.Select(t => t.Name).Distinct(StringComparer.Ordinal).Count() != tensors.Count)
            throw new ArgumentException("two tensors have the same name", nameof(tensors));

        byte[] header = Header(tensors);
        AtomicFile.Write(path, stream =>
        {
            Span<byte> length = stackalloc byte[sizeof(ulong)];
            BinaryPrimitives.WriteUInt64LittleEndian(length, (ulong)header.Length);
            stream.Write(length);
            stream.Write(header);
            foreach (SafetensorsSource tensor in tensors)
            {
                long start = stream.Position;
                tensor.Write(stream);
                if (stream.Position - start != tensor.ByteCount)
                    throw new ArgumentException(string.Create(CultureInfo.InvariantCulture, $"the source of tensor '{tensor.Name}' wrote {stream.Position - start} bytes, its shape needs {tensor.ByteCount}"), nameof(tensors));
            }
        });
    }

    private static byte[] Header(IReadOnlyList<SafetensorsSource> tensors)
    {
        using var memory = new MemoryStream();
        using (var writer = new Utf8JsonWriter(memory, s_options))
        {
            writer.WriteStartObject();
            writer.WriteStartObject("__metadata__");
            writer.WriteString("format", "pt"); // transformers refuses files that do not say so
            writer.WriteEndObject();
            long offset = 0;
            foreach (SafetensorsSource tensor in tensors)
            {
                writer.WriteStartObject(tensor.Name);
                writer.WriteString("dtype", tensor.Type.Name);
                writer.WriteStartArray("shape");
                foreach (long dimension in tensor.Shape)
                    writer.WriteNumberValue(dimension);
                writer.WriteEndArray();
                writer.WriteStartArray("data_offsets");
                writer.WriteNumberValue(offset);
                offset = checked(offset + tensor.ByteCount);
                writer.WriteNumberValue(offset);
                writer.WriteEndArray();
                writer.WriteEndObject();
            }

            writer.WriteEndObject();
        }

        while ((memory.Length + sizeof(ulong)) % Alignment != 0)
            memory.WriteByte((byte)' ');
        return memory.ToArray();
    }
}
