using System.Globalization;
using System.Text;
using System.Text.Unicode;
using Tern.Numerics;

namespace Tern.Files;

/// <summary>
/// Reads the tensor infos of a GGUF file and places the tensors in its data section.
/// <code>
/// info   | u64 length | name | u32 dimensions n | n × i64, innermost first | i32 type | u64 offset from data start |
/// </code>
/// Tensors may stand in any order and with gaps, but inside the file, aligned, and without overlap.
/// </summary>
internal sealed class GgufTensorReader(FileCursor cursor, GgufLimits limits, TypeBySpan types, uint alignment)
{
    /// <summary>The least an info takes: name length, one byte of name, dimension count, one dimension, type, offset.</summary>
    public const int InfoBytesMin = 8 + 1 + 4 + 8 + 4 + 8;

    private const int DimensionsMax = 4;
    private const string TakeAgain = "the file is damaged: download or convert it again";

    /// <summary>Reads <paramref name="count"/> infos; their offsets are still those of the file, from the data start.</summary>
    /// <exception cref="TernException">An info is malformed or repeated.</exception>
    public List<TensorInfo> ReadInfos(int count)
    {
        var infos = new List<TensorInfo>();
        var names = new HashSet<string>(StringComparer.Ordinal);
        for (int i = 0; i < count; i++)
        {
            cursor.Subject = string.Create(CultureInfo.InvariantCulture, $"tensor info {i}");
            long offset = cursor.Offset;
            string name = ReadName();
            if (!names.Add(name))
                throw cursor.Error(ErrorKind.Format, offset, "name", $"{FileError.Quote(name)} is there twice", TakeAgain);
            cursor.Subject = $"tensor {FileError.Quote(name)}";
            infos.Add(ReadRest(name));
        }

        cursor.Subject = null;
        return infos;
    }

    /// <summary>Checks every tensor's place and settles its type.</summary>
    /// <param name="infos">From <see cref="ReadInfos"/>.</param>
    /// <param name="dataStart">File offset of the data section.</param>
    /// <param name="unused">Bytes of the data section, beyond padding, that belong to no tensor.</param>
    /// <returns>Name, type, place and size, in the order of the infos.</returns>
    /// <exception cref="TernException">A tensor is outside the file, overlaps another or has no type that Tern runs.</exception>
    public List<PlacedTensor> Place(List<TensorInfo> infos, long dataStart, out long unused)
    {
        TensorInfo[] inFile = [.. infos.Select(info => Locate(info, dataStart))];
        int[] order = [.. Enumerable.Range(0, inFile.Length)];
        Array.Sort(order, (a, b) => inFile[a].DataOffset.CompareTo(inFile[b].DataOffset));

        var placed = new PlacedTensor[inFile.Length];
        UInt128 end = (UInt128)dataStart;
        unused = 0;
        for (int i = 0; i < order.Length; i++)
        {
            TensorInfo tensor = inFile[order[i]];
            TensorInfo? next = i + 1 < order.Length ? inFile[order[i + 1]] : null;
            long span = (next?.DataOffset ?? cursor.Length) - tensor.DataOffset;
            (TensorType type, long bytes) = types.Settle(tensor, span, next);
            placed[order[i]] = new PlacedTensor(tensor.Name, type, tensor.Shape, tensor.Extent, tensor.DataOffset, bytes);
            unused = checked(unused + (long)((UInt128)tensor.DataOffset - end));
            end = UInt128.Min(TensorExtent.Align((UInt128)tensor.DataOffset + (UInt128)bytes, alignment), (UInt128)cursor.Length);
        }

        unused = checked(unused + cursor.Length - long.Min((long)end, cursor.Length));
        return [.. placed];
    }

    private string ReadName()
    {
        long offset = cursor.Offset;
        ulong length = cursor.UInt64("name length");
        if (length == 0 || length > (ulong)cursor.Remaining)
            throw cursor.Error(ErrorKind.Format, offset, "name length", string.Create(CultureInfo.InvariantCulture, $"is {length}, not between 1 and the {cursor.Remaining} bytes that remain"), TakeAgain);
        if (length > (ulong)limits.NameBytes)
            throw cursor.OverLimit(offset, "name length", length, nameof(GgufLimits.NameBytes), limits.NameBytes);

        Span<byte> bytes = new byte[(int)length];
        cursor.Fill(bytes, "name");
        if (!Utf8.IsValid(bytes) || bytes.ContainsAnyInRange<byte>(0, 31) || bytes.Contains<byte>(127))
            throw cursor.Error(ErrorKind.Format, offset + sizeof(ulong), "name", $"{Convert.ToHexString(bytes)} is not UTF-8 without control characters", TakeAgain);

        string name = Encoding.UTF8.GetString(bytes);
        if (name.AsSpan().ContainsAny('/', '\\') || name.Contains("..", StringComparison.Ordinal))
        {
            throw cursor.Error(
                ErrorKind.Semantic,
                offset,
                "name",
                $"tensor {FileError.Quote(name)} is named like a path",
                "tensor names are never paths; take the file from a source you trust");
        }

        return name;
    }

