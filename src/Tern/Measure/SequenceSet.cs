using Tern.Kernels;
using Tern.Models;

namespace Tern.Measure;

/// <summary>
/// Some sequences that go through a model side by side, at the same positions: what measuring needs of a server. All begin with the tokens of
/// the first one, each in memory of its own.
/// </summary>
internal sealed class SequenceSet : IDisposable
{
    private readonly KvCache _cache;
    private readonly Transformer _transformer;
    private readonly Batch _batch;
    private readonly int _layers;
    private readonly int[][] _pages; // [sequences][pages of a sequence]
    private readonly LogitDemand[] _greedy; // [sequences]
    private readonly float[] _output; // [sequences, vocabulary or hidden]
    private int _filled;

    /// <param name="model">Stays alive as long as the set.</param>
    /// <param name="sequences">How many.</param>
    /// <param name="positionsMax">Most positions of each.</param>
    /// <param name="kvType">How keys and values are kept.</param>
    /// <exception cref="TernException">Keys and values would take more than half of the machine's memory.</exception>
    public SequenceSet(Model model, int sequences, int positionsMax, KvType kvType)
    {
        ModelSpec spec = model.Spec;
        int pages = (positionsMax + KvPages.PageTokens - 1) / KvPages.PageTokens;
        long bytes = KvCache.PageBytes(spec, kvType) * pages * sequences, available = GC.GetGCMemoryInfo().TotalAvailableMemoryBytes;
        if (bytes > available / 2)
            throw new TernException(ErrorKind.Limit, $"keys and values of {sequences} sequences of {positionsMax} tokens take {bytes >> 20} MiB, more than half of this machine's {available >> 20} MiB; measure fewer sequences or less depth");

        Sequences = sequences;
        _layers = spec.Layers;
        _pages = [.. Enumerable.Range(0, sequences).Select(s => Enumerable.Range(s * pages, pages).ToArray())];
        Chunk = Math.Min(SequenceRunner.ChunkMax, positionsMax);
        int tokensMax = Math.Max(Chunk, sequences);
        _cache = new KvCache(spec, kvType, pages * sequences);
        _transformer = new Transformer(model, _cache, tokensMax, sequences, positionsMax);
        _batch = new Batch(tokensMax, sequences);
        _greedy = [.. Enumerable.Range(0, sequences).Select(_ => LogitDemand.Largest(1)!)];
        _output = new float[(long)sequences * spec.OutputSize];
        OutputSize = spec.OutputSize;
    }

    public int Sequences { get; }

    /// <summary>What the screened head has read.</summary>
    public HeadCounts HeadCounts => _transformer.HeadCounts;

    /// <summary>Most tokens per forward pass.</summary>
    public int Chunk { get; }

    private int OutputSize { get; }

    /// <summary>Runs a chunk of the first sequence at positions <paramref name="first"/>, first + 1 ….</summary>
    public void Prompt(ReadOnlySpan<int> tokens, int first, LogitRows wants)
    {
        _batch.Clear();
        _batch.Add(_pages[0], first, tokens, wants);
        Forward();
    }

    /// <summary>One token for each of the first <paramref name="count"/> sequences, in one step of greedy generation.</summary>
    public void Step(int count, int token, int position)
    {
        _batch.Clear();
        for (int i = 0; i < count; i++)
        {
            _greedy[i].Clear();
            _batch.Add(_pages[i], position, [token], LogitRows.Last, _greedy[i]);
        }

        Forward();
    }

    /// <summary>Gives all sequences what the first one has at positions before <paramref name="count"/>.</summary>
    public void Share(int count)
    {
        int pageBytes = checked((int)_cache.Pages.LayerPageBytes);
        for (int page = _filled / KvPages.PageTokens; page * KvPages.PageTokens < count; page++)
            for (int layer = 0; layer < _layers; layer++)
                for (int i = 1; i < Sequences; i++)
                    Page(layer, _pages[0][page]).CopyTo(Page(layer, _pages[i][page]));
        _filled = Math.Max(_filled, count);

        Span<byte> Page(int layer, int page) => _cache.Memory.Part(((long)layer * _cache.PageCount + page) * pageBytes, pageBytes);
    }

    public void Dispose()
    {
        _transformer.Dispose();
        _cache.Dispose();
    }

    private void Forward() => _transformer.Forward(_batch, _output.AsSpan(0, _batch.LogitRowCount * OutputSize));
}
