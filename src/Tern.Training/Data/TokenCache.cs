using System.Buffers.Binary;
using System.Globalization;
using System.IO.MemoryMappedFiles;
using System.Security.Cryptography;
using Tern.Files;

namespace Tern.Training.Data;

/// <summary>One document of a <see cref="TokenCache"/>.</summary>
/// <param name="Name">File and number in it.</param>
/// <param name="Start">Its first token among all tokens.</param>
/// <param name="Tokens">How many it has, begin and end tokens included.</param>
/// <param name="TextBytes">Bytes of its text; of a chat, of the answers alone.</param>
/// <param name="HeldOut">Whether it came from a file that is only measured.</param>
internal sealed record CachedDocument(string Name, long Start, long Tokens, long TextBytes, bool HeldOut);

/// <summary>
/// A corpus as token ids in a memory-mapped file, so that it may be larger than the memory, is encoded once, and a run that is resumed sees the
/// very same tokens.
/// <code>
///   0  "TERNTOK1" | bytes per token i32 | documents i32 | tokens i64 | table bytes i64
///  32  SHA-256 of the tokens: what the corpus is
///  64  SHA-256 of bytes 0 … 63 and the table
///  96  tokens: u16 with bit 15, or u32 with bit 31 set for "not learned"
///   …  table: per document start i64, tokens i64, text bytes i64, held out u8, name
/// </code>
/// </summary>
internal sealed class TokenCache : IDisposable
{
    /// <summary>Vocabularies up to this size take two bytes per token.</summary>
    public const int NarrowTokensMax = 1 << 15;

    public const int NarrowNotLearned = 1 << 15;

    public const uint WideNotLearned = 1u << 31;

    public const int HeaderBytes = 96;

    private readonly string _path;
    private readonly MemoryMappedFile _file;
    private readonly MemoryMappedViewAccessor _view;
    private readonly int _width;
    private readonly int _vocabulary;

    private TokenCache(string path, MemoryMappedFile file, MemoryMappedViewAccessor view, int vocabulary)
    {
        (_path, _file, _view, _vocabulary) = (path, file, view, vocabulary);
        var header = new byte[HeaderBytes];
        if (view.ReadArray(0, header, 0, HeaderBytes) < HeaderBytes || !header.AsSpan(0, 8).SequenceEqual("TERNTOK1"u8))
            throw Damaged(0, "header", "is not that of a token cache");
        _width = BinaryPrimitives.ReadInt32LittleEndian(header.AsSpan(8));
        int documents = BinaryPrimitives.ReadInt32LittleEndian(header.AsSpan(12));
        Tokens = BinaryPrimitives.ReadInt64LittleEndian(header.AsSpan(16));
        long tableBytes = BinaryPrimitives.ReadInt64LittleEndian(header.AsSpan(24));
        Identity = header.AsMemory(32, 32);
        long length = view.Capacity;
        if (_width is not (2 or 4) || documents < 1 || Tokens < 1 || tableBytes < 0 || tableBytes > int.MaxValue
            || (UInt128)(ulong)Tokens * (uint)_width + (ulong)tableBytes + HeaderBytes != (UInt128)(ulong)length)
            throw Damaged(8, "header", $"does not agree with the file's length of {length} bytes");

        var table = new byte[tableBytes];
        view.ReadArray(HeaderBytes + Tokens * _width, table, 0, table.Length);
        if (!SHA256.HashData([.. header.AsSpan(0, 64), .. table]).AsSpan().SequenceEqual(header.AsSpan(64, 32)))
            throw Damaged(64, "checksum", "does not fit header and table");
        Documents = ReadTable(table, documents);
    }

    /// <summary>All documents in the order of the corpus.</summary>
    public IReadOnlyList<CachedDocument> Documents { get; }

    /// <summary>All tokens.</summary>
    public long Tokens { get; }

    /// <summary>SHA-256 of the tokens, which tells this corpus from any other; not checked when the file is opened, for it may be larger than the memory.</summary>
    public ReadOnlyMemory<byte> Identity { get; }

