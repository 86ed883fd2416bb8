using System.Buffers.Binary;
using System.Globalization;
using Microsoft.Win32.SafeHandles;

namespace Tern.Files;

/// <summary>
/// Reads a file from front to back through one buffer with ordinary reads. Metadata goes through here and not through a memory map,
/// because a file that shrinks under a map kills the process while here it is an error. Every read is checked against the length
/// captured at open, before anything is allocated for it.
/// </summary>
internal sealed class FileCursor(SafeFileHandle handle, string path, long length)
{
    private readonly byte[] _buffer = new byte[64 * 1024];
    private long _bufferStart; // file offset of _buffer[0]
    private int _next; // next byte to hand out, in [0, _filled]
    private int _filled;

    /// <summary>The file, for error messages.</summary>
    public string Path { get; } = path;

    /// <summary>Bytes in the file when it was opened.</summary>
    public long Length { get; } = length;

    /// <summary>File offset of the next byte.</summary>
    public long Offset => _bufferStart + _next;

    /// <summary>Bytes between <see cref="Offset"/> and the end.</summary>
    public long Remaining => Length - Offset;

    /// <summary>What is being read, such as <c>key 'general.name'</c>; error messages put it behind the field.</summary>
    public string? Subject { get; set; }

    public byte UInt8(string field) => Take(1, field)[0];

    public ushort UInt16(string field) => BinaryPrimitives.ReadUInt16LittleEndian(Take(2, field));

    public uint UInt32(string field) => BinaryPrimitives.ReadUInt32LittleEndian(Take(4, field));

    public ulong UInt64(string field) => BinaryPrimitives.ReadUInt64LittleEndian(Take(8, field));

    /// <summary>Fills a span from the file.</summary>
    /// <exception cref="TernException">Fewer bytes remain.</exception>
    public void Fill(Span<byte> destination, string field)
    {
        RequireRemaining(destination.Length, field);
        while (destination.Length > 0)
        {
            if (_next == _filled)
                Refill(field);
            int count = Math.Min(destination.Length, _filled - _next);
            _buffer.AsSpan(_next, count).CopyTo(destination);
            destination = destination[count..];
            _next += count;
        }
    }

    /// <summary>The next bytes without a copy, valid until the next read.</summary>
    /// <param name="count">At most 4096.</param>
    /// <param name="field">What they are.</param>
    /// <exception cref="TernException">Fewer bytes remain.</exception>
    public ReadOnlySpan<byte> Take(int count, string field)
    {
        if (_filled - _next < count)
        {
            RequireRemaining(count, field);
            while (_filled - _next < count)
                Refill(field);
        }

        ReadOnlySpan<byte> taken = _buffer.AsSpan(_next, count);
        _next += count;
        return taken;
    }

    /// <summary>Gives the last <paramref name="count"/> taken bytes back.</summary>
    public void Rewind(int count)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(count, _next);
        _next -= count;
    }

    /// <summary>Fills a span from an offset without moving; bytes beyond the end of the file are left as they are.</summary>
    /// <returns>Bytes read.</returns>
    public int FillAt(Span<byte> destination, long offset, string field)
    {
        try
        {
            return RandomAccess.Read(handle, destination, offset);
        }
        catch (IOException e)
        {
            throw FileError.Whole(ErrorKind.File, Path, field, $"cannot be read: {e.Message}", "check the disk", e);
        }
    }

    /// <summary>An error at an offset, with <see cref="Subject"/> behind the field.</summary>
    public TernException Error(ErrorKind kind, long offset, string field, string what, string remedy) =>
        FileError.At(kind, Path, offset, Subject is null ? field : $"{field} of {Subject}", what, remedy);

    /// <summary>A limit error that names the limit.</summary>
    public TernException OverLimit(long offset, string field, ulong found, string limitName, long limit) =>
        Error(
            ErrorKind.Limit,
            offset,
            field,
            string.Create(CultureInfo.InvariantCulture, $"{found} is above the limit {nameof(GgufLimits)}.{limitName} of {limit}"),
            "no model that Tern knows needs more; raise the limit if the file is to be trusted");

    private void RequireRemaining(long count, string field)
    {
        if (count > Remaining)
        {
            throw Error(
                ErrorKind.Format,
                Offset,
                field,
                string.Create(CultureInfo.InvariantCulture, $"needs {count} bytes, but the file ends after {Remaining} (at {Length})"),
                "the file is cut off or damaged: download it again");
        }
    }

    private void Refill(string field)
    {
        int kept = _filled - _next;
        _buffer.AsSpan(_next, kept).CopyTo(_buffer);
        _bufferStart += _next;
        _next = 0;
        _filled = kept;

        long position = _bufferStart + kept;
        int wanted = (int)Math.Min(_buffer.Length - kept, Length - position);
        int read = FillAt(_buffer.AsSpan(kept, wanted), position, field);
        if (read == 0)
            throw Error(ErrorKind.Format, position, field, "the file became shorter while it was read", "let the download finish first");
        _filled = kept + read;
    }
}
