using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.Unicode;

namespace Tern.Files;

/// <summary>
/// Reads the key-value section of a GGUF file.
/// <code>
/// entry   | u64 length | key bytes | i32 type | value |
/// string  | u64 length | bytes |
/// array   | i32 element type | u64 count | elements, packed; strings each with their length |
/// </code>
/// A count or length is compared with the bytes that remain before anything is allocated for it; what grows does so as bytes arrive.
/// </summary>
internal sealed class GgufMetadataReader(FileCursor cursor, GgufLimits limits, List<string> warnings)
{
    /// <summary>The least an entry takes: key length, one byte of key, type, one byte of value.</summary>
    public const int EntryBytesMin = 8 + 1 + 4 + 1;

    private const string TakeAgain = "the file is damaged: download or convert it again";

    private byte[] _scratch = new byte[1024];

    /// <summary>Reads <paramref name="count"/> entries.</summary>
    /// <exception cref="TernException">An entry is malformed, repeated or over a limit.</exception>
    public Metadata Read(int count)
    {
        var metadata = new Metadata(cursor.Path);
        for (int i = 0; i < count; i++)
        {
            cursor.Subject = string.Create(CultureInfo.InvariantCulture, $"metadata entry {i}");
            long keyOffset = cursor.Offset;
            string key = ReadKey();
            cursor.Subject = $"key {FileError.Quote(key)}";

            MetadataType type = ReadType("type");
            long offset = cursor.Offset;
            (object value, MetadataType element) = type == MetadataType.Array ? ReadArray() : (ReadScalar(type), default);
            if (!metadata.TryAdd(new MetadataEntry(key, type, element, value, offset)))
                throw cursor.Error(ErrorKind.Format, keyOffset, "key", "is there twice, first for the value at offset " + Number(metadata.Find(key)!.Offset), TakeAgain);
        }

        cursor.Subject = null;
        return metadata;
    }

    private string ReadKey()
    {
        long offset = cursor.Offset;
        int length = ReadLength("key length", nameof(GgufLimits.KeyBytes), limits.KeyBytes);
        if (length == 0)
            throw cursor.Error(ErrorKind.Format, offset, "key length", "is 0", TakeAgain);
        ReadOnlySpan<byte> bytes = ReadScratch(length, "key");
        if (!Utf8.IsValid(bytes))
            throw cursor.Error(ErrorKind.Format, offset + sizeof(ulong), "key", $"is not UTF-8 ({Convert.ToHexString(bytes[..Math.Min(16, length)])}…)", TakeAgain);
        return Encoding.UTF8.GetString(bytes);
    }

    /// <summary>A length that is at most the bytes that remain, which is looked at first: a length beyond the end is damage, not size.</summary>
    private int ReadLength(string field, string limitName, int limit)
    {
        long offset = cursor.Offset;
        ulong length = cursor.UInt64(field);
        if (length > (ulong)cursor.Remaining)
            throw cursor.Error(ErrorKind.Format, offset, field, $"is {Number(length)}, but only {Number(cursor.Remaining)} bytes remain", TakeAgain);
        if (length > (ulong)limit)
            throw cursor.OverLimit(offset, field, length, limitName, limit);
        return (int)length;
    }

    private MetadataType ReadType(string field)
    {
        long offset = cursor.Offset;
        uint id = cursor.UInt32(field);
        return id <= (uint)MetadataType.Float64
            ? (MetadataType)id
            : throw cursor.Error(ErrorKind.Format, offset, field, $"is {Number(id)}, not one of the value types 0 to 12", TakeAgain);
    }

    private object ReadScalar(MetadataType type)
    {
        const string field = "value";
        return type switch
        {
            MetadataType.UInt8 => cursor.UInt8(field),
            MetadataType.Int8 => unchecked((sbyte)cursor.UInt8(field)),
            MetadataType.UInt16 => cursor.UInt16(field),
            MetadataType.Int16 => unchecked((short)cursor.UInt16(field)),
            MetadataType.UInt32 => cursor.UInt32(field),
            MetadataType.Int32 => unchecked((int)cursor.UInt32(field)),
            MetadataType.Float32 => BitConverter.UInt32BitsToSingle(cursor.UInt32(field)),
            MetadataType.Bool => ReadBool(),
            MetadataType.UInt64 => cursor.UInt64(field),
            MetadataType.Int64 => unchecked((long)cursor.UInt64(field)),
            MetadataType.Float64 => BitConverter.UInt64BitsToDouble(cursor.UInt64(field)),
            _ => ReadString(),
        };
    }

    private bool ReadBool()
    {
        long offset = cursor.Offset;
        byte value = cursor.UInt8("value");
        if (value > 1)
            Warn(offset, $"the boolean byte is {Number(value)}; taken as true");
        return value != 0;
    }

    private string ReadString()
    {
        int length = ReadLength("string length", nameof(GgufLimits.StringBytes), limits.StringBytes);
        long offset = cursor.Offset;
        ReadOnlySpan<byte> bytes = ReadScratch(length, "string");
        if (!Utf8.IsValid(bytes))
            Warn(offset, "the string is not UTF-8 throughout; the bytes that are not were replaced by U+FFFD");
        return Encoding.UTF8.GetString(bytes);
    }

