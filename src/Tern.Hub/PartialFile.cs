using System.Buffers;
using System.Text.Json;
using Microsoft.Win32.SafeHandles;
using Tern.Files;

namespace Tern.Hub;

/// <summary>
/// A download that is not finished: the bytes that came, at their final places, and beside them a small JSON file that says which. The state
/// may be older than the bytes (a killed process) or, after a power failure, younger; that costs a few bytes or a second try, because nothing
/// gets its final name without its hash. The open handle is the lock: of two processes that want one file, the second waits.
/// </summary>
internal sealed class PartialFile : IDisposable
{
    private const int StateVersion = 1;
    private const long StateEveryBytes = 16 << 20;
    private static readonly TimeSpan s_poll = TimeSpan.FromMilliseconds(100);
    private static readonly TimeSpan s_stateEvery = TimeSpan.FromSeconds(1);

    private readonly StoreLayout _layout;
    private readonly FileStream _stream;
    private readonly RangeSet _done = new();
    private readonly Lock _lock = new();
    private long _unsavedBytes;
    private DateTime _savedAt = DateTime.UtcNow;

    private PartialFile(StoreLayout layout, string key, long length, FileStream stream)
    {
        (_layout, Key, Length, _stream) = (layout, key, length, stream);
        LoadState();
    }

    public string Key { get; }

    /// <summary>Bytes that the whole file has.</summary>
    public long Length { get; }

    /// <summary>What the storage host called this version of the file; null before the first answer.</summary>
    public string? ETag { get; private set; }

    public SafeFileHandle Handle => _stream.SafeFileHandle;

    public string Path => _layout.Partial(Key);

    /// <summary>Bytes that are there.</summary>
    public long DoneBytes
    {
        get
        {
            lock (_lock)
                return _done.Total;
        }
    }

    /// <summary>Opens or begins a download, as soon as no other process works on it; null when another has finished it meanwhile.</summary>
    /// <param name="layout">The store.</param>
    /// <param name="key">What to call it.</param>
    /// <param name="length">Bytes that the whole file has.</param>
    /// <param name="isFinished">Whether the file is there under its last name.</param>
    /// <param name="waiting">Is told once, when another process works on it.</param>
    /// <param name="cancellation">Ends the waiting.</param>
    public static async Task<PartialFile?> Open(StoreLayout layout, string key, long length, Func<bool> isFinished, Action waiting, CancellationToken cancellation)
    {
        bool isWaiting = false;
        while (!isFinished())
        {
            FileStream? stream = null;
            try
            {
                stream = new FileStream(layout.Partial(key), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None, bufferSize: 0);
            }
            catch (IOException e) when (StoreLock.IsTaken(e))
            {
                if (!isWaiting)
                    waiting();
                isWaiting = true;
                await Task.Delay(s_poll, cancellation);
                continue;
            }

            // Whoever held it may have given it its last name between our opening and our lock: then we hold the finished file.
            if (!isFinished())
                return new PartialFile(layout, key, length, stream);
            await stream.DisposeAsync();
        }

        return null;
    }

    /// <summary>Bytes of a download that lie on the disk already, without opening it.</summary>
    public static long BytesOnDisk(StoreLayout layout, string key) =>
        TryReadState(layout.State(key), out _, out long length, out RangeSet done) && length >= 0 && File.Exists(layout.Partial(key)) ? done.Total : 0;

    /// <summary>The parts that are missing.</summary>
    public List<(long Start, long End)> Missing(long pieceMax)
    {
        lock (_lock)
            return [.. _done.Missing(Length, pieceMax)];
    }

    /// <summary>Keeps bytes.</summary>
    /// <exception cref="IOException">The disk is full or broken.</exception>
    public void Write(ReadOnlySpan<byte> bytes, long offset)
    {
        RandomAccess.Write(Handle, bytes, offset);
        lock (_lock)
        {
            _done.Add(offset, offset + bytes.Length);
            _unsavedBytes += bytes.Length;
            if (_unsavedBytes >= StateEveryBytes || DateTime.UtcNow - _savedAt >= s_stateEvery)
                SaveStateLocked();
        }
    }