    /// <summary>Opens a cache.</summary>
    /// <param name="path">The file.</param>
    /// <param name="vocabulary">Tokens must be below this.</param>
    /// <exception cref="TernException">The file is missing or damaged.</exception>
    public static TokenCache Open(string path, int vocabulary)
    {
        MemoryMappedFile? file = null;
        MemoryMappedViewAccessor? view = null;
        try
        {
            long length = new FileInfo(path).Length;
            if (length < HeaderBytes)
                throw FileError.Whole(ErrorKind.Format, path, "header", $"the file has only {length} bytes", "delete the file; it is made again");
            file = MemoryMappedFile.CreateFromFile(path, FileMode.Open, null, 0, MemoryMappedFileAccess.Read);
            view = file.CreateViewAccessor(0, length, MemoryMappedFileAccess.Read);
            return new TokenCache(path, file, view, vocabulary);
        }
        catch (Exception e)
        {
            view?.Dispose();
            file?.Dispose();
            if (e is IOException or UnauthorizedAccessException)
                throw FileError.Whole(ErrorKind.File, path, "file", $"cannot be read: {e.Message}", "check the path and its permissions", e);
            throw;
        }
    }

    /// <summary>Reads tokens.</summary>
    /// <param name="start">The first, in [0, <see cref="Tokens"/> - length].</param>
    /// <param name="ids">Receives the ids.</param>
    /// <param name="learned">Receives whether each is to be learned; as long as <paramref name="ids"/>.</param>
    /// <exception cref="TernException">An id is outside the vocabulary: the file is damaged.</exception>
    public void Read(long start, Span<int> ids, Span<bool> learned)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(start);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(start, Tokens - ids.Length);
        var bytes = new byte[ids.Length * _width];
        _view.ReadArray(HeaderBytes + start * _width, bytes, 0, bytes.Length);
        for (int i = 0; i < ids.Length; i++)
        {
            uint code = _width == 2 ? BinaryPrimitives.ReadUInt16LittleEndian(bytes.AsSpan(2 * i)) : BinaryPrimitives.ReadUInt32LittleEndian(bytes.AsSpan(4 * i));
            uint notLearned = _width == 2 ? NarrowNotLearned : WideNotLearned;
            uint id = code & ~notLearned;
            if (id >= (uint)_vocabulary)
                throw Damaged(HeaderBytes + (start + i) * _width, "token", string.Create(CultureInfo.InvariantCulture, $"{id} is outside the vocabulary of {_vocabulary}"));
            ids[i] = (int)id;
            learned[i] = (code & notLearned) == 0;
        }
    }

    public void Dispose()
    {
        _view.Dispose();
        _file.Dispose();
    }

    private List<CachedDocument> ReadTable(byte[] table, int count)
    {
        using var reader = new BinaryReader(new MemoryStream(table));
        var documents = new List<CachedDocument>();
        try
        {
            long next = 0;
            for (int i = 0; i < count; i++)
            {
                long start = reader.ReadInt64(), tokens = reader.ReadInt64(), textBytes = reader.ReadInt64();
                bool heldOut = reader.ReadByte() != 0;
                documents.Add(new CachedDocument(reader.ReadString(), start, tokens, textBytes, heldOut));
                if (start != next || tokens < 0 || tokens > Tokens - start || textBytes < 0)
                    throw Damaged(HeaderBytes + Tokens * _width, "table", $"document {i} does not follow the one before it");
                next = start + tokens;
            }
        }
        catch (Exception e) when (e is EndOfStreamException or FormatException or IOException)
        {
            throw Damaged(HeaderBytes + Tokens * _width, "table", "ends too early");
        }

        return documents;
    }

    private TernException Damaged(long offset, string field, string what) =>
        FileError.At(ErrorKind.Format, _path, offset, field, what, "delete the file; it is made again from the corpus");
}
