using System.IO.MemoryMappedFiles;
using Microsoft.Win32.SafeHandles;
using Tern.Machine;
using Tern.Numerics;

namespace Tern.Files;

/// <summary>
/// A file's bytes as memory, read-only; the only file of this room that holds a pointer. Its length is the one captured when the file
/// was opened, and a tensor gets its address here only after its extent was compared with that length.
/// </summary>
/// <remarks>
/// A file that is truncated by someone else while it is mapped ends the process at the next touch of a lost page; no library can catch
/// that. Tern's own writers therefore never change a file in place: they rename a finished one over it, which leaves the map whole.
/// </remarks>
internal sealed unsafe class MappedFile : IDisposable
{
    private readonly MemoryMappedFile _file;
    private readonly MemoryMappedViewAccessor _view;
    private readonly byte* _start;
    private bool _disposed;

    private MappedFile(MemoryMappedFile file, string path, long length)
    {
        _file = file;
        Path = path;
        Length = length;
        _view = file.CreateViewAccessor(0, length, MemoryMappedFileAccess.Read);
        _view.SafeMemoryMappedViewHandle.AcquirePointer(ref _start);
        _start += _view.PointerOffset;
    }

    public string Path { get; }

    /// <summary>Bytes that may be touched.</summary>
    public long Length { get; }

    /// <summary>Maps the first <paramref name="length"/> bytes of an open file, which the map then keeps open.</summary>
    /// <exception cref="TernException">The system refuses the map.</exception>
    public static MappedFile Open(SafeFileHandle handle, string path, long length)
    {
        MemoryMappedFile? file = null;
        try
        {
            file = MemoryMappedFile.CreateFromFile(handle, mapName: null, length, MemoryMappedFileAccess.Read, HandleInheritability.None, leaveOpen: false);
            return new MappedFile(file, path, length);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException or OutOfMemoryException)
        {
            file?.Dispose();
            throw FileError.Whole(ErrorKind.File, path, "memory map", $"refused: {e.Message}", "check the free address space and that nobody shortens the file", e);
        }
    }

    /// <summary>Bytes of the file, bounds checked; valid until <see cref="Dispose"/>.</summary>
    public ReadOnlySpan<byte> Bytes(long offset, int count)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        ArgumentOutOfRangeException.ThrowIfNegative(offset);
        ArgumentOutOfRangeException.ThrowIfNegative(count);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(offset, Length - count);
        return new ReadOnlySpan<byte>(_start + offset, count);
    }

    /// <summary>A tensor whose bytes lie in this file.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The bytes are not all inside the file: the caller did not validate them.</exception>
    public Tensor Tensor(string name, TensorType type, IReadOnlyList<long> shape, long offset, long byteCount)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        ArgumentOutOfRangeException.ThrowIfNegative(offset);
        ArgumentOutOfRangeException.ThrowIfNegative(byteCount);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(offset, Length - byteCount);
        return new Tensor
        {
            Name = name,
            Type = type,
            Shape = shape,
            Data = _start + offset,
            ByteCount = byteCount,
            Path = Path,
            FileOffset = offset,
        };
    }

    /// <summary>Takes the pages of a tensor out of this process's memory: it was copied and will be read rarely. Its bytes can still be read.</summary>
    public void Drop(Tensor tensor) => MappedPages.Drop(Inside(tensor), tensor.ByteCount);

    /// <summary>Begins to read the pages of a tensor that is needed soon.</summary>
    public void Fetch(Tensor tensor) => MappedPages.Fetch(Inside(tensor), tensor.ByteCount);

    /// <summary>Whether the tensor's bytes are this file's.</summary>
    public bool Owns(Tensor tensor) => tensor.Data >= _start && tensor.Data - _start <= Length - tensor.ByteCount;

    public void Dispose()
    {
        if (_disposed)
            return;
        _disposed = true;
        _view.SafeMemoryMappedViewHandle.ReleasePointer();
        _view.Dispose();
        _file.Dispose();
    }

    private byte* Inside(Tensor tensor)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        return Owns(tensor) ? tensor.Data : throw new ArgumentException($"{tensor.Name} is not in {Path}", nameof(tensor));
    }
}