    private TensorInfo ReadRest(string name)
    {
        long offset = cursor.Offset;
        uint count = cursor.UInt32("dimension count");
        if (count is 0 or > DimensionsMax)
            throw cursor.Error(ErrorKind.Format, offset, "dimension count", string.Create(CultureInfo.InvariantCulture, $"is {count}, not 1 to {DimensionsMax}"), TakeAgain);

        var shape = new long[count];
        long shapeOffset = cursor.Offset;
        for (int d = 0; d < shape.Length; d++)
        {
            offset = cursor.Offset;
            shape[d] = unchecked((long)cursor.UInt64("dimension"));
            if (shape[d] < 1)
                throw cursor.Error(ErrorKind.Format, offset, string.Create(CultureInfo.InvariantCulture, $"dimension {d}"), string.Create(CultureInfo.InvariantCulture, $"is {shape[d]}, below 1"), TakeAgain);
        }

        if (!TensorExtent.TryFold(shape, cursor.Length, out TensorExtent extent))
        {
            throw cursor.Error(
                ErrorKind.Format,
                shapeOffset,
                "dimensions",
                string.Create(CultureInfo.InvariantCulture, $"{TensorExtent.Describe(shape)} are more weights than a file of {cursor.Length} bytes can hold in any type"),
                TakeAgain);
        }

        long typeOffset = cursor.Offset;
        uint typeId = cursor.UInt32("type");
        if (typeId > int.MaxValue || !types.IsKnown((int)typeId))
            throw cursor.Error(ErrorKind.Format, typeOffset, "type", string.Create(CultureInfo.InvariantCulture, $"id {typeId} is not a tensor type of any program that Tern knows"), "the file is damaged, or newer than this Tern: update Tern or use another file");

        offset = cursor.Offset;
        ulong dataOffset = cursor.UInt64("data offset");
        if (dataOffset % alignment != 0)
            throw cursor.Error(ErrorKind.Format, offset, "data offset", string.Create(CultureInfo.InvariantCulture, $"is {dataOffset}, not a multiple of the alignment {alignment}"), TakeAgain);
        if (dataOffset > (ulong)cursor.Length)
            throw cursor.Error(ErrorKind.Format, offset, "data offset", string.Create(CultureInfo.InvariantCulture, $"is {dataOffset}, beyond the end of the file at {cursor.Length}"), "the file is cut off or damaged: download it again");
        return new TensorInfo(name, shape, extent, (int)typeId, typeOffset, (long)dataOffset);
    }

    private TensorInfo Locate(TensorInfo info, long dataStart)
    {
        UInt128 start = (UInt128)dataStart + (UInt128)info.DataOffset;
        if (start >= (UInt128)cursor.Length)
        {
            throw FileError.At(
                ErrorKind.Format,
                cursor.Path,
                info.TypeOffset + sizeof(int),
                $"data offset of tensor {FileError.Quote(info.Name)}",
                string.Create(CultureInfo.InvariantCulture, $"is {info.DataOffset}, so that the data begins at {start}, not before the end of the file at {cursor.Length}"),
                "the file is cut off or damaged: download it again");
        }

        return info with { DataOffset = (long)start };
    }
}

/// <summary>A tensor whose place in its file has been checked.</summary>
/// <param name="Name">The tensor's name.</param>
/// <param name="Type">What its bits mean.</param>
/// <param name="Shape">Dimensions, innermost first.</param>
/// <param name="Extent">The same, folded.</param>
/// <param name="Offset">Where the data begins in the file.</param>
/// <param name="ByteCount">Bytes of data, unpadded; all inside the file.</param>
internal readonly record struct PlacedTensor(string Name, TensorType Type, IReadOnlyList<long> Shape, TensorExtent Extent, long Offset, long ByteCount);
