using System.Runtime.CompilerServices;

namespace Tern.Kernels;

/// <summary>
/// The micro-kernels of attention: four rows of queries (or one) against a tile of keys, four rows of weights (or one) against a tile of
/// values. Sixteen wide registers hold four rows times a whole row of a square; narrower lanes take half of it at a time.
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
                ScoreWhole(q, tile, count, s, adds, ahead);
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

            Keep(a0, tile, 0, first > 0, s);
            Keep(a1, tile, Lanes.Count, first > 0, s + Lanes.Count);
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
            float* weights = w;
            int apart = Span;
            if (TRows.IsScaled)
            {
                TLanes scale0 = TRows.Scales<TLanes>(tile, 0), scale1 = TRows.Scales<TLanes>(tile, Lanes.Count);
                for (int r = 0; r < RowsPerStep; r++)
                {
                    TLanes.Store(TLanes.Multiply(TLanes.Load(w + (r * Span)), scale0), scaled + (r * Side));
                    TLanes.Store(TLanes.Multiply(TLanes.Load(w + (r * Span) + Lanes.Count), scale1), scaled + (r * Side) + Lanes.Count);
                }

                weights = scaled;
                apart = Side;
            }

            int skipped = TRows.ScaleBytes + (begin * TRows.RowBytes);
            if (TLanes.IsWide)
            {
                SumWhole(weights + begin, apart, tile + skipped, end - begin, o, stride, ahead + skipped);
            }
            else
            {
                SumHalf(weights + begin, apart, tile + skipped, 0, end - begin, o, stride, ahead + skipped);
                SumHalf(weights + begin, apart, tile + skipped, Lanes.Count, end - begin, o + Lanes.Count, stride, tile + skipped);
            }

            o += Side;
            tile += TRows.ScaleBytes + (Side * TRows.RowBytes);
            ahead += TRows.ScaleBytes + (Side * TRows.RowBytes);
        }
    }

    /// <summary>The same for one row.</summary>
    [SkipLocalsInit]
    public static void Sums1(float* w, byte* tile, int blocks, int begin, int end, float* o, byte* ahead)
    {
        float* scaled = stackalloc float[Side];
        for (int block = 0; block < blocks; block++)
        {
            float* weights = w;
            if (TRows.IsScaled)
            {
                TLanes.Store(TLanes.Multiply(TLanes.Load(w), TRows.Scales<TLanes>(tile, 0)), scaled);
                TLanes.Store(TLanes.Multiply(TLanes.Load(w + Lanes.Count), TRows.Scales<TLanes>(tile, Lanes.Count)), scaled + Lanes.Count);
                weights = scaled;
            }

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

    /// <summary>A block's sums: as they are, or times the scales and behind the first block added to what stands there.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Keep(TLanes sum, byte* square, int first, bool adds, float* s)
    {
        if (TRows.IsScaled)
        {
            TLanes scale = TRows.Scales<TLanes>(square, first);
            sum = adds ? TLanes.FusedMultiplyAdd(sum, scale, TLanes.Load(s)) : TLanes.Multiply(sum, scale);
        }

        TLanes.Store(sum, s);
    }

    private static void ScoreWhole(float* q, byte* square, int count, float* s, bool adds, byte* next)
    {
        TLanes a0 = TLanes.Broadcast(0f), a1 = a0, b0 = a0, b1 = a0, c0 = a0, c1 = a0, d0 = a0, d1 = a0;
        byte* row = square + TRows.ScaleBytes;
        for (int i = 0; i < count; i++)
        {
            TLanes k0 = TRows.First<TLanes>(row);
            TLanes k1 = TRows.Second<TLanes>(row);
            row += TRows.RowBytes;
            KvRows.Prefetch(next);
            next += TRows.RowBytes;
            TLanes x = TLanes.Broadcast(q[0]);
            a0 = TLanes.FusedMultiplyAdd(x, k0, a0);
            a1 = TLanes.FusedMultiplyAdd(x, k1, a1);
            x = TLanes.Broadcast(q[1]);
            b0 = TLanes.FusedMultiplyAdd(x, k0, b0);
            b1 = TLanes.FusedMultiplyAdd(x, k1, b1);
            x = TLanes.Broadcast(q[2]);
            c0 = TLanes.FusedMultiplyAdd(x, k0, c0);
            c1 = TLanes.FusedMultiplyAdd(x, k1, c1);
            x = TLanes.Broadcast(q[3]);
            d0 = TLanes.FusedMultiplyAdd(x, k0, d0);
            d1 = TLanes.FusedMultiplyAdd(x, k1, d1);
            q += RowsPerStep;
        }

        Keep(a0, square, 0, adds, s);
        Keep(a1, square, Lanes.Count, adds, s + Lanes.Count);
        Keep(b0, square, 0, adds, s + Span);
        Keep(b1, square, Lanes.Count, adds, s + Span + Lanes.Count);
        Keep(c0, square, 0, adds, s + (2 * Span));
        Keep(c1, square, Lanes.Count, adds, s + (2 * Span) + Lanes.Count);
        Keep(d0, square, 0, adds, s + (3 * Span));
        Keep(d1, square, Lanes.Count, adds, s + (3 * Span) + Lanes.Count);
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

        Keep(a, square, half, adds, s);
        Keep(b, square, half, adds, s + Span);
        Keep(c, square, half, adds, s + (2 * Span));
        Keep(d, square, half, adds, s + (3 * Span));
    }

    private static void SumWhole(float* w, int apart, byte* row, int count, float* o, int stride, byte* next)
    {
        float* o1 = o + stride, o2 = o1 + stride, o3 = o2 + stride;
        float* w1 = w + apart, w2 = w1 + apart, w3 = w2 + apart;
        TLanes a0 = TLanes.Load(o), a1 = TLanes.Load(o + Lanes.Count);
        TLanes b0 = TLanes.Load(o1), b1 = TLanes.Load(o1 + Lanes.Count);
        TLanes c0 = TLanes.Load(o2), c1 = TLanes.Load(o2 + Lanes.Count);
        TLanes d0 = TLanes.Load(o3), d1 = TLanes.Load(o3 + Lanes.Count);
        for (int p = 0; p < count; p++)
        {
            TLanes v0 = TRows.First<TLanes>(row);
            TLanes v1 = TRows.Second<TLanes>(row);
            row += TRows.RowBytes;
            KvRows.Prefetch(next);
            next += TRows.RowBytes;
            TLanes x = TLanes.Broadcast(w[p]);
            a0 = TLanes.FusedMultiplyAdd(x, v0, a0);
            a1 = TLanes.FusedMultiplyAdd(x, v1, a1);
            x = TLanes.Broadcast(w1[p]);
            b0 = TLanes.FusedMultiplyAdd(x, v0, b0);
            b1 = TLanes.FusedMultiplyAdd(x, v1, b1);
            x = TLanes.Broadcast(w2[p]);
            c0 = TLanes.FusedMultiplyAdd(x, v0, c0);
            c1 = TLanes.FusedMultiplyAdd(x, v1, c1);
            x = TLanes.Broadcast(w3[p]);
            d0 = TLanes.FusedMultiplyAdd(x, v0, d0);
            d1 = TLanes.FusedMultiplyAdd(x, v1, d1);
        }

        TLanes.Store(a0, o);
        TLanes.Store(a1, o + Lanes.Count);
        TLanes.Store(b0, o1);
        TLanes.Store(b1, o1 + Lanes.Count);
        TLanes.Store(c0, o2);
        TLanes.Store(c1, o2 + Lanes.Count);
        TLanes.Store(d0, o3);
        TLanes.Store(d1, o3 + Lanes.Count);
    }

    private static void SumHalf(float* w, int apart, byte* row, int half, int count, float* o, int stride, byte* next)
    {
        float* o1 = o + stride, o2 = o1 + stride, o3 = o2 + stride;
        float* w1 = w + apart, w2 = w1 + apart, w3 = w2 + apart;
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
