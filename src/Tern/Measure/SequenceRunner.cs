using Tern.Kernels;
using Tern.Models;

namespace Tern.Measure;

/// <summary>One sequence at a time through a model, with its own cache: what measurements need instead of the engine's scheduler.</summary>
internal sealed class SequenceRunner : IDisposable
{
    /// <summary>Most tokens per forward pass.</summary>
    public const int ChunkMax = 512;

    /// <summary>Logits of one chunk never take more memory than this.</summary>
    private const long OutputBytesMax = 256L << 20;

    private readonly KvCache _cache;
    private readonly Transformer _transformer;
    private readonly Batch _batch;
    private readonly int[] _pages;
    private readonly LogitDemand _greedy = LogitDemand.Largest(1)!;
    private readonly int _columns;
    private readonly float[] _output; // [logit rows of a chunk, vocabulary or hidden]

    /// <param name="model">Stays alive as long as the runner.</param>
    /// <param name="positionsMax">Most positions of a sequence.</param>
    /// <param name="chunk">Tokens per forward pass; 0 is as many as the limits allow.</param>
    /// <param name="kvType">How keys and values are kept.</param>
    public SequenceRunner(Model model, int positionsMax, int chunk, KvType kvType)
    {
        ModelSpec spec = model.Spec;
        _columns = spec.OutputSize;
        RowsMax = (int)Math.Clamp(OutputBytesMax / (sizeof(float) * (long)_columns), 1, ChunkMax);
        Chunk = Math.Min(chunk > 0 ? Math.Min(chunk, ChunkMax) : ChunkMax, positionsMax);
        RowsMax = Math.Min(RowsMax, Chunk);
        PositionsMax = positionsMax;

        int pageCount = (positionsMax + KvPages.PageTokens - 1) / KvPages.PageTokens;
        _pages = [.. Enumerable.Range(0, pageCount)];
        _cache = new KvCache(spec, kvType, pageCount);
        _transformer = new Transformer(model, _cache, Chunk, RowsMax, positionsMax);
        _batch = new Batch(Chunk, 1);
        _output = new float[(long)RowsMax * _columns];
    }

    /// <summary>Most tokens per forward pass.</summary>
    public int Chunk { get; }

    /// <summary>Most rows of output per forward pass.</summary>
    public int RowsMax { get; }

    /// <summary>Most positions of a sequence.</summary>
    public int PositionsMax { get; }

    /// <summary>
    /// Runs tokens at positions first, first + 1 … of the sequence; positions before them must have been run. Position 0 starts a new sequence.
    /// </summary>
    /// <param name="tokens">At most <see cref="Chunk"/>, and at most <see cref="RowsMax"/> when all rows are wanted.</param>
    /// <param name="first">Position of the first one.</param>
    /// <param name="wants">Which rows of output are wanted.</param>
    public void Forward(ReadOnlySpan<int> tokens, int first, LogitRows wants) => Forward(tokens, first, wants, null);

    private void Forward(ReadOnlySpan<int> tokens, int first, LogitRows wants, LogitDemand? demand)
    {
        _batch.Clear();
        _batch.Add(_pages, first, tokens, wants, demand);
        _transformer.Forward(_batch, _output.AsSpan(0, _batch.LogitRowCount * _columns));
    }

    /// <summary>Runs any number of tokens and leaves the output of the last one in row 0.</summary>
    public void Prefill(ReadOnlySpan<int> tokens, int first, CancellationToken cancellation)
    {
        for (int start = 0; start < tokens.Length; start += Chunk)
        {
            cancellation.ThrowIfCancellationRequested();
            int count = Math.Min(Chunk, tokens.Length - start);
            Forward(tokens.Slice(start, count), first + start, start + count == tokens.Length ? LogitRows.Last : LogitRows.None);
        }
    }

    /// <summary>Runs one token and gives the most likely next one, the lowest id of equals: a step of greedy generation.</summary>
    public int Next(int token, int position)
    {
        _greedy.Clear();
        Forward([token], position, LogitRows.Last, _greedy);
        return _greedy.IsListed ? _greedy.Ids[TopLogits.Of(Row(0)[.._greedy.Ids.Length]).Ids[0]] : TopLogits.Of(Row(0)).Ids[0];
    }

    /// <summary>Row <paramref name="index"/> of the last forward pass: logits, or the hidden state of an embedding model.</summary>
    public ReadOnlySpan<float> Row(int index) => _output.AsSpan(index * _columns, _columns);

    public void Dispose()
    {
        _transformer.Dispose();
        _cache.Dispose();
    }
}
