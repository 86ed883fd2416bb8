namespace Tern.Training.Data;

/// <summary>The lines of a file as bytes, each with its line break; lines beyond a limit come in parts.</summary>
internal sealed class LineReader : IDisposable
{
    private readonly FileStream _stream;
    private readonly string _path;
    private readonly byte[] _block;
    private int _start; // of the next line in _block
    private int _end; // of the bytes in _block
    private int _lineStart;
    private int _lineLength;
    private bool _inLine; // the line before came in part
    private bool _first = true;

    /// <summary>Opens a file.</summary>
    /// <param name="path">The file.</param>
    /// <param name="lineBytesMax">Longer lines come in parts of this many bytes.</param>
    /// <exception cref="TernException">It cannot be read.</exception>
    public LineReader(string path, int lineBytesMax)
    {
        _path = path;
        _block = new byte[lineBytesMax];
        _stream = Reading(() => new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, bufferSize: 1, FileOptions.SequentialScan));
    }

    /// <summary>The line, or the part of it.</summary>
    public ReadOnlySpan<byte> Line => _block.AsSpan(_lineStart, _lineLength);

    /// <summary>Where <see cref="Line"/> begins in the file.</summary>
    public long Offset { get; private set; }

    /// <summary>False for parts of a line that is longer than the limit.</summary>
    public bool IsWhole { get; private set; }

    /// <summary>Goes to the next line; false at the end of the file.</summary>
    /// <exception cref="TernException">The file cannot be read.</exception>
    public bool Next()
    {
        Offset += _lineLength;
        if (_first)
        {
            _first = false;
            Fill();
            if (_block.AsSpan(_start, _end - _start).StartsWith("\uFEFF"u8))
                (_start, Offset) = (_start + 3, 3);
        }

        int length = Find();
        if (length == 0 && _end - _start < _block.Length)
        {
            Fill();
            length = Find();
        }

        bool ends = length > 0;
        if (!ends)
            length = _end - _start; // the end of the file, or a part of a long line
        bool atEnd = !ends && length < _block.Length;
        (_lineStart, _lineLength) = (_start, length);
        _start += length;
        IsWhole = !_inLine && (ends || atEnd);
        _inLine = !ends;
        return length > 0;
    }

    public void Dispose() => _stream.Dispose();

    /// <summary>Length of the line in the block, its break included; 0 when the block ends before it.</summary>
    private int Find() => _block.AsSpan(_start, _end - _start).IndexOf((byte)'\n') + 1;

    /// <summary>Moves what is left to the front and reads until the block is full or the file ends.</summary>
    private void Fill()
    {
        _block.AsSpan(_start, _end - _start).CopyTo(_block);
        (_start, _end) = (0, _end - _start);
        while (_end < _block.Length)
        {
            int count = Reading(() => _stream.Read(_block, _end, _block.Length - _end));
            if (count == 0)
                return;
            _end += count;
        }
    }

    private T Reading<T>(Func<T> read)
    {
        try
        {
            return read();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new TernException(ErrorKind.File, $"{_path}: cannot be read: {e.Message}", e);
        }
    }
}
