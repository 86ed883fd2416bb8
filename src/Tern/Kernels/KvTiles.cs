using System.Runtime.CompilerServices;

namespace Tern.Kernels;

/// <summary>
/// The micro-kernels of attention: four rows of queries (or one) against a tile of keys, four rows of weights (or one) against a tile of
/// values. Narrow lanes take half a row of a square at a time; wide ones the whole row, in <see cref="KvWideTiles{TLanes, TRows}"/>.
/// </summary>
/// <typeparam name="TLanes">Lanes.</typeparam>
/// <typeparam name="TRows">How the tile's numbers are stored.</typeparam>
internal static unsafe class KvTiles<TLanes, TRows>
    where TLanes : unmanaged, ILanes<TLanes>
    where TRows : IKvRows
{
    /// <summary>Rows that move together.</summary>
    public const int RowsPerStep = 4;

    private const int Side = KvPages.PageTokens;
    private const int Span = Attention.SpanTokens;

    /// <summary>Floats from one row of the weights that a sum reads to the next: those times a square's scales stand closer.</summary>
    public static int Apart
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => TRows.IsScaled ? Side : Span;
    }

    /// <summary>Writes a tile as floats, each square's scales in front of it: what <see cref="KvRows.F32"/> or ScaledF32 reads.</summary>
    /// <param name="tile">The tile.</param>
    /// <param name="rows">Rows of all squares together.</param>
    /// <param name="destination">Room for the rows, and for 32 scales per square.</param>
    public static void Expand(byte* tile, int rows, float* destination)
    {
        for (int start = 0; start < rows; start += Side)
        {
            if (TRows.IsScaled)
            {
                TLanes.Store(TRows.Scales<TLanes>(tile, 0), destination);
                TLanes.Store(TRows.Scales<TLanes>(tile, Lanes.Count), destination + Lanes.Count);
                tile += TRows.ScaleBytes;
                destination += Side;
            }

            for (int row = Math.Min(Side, rows - start); row > 0; row--, tile += TRows.RowBytes, destination += Side)
            {
                TLanes.Store(TRows.First<TLanes>(tile), destination);
                TLanes.Store(TRows.Second<TLanes>(tile), destination + Lanes.Count);
            }
        }
    }

    /// <summary>Scores of 32 positions for four rows: s[r · Span + p] = Σ_d q[4 d + r] · k[d][p], block by block where there are scales.</summary>
    /// <param name="q">[dims][4].</param>
    /// <param name="tile">Keys.</param>
    /// <param name="dims">Dimensions.</param>
    /// <param name="s">Four rows of scores, a span apart.</param>
    /// <param name="ahead">What will be read next, as long as the tile.</param>
    public static void Scores4(float* q, byte* tile, int dims, float* s, byte* ahead)
    {
        int step = TRows.IsScaled ? KvPages.BlockDims : dims;
        for (int first = 0; first < dims; first += step)
        {
            int count = Math.Min(step, dims - first);
            bool adds = first > 0;
            if (TLanes.IsWide)
            {
                KvWideTiles<TLanes, TRows>.Score4(q, tile, count, s, adds, ahead);
            }
            else
            {
                ScoreHalf(q, tile, 0, count, s, adds, ahead);
                ScoreHalf(q, tile, Lanes.Count, count, s + Lanes.Count, adds, tile);
            }

            q += RowsPerStep * count;
            int bytes = TRows.ScaleBytes + (count * TRows.RowBytes);
            tile += bytes;
            ahead += bytes;
        }
    }

    /// <summary>The same for eight rows, where lanes are wide and nothing has to be fetched.</summary>
    public static void Scores8(float* q, byte* tile, int dims, float* s)
    {
        int step = TRows.IsScaled ? KvPages.BlockDims : dims;
        float* r = q + (RowsPerStep * dims);
        for (int first = 0; first < dims; first += step)
        {
            int count = Math.Min(step, dims - first);
            KvWideTiles<TLanes, TRows>.Score8(q, r, tile, count, s, first > 0);
            q += RowsPerStep * count;
            r += RowsPerStep * count;
            tile += TRows.ScaleBytes + (count * TRows.RowBytes);
        }
    }

    /// <summary>The same for one row, q being row 0 of [dims][4].</summary>
    public static void Scores1(float* q, byte* tile, int dims, float* s, byte* ahead)
    {
        int step = TRows.IsScaled ? KvPages.BlockDims : dims;
        for (int first = 0; first < dims; first += step)
        {
            int count = Math.Min(step, dims - first);
            TLanes a0 = TLanes.Broadcast(0f), a1 = a0;
            byte* row = tile + TRows.ScaleBytes;
            byte* next = ahead;
            for (int d = 0; d < count; d++)
            {
                TLanes x = TLanes.Broadcast(q[RowsPerStep * d]);
                a0 = TLanes.FusedMultiplyAdd(x, TRows.First<TLanes>(row), a0);
                a1 = TLanes.FusedMultiplyAdd(x, TRows.Second<TLanes>(row), a1);
                KvRows.Prefetch(next);
                row += TRows.RowBytes;
                next += TRows.RowBytes;
            }

            Keep(a0, TRows.Scales<TLanes>(tile, 0), first > 0, s);
            Keep(a1, TRows.Scales<TLanes>(tile, Lanes.Count), first > 0, s + Lanes.Count);
            q += RowsPerStep * count;
            ahead += row - tile;
            tile = row;
        }
    }

    /// <summary>o[r · stride + d] += Σ over p in [begin, end) of w[r · Span + p] · v[p][d] for four rows; scales go into the weights first.</summary>
    /// <param name="w">Four rows of weights of the page's positions, a span apart.</param>
    /// <param name="tile">Values.</param>
    /// <param name="blocks">Squares of the tile.</param>
    /// <param name="begin">First position.</param>
    /// <param name="end">Behind the last position.</param>
    /// <param name="o">[4][stride].</param>
    /// <param name="stride">Floats from one row of sums to the next.</param>
    /// <param name="ahead">What will be read next, as long as the tile.</param>
    [SkipLocalsInit]
    public static void Sums4(float* w, byte* tile, int blocks, int begin, int end, float* o, int stride, byte* ahead)
    {
        float* scaled = stackalloc float[RowsPerStep * Side];
        for (int block = 0; block < blocks; block++)
        {
            float* weights = TRows.IsScaled ? scaled : w;
            if (TRows.IsScaled)
                ScaleWeights(w, tile, RowsPerStep, scaled);

            int skipped = TRows.ScaleBytes + (begin * TRows.RowBytes);
            if (TLanes.IsWide)
            {
                KvWideTiles<TLanes, TRows>.Sum4(weights + begin, tile + skipped, end - begin, o, stride, ahead + skipped);
            }
            else
            {
                SumHalf(weights + begin, tile + skipped, 0, end - begin, o, stride, ahead + skipped);
                SumHalf(weights + begin, tile + skipped, Lanes.Count, end - begin, o + Lanes.Count, stride, tile + skipped);
            }

            o += Side;
            tile += TRows.ScaleBytes + (Side * TRows.RowBytes);
            ahead += TRows.ScaleBytes + (Side * TRows.RowBytes);
        }
    }

    /// <summary>The same for eight rows, where lanes are wide and nothing has to be fetched.</summary>
    [SkipLocalsInit]
    public static void Sums8(float* w, byte* tile, int blocks, int begin, int end, float* o, int stride)
    {
        float* scaled = stackalloc float[2 * RowsPerStep * Side];
        for (int block = 0; block < blocks; block++)
        {
            float* weights = TRows.IsScaled ? scaled : w;
            if (TRows.IsScaled)
                ScaleWeights(w, tile, 2 * RowsPerStep, scaled);
            KvWideTiles<TLanes, TRows>.Sum8(weights + begin, tile + TRows.ScaleBytes + (begin * TRows.RowBytes), end - begin, o, stride);
            o += Side;
            tile += TRows.ScaleBytes + (Side * TRows.RowBytes);
        }
    }

    /// <summary>The same for one row.</summary>
    [SkipLocalsInit]
    public static void Sums1(float* w, byte* tile, int blocks, int begin, int end, float* o, byte* ahead)
    {
        float* scaled = stackalloc float[Side];
        for (int block = 0; block < blocks; block++)
        {
            float* weights = TRows.IsScaled ? scaled : w;
            if (TRows.IsScaled)
                ScaleWeights(w, tile, 1, scaled);

            TLanes a0 = TLanes.Load(o), a1 = TLanes.Load(o + Lanes.Count);
            byte* row = tile + TRows.ScaleBytes + (begin * TRows.RowBytes);
            byte* next = ahead + TRows.ScaleBytes + (begin * TRows.RowBytes);
            for (int p = begin; p < end; p++)
            {
                TLanes x = TLanes.Broadcast(weights[p]);
                a0 = TLanes.FusedMultiplyAdd(x, TRows.First<TLanes>(row), a0);
                a1 = TLanes.FusedMultiplyAdd(x, TRows.Second<TLanes>(row), a1);
                KvRows.Prefetch(next);
                row += TRows.RowBytes;
                next += TRows.RowBytes;
            }

            TLanes.Store(a0, o);
            TLanes.Store(a1, o + Lanes.Count);
            o += Side;
            tile += TRows.ScaleBytes + (Side * TRows.RowBytes);
            ahead += TRows.ScaleBytes + (Side * TRows.RowBytes);
        }
    }

    /// <summary>[rows][32] the weights of a page's positions times the scales of a square.</summary>
    public static void ScaleWeights(float* w, byte* square, int rows, float* scaled)
    {
        TLanes scale0 = TRows.Scales<TLanes>(square, 0), scale1 = TRows.Scales<TLanes>(square, Lanes.Count);
        for (int r = 0; r < rows; r++, w += Span, scaled += Side)
        {
            TLanes.Store(TLanes.Multiply(TLanes.Load(w), scale0), scaled);
            TLanes.Store(TLanes.Multiply(TLanes.Load(w + Lanes.Count), scale1), scaled + Lanes.Count);
        }
    }

    /// <summary>A block's sums: as they are, or times the scales and behind the first block added to what stands there.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Keep(TLanes sum, TLanes scale, bool adds, float* s)
    {
        if (TRows.IsScaled)
            sum = adds ? TLanes.FusedMultiplyAdd(sum, scale, TLanes.Load(s)) : TLanes.Multiply(sum, scale);
        TLanes.Store(sum, s);
    }

    private static void ScoreHalf(float* q, byte* square, int half, int count, float* s, bool adds, byte* next)
    {
        TLanes a = TLanes.Broadcast(0f), b = a, c = a, d = a;
        byte* row = square + TRows.ScaleBytes;
        for (int i = 0; i < count; i++)
        {
            TLanes k = half == 0 ? TRows.First<TLanes>(row) : TRows.Second<TLanes>(row);
            row += TRows.RowBytes;
            KvRows.Prefetch(next);
            next += TRows.RowBytes;
            a = TLanes.FusedMultiplyAdd(TLanes.Broadcast(q[0]), k, a);
            b = TLanes.FusedMultiplyAdd(TLanes.Broadcast(q[1]), k, b);
            c = TLanes.FusedMultiplyAdd(TLanes.Broadcast(q[2]), k, c);
            d = TLanes.FusedMultiplyAdd(TLanes.Broadcast(q[3]), k, d);
            q += RowsPerStep;
        }

        TLanes scale = TRows.Scales<TLanes>(square, half);
        Keep(a, scale, adds, s);
        Keep(b, scale, adds, s + Span);
        Keep(c, scale, adds, s + (2 * Span));
        Keep(d, scale, adds, s + (3 * Span));
    }

    private static void SumHalf(float* w, byte* row, int half, int count, float* o, int stride, byte* next)
    {
        float* o1 = o + stride, o2 = o1 + stride, o3 = o2 + stride;
        float* w1 = w + Apart, w2 = w1 + Apart, w3 = w2 + Apart;
        TLanes a = TLanes.Load(o), b = TLanes.Load(o1), c = TLanes.Load(o2), d = TLanes.Load(o3);
        for (int p = 0; p < count; p++)
        {
            TLanes v = half == 0 ? TRows.First<TLanes>(row) : TRows.Second<TLanes>(row);
            row += TRows.RowBytes;
            KvRows.Prefetch(next);
            next += TRows.RowBytes;
            a = TLanes.FusedMultiplyAdd(TLanes.Broadcast(w[p]), v, a);
            b = TLanes.FusedMultiplyAdd(TLanes.Broadcast(w1[p]), v, b);
            c = TLanes.FusedMultiplyAdd(TLanes.Broadcast(w2[p]), v, c);
            d = TLanes.FusedMultiplyAdd(TLanes.Broadcast(w3[p]), v, d);
        }

        TLanes.Store(a, o);
        TLanes.Store(b, o1);
        TLanes.Store(c, o2);
        TLanes.Store(d, o3);
    }
}