    private (object Value, MetadataType Element) ReadArray()
    {
        long typeOffset = cursor.Offset;
        MetadataType element = ReadType("element type");
        if (element == MetadataType.Array)
        {
            throw cursor.Error(
                ErrorKind.Limit,
                typeOffset,
                "element type",
                $"is array, and arrays in arrays are above the limit {nameof(GgufLimits)}.{nameof(GgufLimits.ArrayDepth)} of {GgufLimits.ArrayDepth}",
                "no GGUF reader takes them: download or convert the file again");
        }


        long countOffset = cursor.Offset;
        ulong count = cursor.UInt64("element count");
        int size = SizeOf(element);
        if (count > (ulong)(cursor.Remaining / size))
            throw cursor.Error(ErrorKind.Format, countOffset, "element count", $"is {Number(count)} of at least {size} bytes each, but only {Number(cursor.Remaining)} bytes remain", TakeAgain);
        if (count > (ulong)(limits.ArrayBytes / size))
            throw cursor.OverLimit(countOffset, "array size in bytes", checked(count * (ulong)size), nameof(GgufLimits.ArrayBytes), limits.ArrayBytes);

        int n = (int)count;
        object value = element switch
        {
            MetadataType.UInt8 => Elements<byte>(n),
            MetadataType.Int8 => Elements<sbyte>(n),
            MetadataType.UInt16 => Elements<ushort>(n),
            MetadataType.Int16 => Elements<short>(n),
            MetadataType.UInt32 => Elements<uint>(n),
            MetadataType.Int32 => Elements<int>(n),
            MetadataType.Float32 => Elements<float>(n),
            MetadataType.Bool => Bools(n),
            MetadataType.UInt64 => Elements<ulong>(n),
            MetadataType.Int64 => Elements<long>(n),
            MetadataType.Float64 => Elements<double>(n),
            _ => Strings(n),
        };
        return (value, element);
    }

    /// <summary>An array of numbers, read as it lies: both the format and every machine that .NET 10 runs on are little-endian.</summary>
    private T[] Elements<T>(int count)
        where T : unmanaged
    {
        T[] elements = GC.AllocateUninitializedArray<T>(count);
        cursor.Fill(MemoryMarshal.AsBytes(elements.AsSpan()), "elements");
        return elements;
    }

    private bool[] Bools(int count)
    {
        long offset = cursor.Offset;
        byte[] bytes = Elements<byte>(count);
        var elements = new bool[count];
        int odd = 0;
        for (int i = 0; i < count; i++)
        {
            elements[i] = bytes[i] != 0;
            odd += bytes[i] > 1 ? 1 : 0;
        }

        if (odd > 0)
            Warn(offset, $"{Number(odd)} boolean bytes are neither 0 nor 1; taken as true");
        return elements;
    }

    private StringTable Strings(int count)
    {
        byte[] bytes = new byte[1024];
        int[] offsets = new int[Math.Min(count, 1024) + 1];
        int used = 0;
        for (int i = 0; i < count; i++)
        {
            int length = ReadLength("string length", nameof(GgufLimits.ArrayStringBytes), limits.ArrayStringBytes);
            if (length > limits.ArrayBytes - used)
                throw cursor.OverLimit(cursor.Offset, "array size in bytes", (ulong)used + (ulong)length, nameof(GgufLimits.ArrayBytes), limits.ArrayBytes);
            if (length > bytes.Length - used)
                Array.Resize(ref bytes, (int)Math.Max(2L * bytes.Length, (long)used + length));
            if (i + 1 == offsets.Length)
                Array.Resize(ref offsets, (int)Math.Min(2L * offsets.Length, (long)count + 1));
            cursor.Fill(bytes.AsSpan(used, length), "string");
            used += length;
            offsets[i + 1] = used;
        }

        Array.Resize(ref bytes, used);
        return new StringTable(bytes, offsets);
    }

    private ReadOnlySpan<byte> ReadScratch(int length, string field)
    {
        if (_scratch.Length < length)
            _scratch = new byte[length];
        cursor.Fill(_scratch.AsSpan(0, length), field);
        return _scratch.AsSpan(0, length);
    }

    /// <summary>Bytes of one element; for strings the least, an empty one.</summary>
    private static int SizeOf(MetadataType type) => type switch
    {
        MetadataType.UInt8 or MetadataType.Int8 or MetadataType.Bool => 1,
        MetadataType.UInt16 or MetadataType.Int16 => 2,
        MetadataType.UInt32 or MetadataType.Int32 or MetadataType.Float32 => 4,
        _ => 8,
    };

    private void Warn(long offset, string what) =>
        warnings.Add($"{cursor.Path}: {cursor.Subject} at offset {Number(offset)}: {what}");

    private static string Number<T>(T value)
        where T : IFormattable => value.ToString(null, CultureInfo.InvariantCulture);
}
