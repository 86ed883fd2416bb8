using Tern.Machine;

namespace Tern.Kernels;

/// <summary>Neighbouring tokens of one sequence in a batch: they share each expanded tile.</summary>
internal struct AttentionRun
{
    private const int SpanPages = Attention.SpanTokens / KvPages.PageTokens;

    public int FirstToken;

    public int Count;

    /// <summary>Pages that any of the tokens sees: [FirstPage, EndPage).</summary>
    public int FirstPage;

    public int EndPage;

    /// <summary>The run's first work item.</summary>
    public int FirstItem;

    /// <summary>Where its spans' results are kept, if it is split.</summary>
    public int FirstSlot;

    /// <summary>Whether each span is a work item of its own.</summary>
    public bool IsSplit;

    public readonly int FirstSpan => FirstPage / SpanPages;

    public readonly int SpanCount => ((EndPage - 1) / SpanPages) + 1 - FirstSpan;
}

/// <summary>What workers need: pointers into <see cref="AttentionMemory"/>, and the problem.</summary>
internal unsafe struct AttentionState
{
    public AttentionProblem* Problem;
    public AttentionRun* Runs;       // [RunCount]
    public int* Pending;             // [run, kvHead] spans that are not done
    public float* Partials;          // [slot, head][PaddedDim sums, max, sum of weights, unused]
    public float* Scratch;           // [thread][ScratchFloats]
    public long ScratchFloats;
    public int RunCount;
    public int KvHeads;
    public int Group;                // query heads per KV head
    public int HeadDim;
    public int PaddedDim;            // HeadDim rounded up to whole blocks
    public int RowsMax;              // query rows of a run, rounded up to whole steps
    public long KeyTileBytes;
    public long HeadBytes;
    public long LayerPageBytes;
}

/// <summary>
/// Working memory of attention, made once. For a context of n positions it holds the results of a few times n / 256 spans; scores are never
/// kept longer than a span.
/// </summary>
internal sealed unsafe class AttentionMemory : IDisposable
{
    /// <summary>Floats behind the sums of a partial result: max, sum of weights, and what keeps rows whole cache lines.</summary>
    public const int PartialTail = 16;

    /// <summary>Query rows (tokens times heads of a group) that a run aims at.</summary>
    private const int RunRows = 64;

    /// <summary>Rows come in fours, the last ones filled up.</summary>
    private const int RowsPerStep = 4;

    /// <summary>Contexts of full length whose spans fit <see cref="AttentionState.Partials"/>.</summary>
    private const int SplitContexts = 2;

    private readonly NativeBuffer<AttentionRun> _runs;
    private readonly NativeBuffer<int> _pending;
    private readonly NativeBuffer<float> _partials;
    private readonly NativeBuffer<float> _scratch;

    public AttentionMemory(KvPages pages, int heads, int tokensMax, int contextMax, int threads)
    {
        int group = heads / pages.KvHeads;
        int paddedDim = pages.Blocks * KvPages.BlockDims;
        TokensMax = tokensMax;
        ContextMax = contextMax;
        TokensPerRun = Math.Max(1, RunRows / group);
        SlotCount = threads > 1 ? SplitContexts * ((contextMax + Attention.SpanTokens - 1) / Attention.SpanTokens) : 0;
        int rows = ((Math.Min(TokensPerRun, tokensMax) * group) + RowsPerStep - 1) / RowsPerStep * RowsPerStep;
        long scratch = ScratchLayout.Floats(rows, paddedDim);
        _runs = new NativeBuffer<AttentionRun>(tokensMax);
        _pending = new NativeBuffer<int>((long)tokensMax * pages.KvHeads);
        _partials = new NativeBuffer<float>((long)SlotCount * heads * (paddedDim + PartialTail));
        _scratch = new NativeBuffer<float>(scratch * threads);
        State = new AttentionState
        {
            Runs = _runs.Pointer,
            Pending = _pending.Pointer,
            Partials = _partials.Pointer,
            Scratch = _scratch.Pointer,
            ScratchFloats = scratch,
            KvHeads = pages.KvHeads,
            Group = group,
            HeadDim = pages.HeadDim,
            PaddedDim = paddedDim,
            RowsMax = rows,
            KeyTileBytes = pages.KeyTileBytes,
            HeadBytes = pages.HeadBytes,
            LayerPageBytes = pages.LayerPageBytes,
        };
    }

    public int TokensMax { get; }

    public int ContextMax { get; }

    /// <summary>Most tokens of a run.</summary>
    public int TokensPerRun { get; }

    /// <summary>Results of a token and a span that can be kept.</summary>
    public int SlotCount { get; }

    /// <summary>Everything but the problem.</summary>
    public AttentionState State { get; }

    public AttentionRun* Runs => _runs.Pointer;

    public int* Pending => _pending.Pointer;

    public long ByteCount => (_runs.Count * sizeof(AttentionRun)) + (sizeof(int) * _pending.Count) + (sizeof(float) * (_partials.Count + _scratch.Count));

    public void Dispose()
    {
        _runs.Dispose();
        _pending.Dispose();
        _partials.Dispose();
        _scratch.Dispose();
    }
}

/// <summary>A worker's scratch, one buffer after the other, each whole cache lines.</summary>
internal readonly unsafe struct ScratchLayout
{
    public ScratchLayout(float* scratch, int rows, int paddedDim)
    {
        Queries = scratch;
        Scores = Queries + ((long)rows * paddedDim);
        Sums = Scores + ((long)rows * Attention.SpanTokens);
        Totals = Sums + ((long)rows * paddedDim);
        Tile = Totals + ((long)rows * paddedDim);
        SpanMax = Tile + TileFloats(paddedDim);
        SpanWeight = SpanMax + RowFloats(rows);
        TotalMax = SpanWeight + RowFloats(rows);
        TotalWeight = TotalMax + RowFloats(rows);
    }

    /// <summary>[rows / 4][dims][4] queries times the factor on scores.</summary>
    public float* Queries { get; }

    /// <summary>[rows][SpanTokens] scores of a span, then weights.</summary>
    public float* Scores { get; }

    /// <summary>[rows][paddedDim] o of a span.</summary>
    public float* Sums { get; }

    /// <summary>[rows][paddedDim] O over the spans so far.</summary>
    public float* Totals { get; }

    /// <summary>An expanded tile.</summary>
    public float* Tile { get; }

    /// <summary>[rows] m</summary>
    public float* SpanMax { get; }

    /// <summary>[rows] l</summary>
    public float* SpanWeight { get; }

    /// <summary>[rows] M</summary>
    public float* TotalMax { get; }

    /// <summary>[rows] L</summary>
    public float* TotalWeight { get; }

    /// <summary>Floats of the whole.</summary>
    public static long Floats(int rows, int paddedDim) =>
        ((long)rows * ((3 * paddedDim) + Attention.SpanTokens)) + TileFloats(paddedDim) + (4L * RowFloats(rows));

    private static int TileFloats(int paddedDim) => paddedDim / KvPages.BlockDims * (KvPages.PageTokens + 1) * KvPages.PageTokens;

    private static int RowFloats(int rows) => (rows + Lanes.Count - 1) / Lanes.Count * Lanes.Count;
}