    /// <summary>Writes down what is there, for whoever comes after us.</summary>
    public void SaveState()
    {
        lock (_lock)
            SaveStateLocked();
    }

    /// <summary>Remembers the version of the file that the bytes belong to.</summary>
    public void Know(string? etag) => ETag = etag;

    /// <summary>Forgets everything: the file behind the address changed, or the bytes were wrong.</summary>
    public void Restart()
    {
        lock (_lock)
        {
            _done.Clear();
            ETag = null;
            _stream.SetLength(0);
            SaveStateLocked();
        }
    }

    /// <summary>Gives the checked file its last name, durably.</summary>
    public void Finish(string path)
    {
        AtomicFile.FlushToDisk(Handle);

        // Renamed while locked where that is possible, see Open.
        if (OperatingSystem.IsWindows())
            _stream.Dispose();
        if (File.Exists(path))
            StoreFiles.DeleteFile(Path);
        else
            File.Move(Path, path);
        StoreFiles.MakeReadOnly(path);
        StoreFiles.DeleteFile(_layout.State(Key));
        StoreFiles.FlushFolderOf(path);
    }

    /// <summary>Deletes what is there.</summary>
    public void Abandon()
    {
        _stream.Dispose();
        StoreFiles.DeleteFile(Path);
        StoreFiles.DeleteFile(_layout.State(Key));
    }

    public void Dispose() => _stream.Dispose();

    private void LoadState()
    {
        if (!TryReadState(_layout.State(Key), out string? etag, out long length, out RangeSet done) || length != Length)
        {
            _stream.SetLength(0);
            return;
        }

        // Bytes beyond the end of the file cannot be there, whatever the state says.
        long there = _stream.Length;
        ETag = etag;
        foreach ((long start, long end) in done.Ranges)
            _done.Add(start, Math.Min(end, Math.Min(there, Length)));
    }

    private static bool TryReadState(string path, out string? etag, out long length, out RangeSet done)
    {
        (etag, length, done) = (null, -1, new RangeSet());
        try
        {
            using JsonDocument document = JsonDocument.Parse(File.ReadAllBytes(path));
            JsonElement root = document.RootElement;
            if (root.GetProperty("version").GetInt32() != StateVersion)
                return false;
            length = root.GetProperty("length").GetInt64();
            etag = root.GetProperty("etag").GetString();
            foreach (JsonElement range in root.GetProperty("done").EnumerateArray())
            {
                (long start, long end) = (range[0].GetInt64(), range[1].GetInt64());
                if (start < 0 || end < start || end > length)
                    return false;
                done.Add(start, end);
            }

            return true;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or JsonException or KeyNotFoundException or InvalidOperationException or FormatException or IndexOutOfRangeException)
        {
            return false;
        }
    }

    private void SaveStateLocked()
    {
        var buffer = new ArrayBufferWriter<byte>();
        using (var json = new Utf8JsonWriter(buffer))
        {
            json.WriteStartObject();
            json.WriteNumber("version", StateVersion);
            json.WriteNumber("length", Length);
            json.WriteString("etag", ETag);
            json.WriteStartArray("done");
            foreach ((long start, long end) in _done.Ranges)
            {
                json.WriteStartArray();
                json.WriteNumberValue(start);
                json.WriteNumberValue(end);
                json.WriteEndArray();
            }

            json.WriteEndArray();
            json.WriteEndObject();
        }

        // Not flushed to the disk: the hash at the end catches what a power failure makes of it.
        string path = _layout.State(Key);
        string next = path + ".next";
        using (var stream = new FileStream(next, FileMode.Create, FileAccess.Write, FileShare.None, bufferSize: 0))
            stream.Write(buffer.WrittenSpan);
        File.Move(next, path, overwrite: true);
        _unsavedBytes = 0;
        _savedAt = DateTime.UtcNow;
    }
}
