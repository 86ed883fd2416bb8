using System.Globalization;
using Microsoft.Win32.SafeHandles;
using Tern.Numerics;

namespace Tern.Files;

/// <summary>
/// One GGUF file, read and checked.
/// <code>
/// | "GGUF" | u32 version | u64 tensors | u64 entries | entries | tensor infos | zeros | tensor data |
///                                                                              ^ up to a multiple of general.alignment
/// </code>
/// Versions 2 and 3 have this same layout, little-endian.
/// </summary>
internal sealed class GgufPart : IDisposable
{
    private const uint AlignmentDefault = 32;
    private const uint AlignmentMax = 1 << 20;

    private readonly MappedFile _map;

    private GgufPart(MappedFile map, Metadata metadata, IReadOnlyList<PlacedTensor> tensors, IReadOnlyList<string> warnings)
    {
        _map = map;
        Metadata = metadata;
        Warnings = warnings;
        Tensors = [.. tensors.Select(t => map.Tensor(t.Name, t.Type, t.Shape, t.Offset, t.ByteCount))];
    }

    public Metadata Metadata { get; }

    /// <summary>Tensors in the order of their infos.</summary>
    public IReadOnlyList<Tensor> Tensors { get; }

    public IReadOnlyList<string> Warnings { get; }

    /// <summary>Opens, reads and checks a file.</summary>
    /// <exception cref="TernException">The file is missing, malformed or unsupported.</exception>
    public static GgufPart Open(string path, I2sLayout layout, GgufLimits limits)
    {
        SafeFileHandle handle = ModelFile.Open(path, out long length);
        try
        {
            var cursor = new FileCursor(handle, path, length);
            var warnings = new List<string>();
            (int tensorCount, int entryCount) = ReadHeader(cursor, limits);
            Metadata metadata = new GgufMetadataReader(cursor, limits, warnings).Read(entryCount);
            RefuseRotation(metadata);
            uint alignment = ReadAlignment(metadata);

            var reader = new GgufTensorReader(cursor, limits, new TypeBySpan(path, alignment, layout), alignment);
            List<TensorInfo> infos = reader.ReadInfos(tensorCount);
            long dataStart = SkipPadding(cursor, alignment, infos.Count > 0, warnings);
            List<PlacedTensor> tensors = reader.Place(infos, dataStart, out long unused);
            if (unused > 0)
                warnings.Add(string.Create(CultureInfo.InvariantCulture, $"{path}: {unused} bytes of the data section belong to no tensor"));
            if (SparseTail.Check(cursor, tensors) is { } warning)
                warnings.Add(warning);

            return new GgufPart(MappedFile.Open(handle, path, length), metadata, tensors, warnings);
        }
        catch
        {
            handle.Dispose();
            throw;
        }
    }

    /// <summary>The alignment of tensor data, a power of two.</summary>
    /// <exception cref="TernException">The key holds something else.</exception>
    public static uint ReadAlignment(Metadata metadata)
    {
        if (metadata.Find("general.alignment") is not { } entry)
            return AlignmentDefault;

        return entry.Value is uint alignment && uint.IsPow2(alignment) && alignment <= AlignmentMax
            ? alignment
            : throw FileError.At(
                ErrorKind.Format,
                metadata.Path,
                entry.Offset,
                "key 'general.alignment'",
                string.Create(CultureInfo.InvariantCulture, $"is {(entry.Value is string s ? FileError.Quote(s) : entry.Value)} of type {entry.Type}, not a UInt32 power of two up to {AlignmentMax}"),
                "the file is damaged or its converter wrong: download or convert it again");
    }

    /// <summary>The map that the tensors of this part lie in.</summary>
    public MappedFile Map => _map;

    public void Dispose() => _map.Dispose();

    private static (int Tensors, int Entries) ReadHeader(FileCursor cursor, GgufLimits limits)
    {
        ReadOnlySpan<byte> head = cursor.Take((int)Math.Min(32, cursor.Length), "head");
        if (!head.StartsWith("GGUF"u8))
            throw ForeignFiles.Describe(head, cursor.Path, cursor.Length);
        cursor.Rewind(head.Length - sizeof(uint));

        long offset = cursor.Offset;
        uint version = cursor.UInt32("version");
        if (version is not (2 or 3))
        {
            (string what, string remedy) = version switch
            {
                1 => ("is 1, the first layout, whose counts have 32 bits", "convert the original checkpoint to GGUF again"),
                _ when (version & 0xffff) == 0 && version != 0 => (string.Create(CultureInfo.InvariantCulture, $"is 0x{version:x8}, a big-endian file"), "use the little-endian file of the same model"),
                _ => (string.Create(CultureInfo.InvariantCulture, $"is {version}; Tern reads 2 and 3"), "update Tern or use another file"),
            };
            throw cursor.Error(ErrorKind.Unsupported, offset, "version", what, remedy);
        }

        int tensors = ReadCount(cursor, "tensor count", GgufTensorReader.InfoBytesMin, nameof(GgufLimits.Tensors), limits.Tensors);
        int entries = ReadCount(cursor, "metadata count", GgufMetadataReader.EntryBytesMin, nameof(GgufLimits.MetadataEntries), limits.MetadataEntries);
        return (tensors, entries);
    }

    /// <summary>A count that the rest of the file can hold; what it cannot hold is damage, what it can may still be above a limit.</summary>
    private static int ReadCount(FileCursor cursor, string field, int bytesMin, string limitName, int limit)
    {
        long offset = cursor.Offset;
        ulong count = cursor.UInt64(field);
        if (count > (ulong)(cursor.Remaining / bytesMin))
        {
            throw cursor.Error(
                ErrorKind.Format,
                offset,
                field,
                string.Create(CultureInfo.InvariantCulture, $"is {count}, of at least {bytesMin} bytes each, but only {cursor.Remaining} bytes remain"),
                "the file is cut off or damaged: download it again");
        }

        return count <= (ulong)limit ? (int)count : throw cursor.OverLimit(offset, field, count, limitName, limit);
    }

    /// <summary>Weights that were rotated before quantization give garbage without the inverse rotation of the activations.</summary>
    private static void RefuseRotation(Metadata metadata)
    {
        const string prefix = "prism.hadamard.";
        if (metadata.Entries.FirstOrDefault(e => e.Key.StartsWith(prefix, StringComparison.Ordinal)) is { } entry)
        {
            throw FileError.At(
                ErrorKind.Unsupported,
                metadata.Path,
                entry.Offset,
                $"key {FileError.Quote(entry.Key)}",
                $"keys {prefix}* say that the weights are rotated by a Hadamard transform, which Tern does not undo",
                "use a file of the model without rotation, or PrismML's fork of llama.cpp");
        }
    }

    private static long SkipPadding(FileCursor cursor, uint alignment, bool dataFollows, List<string> warnings)
    {
        long end = cursor.Offset;
        UInt128 start = TensorExtent.Align((UInt128)end, alignment);
        if (!dataFollows && start > (UInt128)cursor.Length)
            return cursor.Length;

        cursor.Subject = null;
        bool odd = false;
        while (cursor.Offset < (long)start)
        {
            int count = (int)Math.Min((long)start - cursor.Offset, 4096);
            odd |= cursor.Take(count, "padding before the tensor data").ContainsAnyExcept((byte)0);
        }

        if (odd)
            warnings.Add(string.Create(CultureInfo.InvariantCulture, $"{cursor.Path}: the padding at offset {end} is not zero"));
        return (long)start;
    }
}
