using System.Buffers.Binary;
using Tern.Generation.Sampling;

namespace Tern.Training.Data;

/// <summary>
/// An endless row of training sequences. Every epoch puts the documents into a new order, cuts the line of all their tokens at a new offset into
/// windows, and gives the windows in a new order:
/// <code>
/// documents   B aaaa E | B bbbbbbbbbbb E | B cc E       B, E: begin and end tokens
/// windows       [ 0   |   1   |   2   |   3  ]          of as many tokens as the context has
/// sequence    B 1 1 1 1                                 inputs: begin token and all but the last; targets: all of the window
/// </code>
/// A sequence starts with the begin token because every text that the model will be asked to continue does. A begin token is never a target.
/// </summary>
internal sealed class TrainingStream
{
    private const int StateBytes = 16;

    private readonly TokenCache _cache;
    private readonly int[] _documents;
    private readonly int _context;
    private readonly int _begin;
    private readonly ulong _seed;
    private readonly long _tokens;
    private readonly int[] _ids; // [context + 1]
    private readonly bool[] _learned; // [context + 1]

    private readonly int[] _order; // [documents]: this epoch's order
    private readonly long[] _starts; // [documents]: where each begins on this epoch's line
    private readonly int[] _windows; // [windows]: this epoch's order
    private long _offset; // of window 0 on the line
    private int _epoch = -1;
    private int _next; // index into _windows

    /// <summary>A stream at its beginning.</summary>
    /// <param name="cache">Tokens.</param>
    /// <param name="documents">Which documents, by index.</param>
    /// <param name="context">Tokens of a sequence.</param>
    /// <param name="begin">The begin token, or -1 when the vocabulary has none.</param>
    /// <param name="seed">The same seed gives the same sequences.</param>
    /// <exception cref="TernException">The documents are shorter than two sequences.</exception>
    public TrainingStream(TokenCache cache, int[] documents, int context, int begin, ulong seed)
    {
        (_cache, _documents, _context, _begin, _seed) = (cache, documents, context, begin, seed);
        _tokens = documents.Sum(index => cache.Documents[index].Tokens);
        long windows = (_tokens - context) / context; // whatever the offset, so many fit
        if (windows < 1)
        {
            throw new TernException(
                ErrorKind.Request,
                $"the training text has {_tokens} tokens, less than two sequences of {context}; use more text or a smaller --context");
        }

        _ids = new int[context + 1];
        _learned = new bool[context + 1];
        _order = new int[documents.Length];
        _starts = new long[documents.Length];
        _windows = new int[checked((int)windows)];
        StartEpoch(0);
    }

    /// <summary>Epochs done, with the part of the present one.</summary>
    public double Epochs => _epoch + (double)_next / SequencesPerEpoch;

    /// <summary>Sequences in one epoch.</summary>
    public int SequencesPerEpoch => _windows.Length;

    /// <summary>Tokens of all its documents.</summary>
    public long Tokens => _tokens;

    /// <summary>The next sequence.</summary>
    /// <param name="inputs">[context].</param>
    /// <param name="targets">[context]: what follows each input, or <see cref="TokenBatch.NoLoss"/>.</param>
    public void Next(Span<int> inputs, Span<int> targets)
    {
        if (_next == _windows.Length)
            StartEpoch(_epoch + 1);
        long start = _offset + (long)_windows[_next++] * _context;
        ReadLine(start);

        // A window that begins with a document needs no begin token in front of it: it has one, and goes on by one more token.
        bool hasBegin = _begin < 0 || _ids[0] == _begin;
        Span<int> line = hasBegin ? _ids.AsSpan(1) : _ids.AsSpan(0, _context);
        Span<bool> learned = hasBegin ? _learned.AsSpan(1) : _learned.AsSpan(0, _context);
        inputs[0] = hasBegin ? _ids[0] : _begin;
        line[..^1].CopyTo(inputs[1..]);
        for (int i = 0; i < _context; i++)
            targets[i] = learned[i] && line[i] != _begin ? line[i] : TokenBatch.NoLoss;
    }

    /// <summary>The position, for <see cref="Restore"/>.</summary>
    public byte[] Save()
    {
        var state = new byte[StateBytes];
        BinaryPrimitives.WriteInt32LittleEndian(state, _epoch);
        BinaryPrimitives.WriteInt32LittleEndian(state.AsSpan(4), _next);
        BinaryPrimitives.WriteInt64LittleEndian(state.AsSpan(8), _tokens);
        return state;
    }

    /// <summary>Goes to a saved position: the sequences that follow are those that would have followed then.</summary>
    /// <exception cref="TernException">The state is not one of this stream.</exception>
    public void Restore(ReadOnlySpan<byte> state)
    {
        int epoch = state.Length == StateBytes ? BinaryPrimitives.ReadInt32LittleEndian(state) : -1;
        int next = epoch < 0 ? -1 : BinaryPrimitives.ReadInt32LittleEndian(state[4..]);
        if (next < 0 || next > _windows.Length || BinaryPrimitives.ReadInt64LittleEndian(state[8..]) != _tokens)
            throw new TernException(ErrorKind.Semantic, "the position in the data that the checkpoint holds is not one of this corpus; resume with the corpus that the run began with");
        StartEpoch(epoch);
        _next = next;
    }

    private void StartEpoch(int epoch)
    {
        _epoch = epoch;
        _next = 0;
        var random = new SeededRandom(unchecked(_seed * 0x9E37_79B9_7F4A_7C15 + (ulong)epoch));
        _documents.CopyTo(_order, 0);
        Shuffle.Apply(_order, random);
        long at = 0;
        for (int i = 0; i < _order.Length; i++)
        {
            _starts[i] = at;
            at += _cache.Documents[_order[i]].Tokens;
        }

        _offset = Shuffle.Below(random, _context);
        for (int i = 0; i < _windows.Length; i++)
            _windows[i] = i;
        Shuffle.Apply(_windows, random);
    }

    /// <summary>Reads context + 1 tokens of this epoch's line.</summary>
    private void ReadLine(long start)
    {
        int document = Array.BinarySearch(_starts, start);
        document = document < 0 ? ~document - 1 : document;
        for (int done = 0; done <= _context; document++)
        {
            CachedDocument source = _cache.Documents[_order[document]];
            long skip = start + done - _starts[document];
            int count = (int)Math.Min(_context + 1 - done, source.Tokens - skip);
            _cache.Read(source.Start + skip, _ids.AsSpan(done, count), _learned.AsSpan(done, count));
            done += count;
        }
    }
}
