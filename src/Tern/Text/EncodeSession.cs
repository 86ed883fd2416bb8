using System.Buffers;
using System.Numerics;

namespace Tern.Text;

/// <summary>
/// One call of <see cref="Tokenizer.Encode"/>: pooled buffers and a cache of words. The cache holds no copies: an entry says where in the text a word
/// stood and where in the output its ids are.
/// </summary>
internal ref struct EncodeSession
{
    private const int CacheEntriesMax = 4096;

    private readonly TextEncoder _encoder;
    private readonly CacheEntry[] _cache;
    private readonly int _cacheEntries;

    private byte[] _text;
    private int _textLength;
    private int[] _output;
    private int _count;

    /// <summary>Starts a call.</summary>
    /// <param name="encoder">What to encode with.</param>
    /// <param name="textBytes">Length of the UTF-8 text.</param>
    public EncodeSession(TextEncoder encoder, int textBytes)
    {
        _encoder = encoder;
        _cacheEntries = (int)BitOperations.RoundUpToPowerOf2((uint)Math.Clamp(textBytes / 4, 16, CacheEntriesMax));
        _cache = ArrayPool<CacheEntry>.Shared.Rent(_cacheEntries);
        _cache.AsSpan(0, _cacheEntries).Clear();
        _output = ArrayPool<int>.Shared.Rent((textBytes / 3) + 16);
        _text = ArrayPool<byte>.Shared.Rent(textBytes + 16);
        _textLength = 0;
        _count = 0;
    }

    /// <summary>The ids so far.</summary>
    public readonly ReadOnlySpan<int> Ids => _output.AsSpan(0, _count);

    /// <summary>Adds a token.</summary>
    public void Append(int id)
    {
        if (_count == _output.Length)
        {
            int[] larger = ArrayPool<int>.Shared.Rent(_count * 2);
            _output.CopyTo(larger, 0);
            ArrayPool<int>.Shared.Return(_output);
            _output = larger;
        }

        _output[_count++] = id;
    }

    /// <summary>Encodes text in which no special token stands.</summary>
    /// <param name="utf8">Valid UTF-8.</param>
    /// <param name="prefix">Whether a space goes in front.</param>
    public void AppendText(ReadOnlySpan<byte> utf8, bool prefix)
    {
        int start = _textLength;
        if (_encoder.EscapesSpaces)
            CopyEscaped(utf8, prefix);
        else
            Copy(utf8);
        Split(start, _textLength, 0);
    }

    /// <summary>Gives the buffers back.</summary>
    public readonly void Return()
    {
        ArrayPool<CacheEntry>.Shared.Return(_cache);
        ArrayPool<int>.Shared.Return(_output);
        ArrayPool<byte>.Shared.Return(_text);
    }

    private void Copy(ReadOnlySpan<byte> bytes)
    {
        if (_text.Length - _textLength < bytes.Length)
        {
            byte[] larger = ArrayPool<byte>.Shared.Rent(Math.Max(_textLength + bytes.Length, (int)Math.Min((long)_text.Length * 2, Array.MaxLength)));
            _text.AsSpan(0, _textLength).CopyTo(larger);
            ArrayPool<byte>.Shared.Return(_text);
            _text = larger;
        }

        bytes.CopyTo(_text.AsSpan(_textLength));
        _textLength += bytes.Length;
    }

    private void CopyEscaped(ReadOnlySpan<byte> utf8, bool prefix)
    {
        if (prefix)
            Copy(Scanners.SpaceMark);
        while (utf8.IndexOf((byte)' ') is var space and >= 0)
        {
            Copy(utf8[..space]);
            Copy(Scanners.SpaceMark);
            utf8 = utf8[(space + 1)..];
        }

        Copy(utf8);
    }

    /// <summary>Applies the stages of the pre-tokenizer from <paramref name="stage"/> on; as deep as there are stages.</summary>
    private void Split(int start, int end, int stage)
    {
        if (stage == _encoder.Stages.Length)
        {
            if (start < end)
                AppendWord(start, end - start);
            return;
        }

        Scanner scan = _encoder.Stages[stage];
        for (int at = start; at < end;)
        {
            int next = start + scan(_text.AsSpan(start, end - start), at - start);
            Split(at, next, stage + 1);
            at = next;
        }
    }

    private void AppendWord(int start, int length)
    {
        ReadOnlySpan<byte> word = _text.AsSpan(start, length);
        uint hash = _encoder.Vocabulary.Table.Hash(word);
        ref CacheEntry entry = ref _cache[hash & (uint)(_cacheEntries - 1)];
        if (entry.Length == length && word.SequenceEqual(_text.AsSpan(entry.Start, length)))
        {
            for (int i = 0; i < entry.IdCount; i++)
                Append(_output[entry.FirstId + i]);
            return;
        }

        int before = _count;
        if (_encoder.WholeWord(word, hash) is var id and >= 0)
            Append(id);
        else
            AppendMerged(word);
        entry = new CacheEntry(start, length, before, _count - before);
    }

    private void AppendMerged(ReadOnlySpan<byte> word)
    {
        if (word.Length <= WordMerger.ShortSymbols)
        {
            Span<int> ids = stackalloc int[WordMerger.ShortSymbols];
            Span<int> starts = stackalloc int[WordMerger.ShortSymbols + 1];
            AppendMerged(word, ids, starts);
            return;
        }

        int[] rented = ArrayPool<int>.Shared.Rent((2 * word.Length) + 1);
        AppendMerged(word, rented.AsSpan(0, word.Length), rented.AsSpan(word.Length, word.Length + 1));
        ArrayPool<int>.Shared.Return(rented);
    }

    private void AppendMerged(ReadOnlySpan<byte> word, scoped Span<int> ids, scoped Span<int> starts)
    {
        int count = _encoder.Symbols(word, ids, starts);
        count = _encoder.Merge(word, ids[..count], starts[..(count + 1)]);
        for (int i = 0; i < count; i++)
        {
            if (ids[i] >= 0)
                Append(ids[i]);
            else
                AppendBytes(word[starts[i]..starts[i + 1]]);
        }
    }

    /// <summary>A symbol that is no token: its bytes where all have tokens, else the unknown token, else nothing.</summary>
    private void AppendBytes(ReadOnlySpan<byte> symbol)
    {
        int[] byteIds = _encoder.Vocabulary.ByteIds;
        bool all = true;
        foreach (byte value in symbol)
            all &= byteIds[value] >= 0;

        if (all)
        {
            foreach (byte value in symbol)
                Append(byteIds[value]);
        }
        else if (_encoder.Unknown >= 0)
        {
            Append(_encoder.Unknown);
        }
    }

    /// <summary>A word of this call and its ids; of length 0 where none is.</summary>
    private readonly record struct CacheEntry(int Start, int Length, int FirstId, int IdCount);
}
