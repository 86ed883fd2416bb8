using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;
using Tern.Numerics;

namespace Tern.Files;

/// <summary>A tensor to be written: what it is, and a way to produce its bytes when their turn comes.</summary>
/// <param name="Name">1 to 64 bytes of UTF-8.</param>
/// <param name="Type">A type that fits the shape.</param>
/// <param name="Shape">One to four dimensions, innermost first.</param>
/// <param name="Write">Writes exactly the bytes of the type for this shape; it is called once, after all tensors before it.</param>
internal sealed record TensorSource(string Name, TensorType Type, IReadOnlyList<long> Shape, Action<Stream> Write)
{
    /// <summary>A tensor copied byte by byte, in pieces of one mebibyte.</summary>
    public static TensorSource From(Tensor tensor) => new(tensor.Name, tensor.Type, tensor.Shape, stream =>
    {
        const int piece = 1 << 20;
        for (long done = 0; done < tensor.ByteCount; done += piece)
            stream.Write(tensor.Bytes(done, (int)Math.Min(piece, tensor.ByteCount - done)));
    });
}

/// <summary>
/// Writes GGUF version 3: metadata and tensors in the order given, tensor data consecutive and padded with zeros, as every reader takes
/// it. Tensors stream, so a model larger than the memory can be written; the file appears under its name only when it is whole.
/// </summary>
internal static class GgufWriter
{
    private const uint Version = 3;

    /// <summary>Writes a file.</summary>
    /// <param name="path">Replaced when it exists.</param>
    /// <param name="metadata">Written entry by entry; <c>general.alignment</c> in it counts.</param>
    /// <param name="tensors">Names without repetition.</param>
    /// <exception cref="TernException">The file cannot be written.</exception>
    /// <exception cref="ArgumentException">A tensor has a bad name or shape, or its source wrote another number of bytes.</exception>
    public static void Write(string path, Metadata metadata, IReadOnlyList<TensorSource> tensors)
    {
        uint alignment = GgufPart.ReadAlignment(metadata);
        long[] sizes = [.. tensors.Select(SizeOf)];
        if (tensors.Select(t => t.Name).Distinct(StringComparer.Ordinal).Count() != tensors.Count)
            throw new ArgumentException("two tensors have the same name", nameof(tensors));

        AtomicFile.Write(path, stream =>
        {
            using (var writer = new BinaryWriter(stream, Encoding.UTF8, leaveOpen: true))
            {
                writer.Write("GGUF"u8);
                writer.Write(Version);
                writer.Write((ulong)tensors.Count);
                writer.Write((ulong)metadata.Entries.Count);
                foreach (MetadataEntry entry in metadata.Entries)
                    WriteEntry(writer, entry);
                WriteInfos(writer, tensors, sizes, alignment);
            }

            for (int i = 0; i < tensors.Count; i++)
            {
                Pad(stream, alignment);
                long start = stream.Position;
                tensors[i].Write(stream);
                if (stream.Position - start != sizes[i])
                    throw new ArgumentException(string.Create(CultureInfo.InvariantCulture, $"the source of tensor '{tensors[i].Name}' wrote {stream.Position - start} bytes, its type needs {sizes[i]}"), nameof(tensors));
            }

            Pad(stream, alignment);
        });
    }

    private static long SizeOf(TensorSource tensor)
    {
        long[] shape = [.. tensor.Shape];
        int nameBytes = Encoding.UTF8.GetByteCount(tensor.Name);
        if (nameBytes is 0 || nameBytes > GgufLimits.Default.NameBytes || shape.Length is 0 or > 4 || shape.Any(d => d < 1)
            || !TensorExtent.TryFold(shape, long.MaxValue, out TensorExtent extent) || !tensor.Type.FitsShape(extent.Columns, extent.Rows))
            throw new ArgumentException($"tensor '{tensor.Name}' {TensorExtent.Describe(shape)} cannot be written as {tensor.Type.Name}", nameof(tensor));
        return checked((long)tensor.Type.ByteCount(extent.Columns, extent.Rows));
    }

