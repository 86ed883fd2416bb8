using System.Buffers.Binary;
using System.Globalization;
using Microsoft.Win32.SafeHandles;
using Tern.Numerics;

namespace Tern.Files;

/// <summary>
/// One safetensors file, read, checked and mapped.
/// <code>
/// | u64 header length N | N bytes of JSON, padded with spaces | tensor data, without gaps |
/// 0                     8                                     8 + N                       end of the file
/// </code>
/// Little-endian; nothing aligns the data but the habit of writers to pad the header.
/// </summary>
internal sealed class SafetensorsFile : IDisposable
{
    /// <summary>Bytes of a header: the format's own bound.</summary>
    public const int HeaderBytesMax = 100_000_000;

    private const int PrefixBytes = sizeof(ulong);

    private static readonly byte[] s_lfsPointer = "version https://git-lfs"u8.ToArray();

    private readonly MappedFile _map;

    private SafetensorsFile(MappedFile map, IReadOnlyList<SafetensorsEntry> entries) => (_map, Entries) = (map, entries);

    public string Path => _map.Path;

    /// <summary>The tensors in the order of their data.</summary>
    public IReadOnlyList<SafetensorsEntry> Entries { get; }

    /// <summary>The map that the tensors lie in.</summary>
    public MappedFile Map => _map;

    /// <summary>Opens a file.</summary>
    /// <exception cref="TernException">The file is missing or malformed; the message names offset and field.</exception>
    public static SafetensorsFile Open(string path)
    {
        SafeFileHandle handle = ModelFile.Open(path, out long length);
        MappedFile map;
        try
        {
            map = MappedFile.Open(handle, path, length);
        }
        catch
        {
            handle.Dispose();
            throw;
        }

        try
        {
            int headerBytes = HeaderBytes(map);
            return new SafetensorsFile(map, SafetensorsHeader.Read(map.Bytes(PrefixBytes, headerBytes), path, length - PrefixBytes - headerBytes));
        }
        catch
        {
            map.Dispose();
            throw;
        }
    }

    /// <summary>A tensor of this file under another name, with a type that needs exactly its bytes.</summary>
    /// <param name="entry">What the header says of it.</param>
    /// <param name="name">Its name in the model.</param>
    /// <param name="type">What its bits mean.</param>
    /// <param name="shape">Dimensions, innermost first.</param>
    public Tensor Tensor(SafetensorsEntry entry, string name, TensorType type, IReadOnlyList<long> shape) =>
        _map.Tensor(name, type, shape, entry.Offset, entry.ByteCount);

    public void Dispose() => _map.Dispose();

    private static int HeaderBytes(MappedFile map)
    {
        const string field = "header length";
        const string takeAgain = "the file is cut off or damaged: download it again";
        if (map.Length < PrefixBytes)
            throw FileError.At(ErrorKind.Format, map.Path, 0, field, string.Create(CultureInfo.InvariantCulture, $"the file has {map.Length} bytes and cannot hold one"), takeAgain);

        ulong count = BinaryPrimitives.ReadUInt64LittleEndian(map.Bytes(0, PrefixBytes));
        if (count > (ulong)(map.Length - PrefixBytes))
        {
            bool isPointer = map.Bytes(0, (int)Math.Min(s_lfsPointer.Length, map.Length)).SequenceEqual(s_lfsPointer);
            throw FileError.At(
                ErrorKind.Format,
                map.Path,
                0,
                field,
                string.Create(CultureInfo.InvariantCulture, $"is {count}, but only {map.Length - PrefixBytes} bytes follow"),
                isPointer ? "this is a Git LFS pointer, which stands for the file and is not it: run `git lfs pull`, or download the file itself" : takeAgain);
        }

        return count <= HeaderBytesMax
            ? (int)count
            : throw FileError.At(ErrorKind.Limit, map.Path, 0, field, string.Create(CultureInfo.InvariantCulture, $"is {count}, above the limit {nameof(SafetensorsFile)}.{nameof(HeaderBytesMax)} of {HeaderBytesMax}"), "no checkpoint needs that much: take the file from a source you trust");
    }
}
