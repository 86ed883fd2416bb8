using System.Buffers.Binary;
using System.Text;
using Tern.Files;

namespace Tern.Tests.Text;

/// <summary>Reads the metadata of well-formed GGUF files, for tests of this room alone. It gives way to GgufFile.Open.</summary>
internal static class VectorMetadata
{
    public static Metadata Read(string path)
    {
        byte[] file = File.ReadAllBytes(path);
        var metadata = new Metadata(path);
        int at = 16;
        for (long left = (long)U64(file, ref at); left > 0; left--)
        {
            long offset = at;
            string key = Encoding.UTF8.GetString(Bytes(file, ref at));
            var type = (MetadataType)U32(file, ref at);
            MetadataType element = default;
            object value;
            if (type == MetadataType.Array)
            {
                element = (MetadataType)U32(file, ref at);
                value = Array(file, ref at, element, (int)U64(file, ref at));
            }
            else
            {
                value = type == MetadataType.String ? Encoding.UTF8.GetString(Bytes(file, ref at)) : Scalars(file, ref at, type, 1).GetValue(0)!;
            }

            Assert.True(metadata.TryAdd(new MetadataEntry(key, type, element, value, offset)));
        }

        return metadata;
    }

    private static object Array(byte[] file, ref int at, MetadataType element, int count)
    {
        if (element != MetadataType.String)
            return Scalars(file, ref at, element, count);

        using var bytes = new MemoryStream();
        var offsets = new int[count + 1];
        for (int i = 0; i < count; i++)
        {
            bytes.Write(Bytes(file, ref at));
            offsets[i + 1] = (int)bytes.Length;
        }

        return new StringTable(bytes.ToArray(), offsets);
    }

    private static Array Scalars(byte[] file, ref int at, MetadataType type, int count)
    {
        Array values = type switch
        {
            MetadataType.UInt8 => new byte[count],
            MetadataType.Int8 => new sbyte[count],
            MetadataType.UInt16 => new ushort[count],
            MetadataType.Int16 => new short[count],
            MetadataType.UInt32 => new uint[count],
            MetadataType.Int32 => new int[count],
            MetadataType.Float32 => new float[count],
            MetadataType.Bool => new bool[count],
            MetadataType.UInt64 => new ulong[count],
            MetadataType.Int64 => new long[count],
            MetadataType.Float64 => new double[count],
            _ => throw new ArgumentOutOfRangeException(nameof(type)),
        };
        int length = Buffer.ByteLength(values);
        Buffer.BlockCopy(file, at, values, 0, length);
        at += length;
        return values;
    }

    private static ReadOnlySpan<byte> Bytes(byte[] file, ref int at)
    {
        int length = (int)U64(file, ref at);
        at += length;
        return file.AsSpan(at - length, length);
    }

    private static uint U32(byte[] file, ref int at) => BinaryPrimitives.ReadUInt32LittleEndian(file.AsSpan((at += 4) - 4));

    private static ulong U64(byte[] file, ref int at) => BinaryPrimitives.ReadUInt64LittleEndian(file.AsSpan((at += 8) - 8));
}