    private static void WriteInfos(BinaryWriter writer, IReadOnlyList<TensorSource> tensors, long[] sizes, uint alignment)
    {
        UInt128 offset = 0;
        for (int i = 0; i < tensors.Count; i++)
        {
            WriteString(writer, Encoding.UTF8.GetBytes(tensors[i].Name));
            writer.Write((uint)tensors[i].Shape.Count);
            foreach (long dimension in tensors[i].Shape)
                writer.Write(dimension);
            writer.Write((uint)tensors[i].Type.GgufId);
            writer.Write(checked((ulong)offset));
            offset = TensorExtent.Align(offset + (UInt128)sizes[i], alignment);
        }
    }

    private static void WriteEntry(BinaryWriter writer, MetadataEntry entry)
    {
        WriteString(writer, Encoding.UTF8.GetBytes(entry.Key));
        writer.Write((uint)entry.Type);
        if (entry.Type != MetadataType.Array)
        {
            WriteScalar(writer, entry.Value);
            return;
        }

        writer.Write((uint)entry.ElementType);
        switch (entry.ElementType)
        {
            case MetadataType.String:
                var table = (StringTable)entry.Value;
                writer.Write((ulong)table.Count);
                for (int i = 0; i < table.Count; i++)
                    WriteString(writer, table[i]);
                break;
            case MetadataType.UInt8:
                WriteElements((byte[])entry.Value);
                break;
            case MetadataType.Int8:
                WriteElements((sbyte[])entry.Value);
                break;
            case MetadataType.UInt16:
                WriteElements((ushort[])entry.Value);
                break;
            case MetadataType.Int16:
                WriteElements((short[])entry.Value);
                break;
            case MetadataType.UInt32:
                WriteElements((uint[])entry.Value);
                break;
            case MetadataType.Int32:
                WriteElements((int[])entry.Value);
                break;
            case MetadataType.Float32:
                WriteElements((float[])entry.Value);
                break;
            case MetadataType.Bool:
                WriteElements((bool[])entry.Value);
                break;
            case MetadataType.UInt64:
                WriteElements((ulong[])entry.Value);
                break;
            case MetadataType.Int64:
                WriteElements((long[])entry.Value);
                break;
            default:
                WriteElements((double[])entry.Value);
                break;
        }

        void WriteElements<T>(T[] elements)
            where T : unmanaged
        {
            writer.Write((ulong)elements.Length);
            writer.Write(MemoryMarshal.AsBytes<T>(elements));
        }
    }

    private static void WriteScalar(BinaryWriter writer, object value)
    {
        switch (value)
        {
            case byte v:
                writer.Write(v);
                break;
            case sbyte v:
                writer.Write(v);
                break;
            case ushort v:
                writer.Write(v);
                break;
            case short v:
                writer.Write(v);
                break;
            case uint v:
                writer.Write(v);
                break;
            case int v:
                writer.Write(v);
                break;
            case float v:
                writer.Write(v);
                break;
            case bool v:
                writer.Write(v);
                break;
            case ulong v:
                writer.Write(v);
                break;
            case long v:
                writer.Write(v);
                break;
            case double v:
                writer.Write(v);
                break;
            default:
                WriteString(writer, Encoding.UTF8.GetBytes((string)value));
                break;
        }
    }

    private static void WriteString(BinaryWriter writer, ReadOnlySpan<byte> bytes)
    {
        writer.Write((ulong)bytes.Length);
        writer.Write(bytes);
    }

    private static void Pad(FileStream stream, uint alignment)
    {
        UInt128 end = TensorExtent.Align((UInt128)stream.Position, alignment);
        Span<byte> zeros = stackalloc byte[64];
        zeros.Clear();
        while ((UInt128)stream.Position < end)
            stream.Write(zeros[..(int)Math.Min(zeros.Length, (long)end - stream.Position)]);
    }
}
