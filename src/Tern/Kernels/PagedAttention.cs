using Tern.Machine;

namespace Tern.Kernels;

/// <summary>The fence of attention: the memory of all pages, and the two things that happen to it, with every index checked.</summary>
internal sealed unsafe class PagedAttention : IDisposable
{
    private readonly Attention _attention;
    private readonly NativeBuffer<byte> _memory;
    private readonly int _layers;
    private readonly int _pageCount;
    private readonly float _scale;

    /// <param name="pages">Layout of a page.</param>
    /// <param name="memory">[layers][pageCount] pages.</param>
    /// <param name="layers">Layers.</param>
    /// <param name="pageCount">Pages per layer.</param>
    /// <param name="heads">Query heads.</param>
    /// <param name="scale">Factor on scores.</param>
    /// <param name="tokensMax">Most tokens of a batch.</param>
    /// <param name="contextMax">Most positions of one sequence.</param>
    /// <param name="allowed">Instruction sets that may be used.</param>
    /// <param name="pool">Workers.</param>
    public PagedAttention(KvPages pages, NativeBuffer<byte> memory, int layers, int pageCount, int heads, float scale, int tokensMax, int contextMax, Isa allowed, WorkerPool pool)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(memory.Count, checked(pages.LayerPageBytes * pageCount * layers));
        _attention = new Attention(pages, heads, tokensMax, contextMax, allowed, pool);
        (_memory, _layers, _pageCount, _scale) = (memory, layers, pageCount, scale);
    }

    /// <summary>Stores keys and values of all tokens of a batch in one layer.</summary>
    /// <param name="layer">In [0, layers).</param>
    /// <param name="positions">Where the tokens stand.</param>
    /// <param name="keys">[tokens, kvHeads · headDim], rotated.</param>
    /// <param name="values">[tokens, kvHeads · headDim].</param>
    public void Append(int layer, BatchPositions positions, FloatMatrix keys, FloatMatrix values)
    {
        KvPages pages = _attention.Pages;
        byte* memory = Layer(layer, positions);
        Check(keys, positions.Count, pages.KvHeads * pages.HeadDim);
        Check(values, positions.Count, pages.KvHeads * pages.HeadDim);
        for (int token = 0; token < positions.Count; token++)
        {
            int position = positions.Positions[token];
            int page = positions.Pages[positions.PageStarts[token] + position / KvPages.PageTokens];
            pages.Append(memory + page * pages.LayerPageBytes, position % KvPages.PageTokens, keys.Pointer + (long)token * keys.Stride, values.Pointer + (long)token * values.Stride);
        }
    }

    /// <summary>For every token, what its heads gather from the positions up to it.</summary>
    /// <param name="layer">In [0, layers).</param>
    /// <param name="positions">Where the tokens stand.</param>
    /// <param name="queries">[tokens, heads · headDim], rotated.</param>
    /// <param name="output">[tokens, heads · headDim].</param>
    /// <param name="window">Positions seen, itself included; 0 means all.</param>
    public void Run(int layer, BatchPositions positions, FloatMatrix queries, FloatMatrix output, int window)
    {
        int width = _attention.Heads * _attention.Pages.HeadDim;
        byte* memory = Layer(layer, positions);
        Check(queries, positions.Count, width);
        Check(output, positions.Count, width);
        var problem = new AttentionProblem
        {
            Queries = queries.Pointer,
            QueryStride = queries.Stride,
            Output = output.Pointer,
            OutputStride = output.Stride,
            Tokens = positions.Count,
            Scale = _scale,
            Positions = positions.Positions,
            PageStarts = positions.PageStarts,
            Pages = positions.Pages,
            Layer = memory,
            Window = window,
        };
        _attention.Run(ref problem);
    }

    public void Dispose() => _attention.Dispose();

    private static void Check(FloatMatrix matrix, int rows, int columns)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(rows, matrix.Rows);
        ArgumentOutOfRangeException.ThrowIfNotEqual(columns, matrix.Columns);
    }

    private byte* Layer(int layer, BatchPositions positions)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)layer, (uint)_layers);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(positions.PagesEnd, _pageCount);
        return _memory.Pointer + layer * _pageCount * _attention.Pages.LayerPageBytes;
    }
}
