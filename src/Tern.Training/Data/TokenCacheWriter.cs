using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;
using Tern.Files;
using Tern.Text;

namespace Tern.Training.Data;

/// <summary>Encodes a corpus once, into the file that <see cref="TokenCache"/> reads; its layout is drawn there.</summary>
internal sealed class TokenCacheWriter : IDisposable
{
    private readonly Stream _stream;
    private readonly Tokenizer _tokenizer;
    private readonly ChatEncoder? _chat;
    private readonly bool _wide;
    private readonly List<CachedDocument> _documents = [];
    private readonly List<int> _ids = [];
    private readonly List<bool> _learned = [];
    private readonly IncrementalHash _hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
    private long _tokens;
    private bool _open; // a document was begun and not ended

    private TokenCacheWriter(Stream stream, Tokenizer tokenizer, ChatEncoder? chat)
    {
        _stream = stream;
        _tokenizer = tokenizer;
        _chat = chat;
        _wide = tokenizer.Count > TokenCache.NarrowTokensMax;
    }

    /// <summary>Writes a cache.</summary>
    /// <param name="path">The file; it appears whole or not at all.</param>
    /// <param name="corpus">What to train on.</param>
    /// <param name="heldOut">Further files that are only measured; null when there are none.</param>
    /// <param name="tokenizer">How text becomes tokens.</param>
    /// <param name="chat">How chats become tokens; null when the tokenizer has no template.</param>
    /// <param name="progress">Receives the share that is done, in [0, 1].</param>
    /// <param name="cancellation">Ends the work between two documents; nothing is left behind.</param>
    /// <exception cref="TernException">As <see cref="CorpusReader.Read"/>; a chat without a template; nothing to learn; the disk is full.</exception>
    public static void Write(
        string path, CorpusOptions corpus, CorpusOptions? heldOut, Tokenizer tokenizer, ChatEncoder? chat,
        Action<double> progress, CancellationToken cancellation) =>
        AtomicFile.Write(path, stream =>
        {
            using var writer = new TokenCacheWriter(stream, tokenizer, chat);
            stream.Write(new byte[TokenCache.HeaderBytes]);
            double all = Math.Max(1, CorpusReader.TotalBytes(corpus) + (heldOut is null ? 0 : CorpusReader.TotalBytes(heldOut)));
            long trained = 0;
            foreach (CorpusPiece piece in CorpusReader.Read(corpus, bytes => progress((trained = bytes) / all)))
                writer.Add(piece, heldOut: false, cancellation);
            writer.EndDocument();
            if (heldOut is not null)
            {
                foreach (CorpusPiece piece in CorpusReader.Read(heldOut, bytes => progress((trained + bytes) / all)))
                    writer.Add(piece, heldOut: true, cancellation);
                writer.EndDocument();
            }

            writer.Finish(string.Join(", ", corpus.Paths));
        });

    public void Dispose() => _hash.Dispose();

    private void Add(CorpusPiece piece, bool heldOut, CancellationToken cancellation)
    {
        cancellation.ThrowIfCancellationRequested();
        if (!piece.Continues)
        {
            EndDocument();
            _documents.Add(new CachedDocument(piece.Name, _tokens, 0, 0, heldOut));
            _open = true;
            if (_tokenizer.Bos >= 0 && piece.Messages is null)
                Append(_tokenizer.Bos, learned: false);
        }

        long textBytes = piece.Text.Length;
        if (piece.Messages is null)
        {
            AddText(piece);
        }
        else
        {
            textBytes = AddChat(piece);
        }

        CachedDocument document = _documents[^1];
        _documents[^1] = document with { TextBytes = document.TextBytes + textBytes };
    }

    private void AddText(CorpusPiece piece)
    {
        int[] ids = _tokenizer.Encode(Encoding.UTF8.GetString(piece.Text.Span), addSpecial: false);
        Coverage.Check(_tokenizer, piece.Text.Span, ids, special: false, $"{piece.Place}, document '{piece.Name}'");
        foreach (int id in ids)
            Append(id, learned: true);
    }

    private long AddChat(CorpusPiece piece)
    {
        if (_chat is null)
            throw new TernException(ErrorKind.Request, $"{piece.Place}: a chat needs a chat template, and the tokenizer has none; give one with --chat-template");

        _ids.Clear();
        _learned.Clear();
        _chat.Encode(piece.Messages!, $"{piece.Place}, document '{piece.Name}'", _ids, _learned);
        long learnedBytes = 0;
        for (int i = 0; i < _ids.Count; i++)
        {
            Append(_ids[i], _learned[i]);
            learnedBytes += _learned[i] ? _tokenizer.Bytes(_ids[i]).Length : 0;
        }

        _open = false; // the template wrote the end
        return learnedBytes;
    }

    private void EndDocument()
    {
        if (_open && _tokenizer.Eos >= 0)
            Append(_tokenizer.Eos, learned: true);
        _open = false;
        if (_documents is [.., var last])
            _documents[^1] = last with { Tokens = _tokens - last.Start };
    }

    private void Append(int id, bool learned)
    {
        Span<byte> bytes = stackalloc byte[4];
        if (_wide)
            BinaryPrimitives.WriteUInt32LittleEndian(bytes, (uint)id | (learned ? 0 : TokenCache.WideNotLearned));
        else
            BinaryPrimitives.WriteUInt16LittleEndian(bytes, (ushort)(id | (learned ? 0 : TokenCache.NarrowNotLearned)));
        bytes = bytes[..(_wide ? 4 : 2)];
        _stream.Write(bytes);
        _hash.AppendData(bytes);
        _tokens++;
    }

    private void Finish(string paths)
    {
        if (_documents.Sum(document => document.TextBytes) == 0)
            throw new TernException(ErrorKind.Request, $"{paths}: there is no text to train on; every file is empty or blank");

        byte[] table = Table();
        var header = new byte[TokenCache.HeaderBytes];
        "TERNTOK1"u8.CopyTo(header);
        BinaryPrimitives.WriteInt32LittleEndian(header.AsSpan(8), _wide ? 4 : 2);
        BinaryPrimitives.WriteInt32LittleEndian(header.AsSpan(12), _documents.Count);
        BinaryPrimitives.WriteInt64LittleEndian(header.AsSpan(16), _tokens);
        BinaryPrimitives.WriteInt64LittleEndian(header.AsSpan(24), table.Length);
        _hash.GetHashAndReset(header.AsSpan(32, 32));
        SHA256.HashData([.. header.AsSpan(0, 64), .. table], header.AsSpan(64, 32));
        _stream.Write(table);
        _stream.Position = 0;
        _stream.Write(header);
    }

    private byte[] Table()
    {
        using var memory = new MemoryStream();
        using var writer = new BinaryWriter(memory);
        foreach (CachedDocument document in _documents)
        {
            writer.Write(document.Start);
            writer.Write(document.Tokens);
            writer.Write(document.TextBytes);
            writer.Write(document.HeldOut);
            writer.Write(document.Name);
        }

        writer.Flush();
        return memory.ToArray();
    }
}
