namespace Tern.Kernels;

/// <summary>The micro-kernels of attention: expanding a tile, and four heads times one or two registers of a tile.</summary>
internal static unsafe class FloatTiles<TLanes>
    where TLanes : unmanaged, ILanes<TLanes>
{
    private const int PageTokens = KvPages.PageTokens;

    /// <summary>A tile as float32: itself, or expanded into <paramref name="scratch"/>. Count is a multiple of 16.</summary>
    public static float* Expand(KvType type, byte* source, int count, float* scratch)
    {
        if (type == KvType.F32)
            return (float*)source;

        var halves = (ushort*)source;
        for (int i = 0; i < count; i += Lanes.Count)
            TLanes.Store(TLanes.LoadHalf(halves + i), scratch + i);
        return scratch;
    }

    /// <summary>A tile of rows as float32 with rows padded with zeros to <paramref name="paddedColumns"/>.</summary>
    public static float* ExpandRows(KvType type, byte* source, int rows, int columns, int paddedColumns, float* scratch)
    {
        if (columns == paddedColumns)
            return Expand(type, source, rows * columns, scratch);

        int whole = columns / Lanes.Count * Lanes.Count;
        for (int row = 0; row < rows; row++)
        {
            float* destination = scratch + (row * paddedColumns);
            if (type == KvType.F16)
            {
                ushort* halves = (ushort*)source + (row * columns);
                Expand(type, (byte*)halves, whole, destination);
                TLanes.Store(Lanes.LoadHalfFirst<TLanes>(halves + whole, columns - whole), destination + whole);
            }
            else
            {
                float* floats = (float*)source + (row * columns);
                new ReadOnlySpan<float>(floats, columns).CopyTo(new Span<float>(destination, columns));
                new Span<float>(destination + columns, paddedColumns - columns).Clear();
            }
        }

        return scratch;
    }

    /// <summary>s_h[0..32) = scale · Σ_d q_h[d] · tile[d][0..32).</summary>
    public static void Scores4x2(
        float* q0, float* q1, float* q2, float* q3, float* tile, int headDim, float scale, float* s0, float* s1, float* s2, float* s3)
    {
        TLanes a0 = TLanes.Broadcast(0f), a1 = a0, b0 = a0, b1 = a0, c0 = a0, c1 = a0, d0 = a0, d1 = a0;
        for (int d = 0; d < headDim; d++)
        {
            TLanes k0 = TLanes.Load(tile);
            TLanes k1 = TLanes.Load(tile + Lanes.Count);
            tile += PageTokens;
            TLanes q = TLanes.Broadcast(q0[d]);
            a0 = TLanes.FusedMultiplyAdd(q, k0, a0);
            a1 = TLanes.FusedMultiplyAdd(q, k1, a1);
            q = TLanes.Broadcast(q1[d]);
            b0 = TLanes.FusedMultiplyAdd(q, k0, b0);
            b1 = TLanes.FusedMultiplyAdd(q, k1, b1);
            q = TLanes.Broadcast(q2[d]);
            c0 = TLanes.FusedMultiplyAdd(q, k0, c0);
            c1 = TLanes.FusedMultiplyAdd(q, k1, c1);
            q = TLanes.Broadcast(q3[d]);
            d0 = TLanes.FusedMultiplyAdd(q, k0, d0);
            d1 = TLanes.FusedMultiplyAdd(q, k1, d1);
        }

        TLanes factor = TLanes.Broadcast(scale);
        TLanes.Store(TLanes.Multiply(a0, factor), s0);
        TLanes.Store(TLanes.Multiply(a1, factor), s0 + Lanes.Count);
        TLanes.Store(TLanes.Multiply(b0, factor), s1);
        TLanes.Store(TLanes.Multiply(b1, factor), s1 + Lanes.Count);
        TLanes.Store(TLanes.Multiply(c0, factor), s2);
        TLanes.Store(TLanes.Multiply(c1, factor), s2 + Lanes.Count);
        TLanes.Store(TLanes.Multiply(d0, factor), s3);
        TLanes.Store(TLanes.Multiply(d1, factor), s3 + Lanes.Count);
    }

    /// <summary>s_h[0..16) = scale · Σ_d q_h[d] · tile[d][0..16).</summary>
    public static void Scores4x1(
        float* q0, float* q1, float* q2, float* q3, float* tile, int headDim, float scale, float* s0, float* s1, float* s2, float* s3)
    {
        TLanes a = TLanes.Broadcast(0f), b = a, c = a, e = a;
        for (int d = 0; d < headDim; d++)
        {
            TLanes k = TLanes.Load(tile);
            tile += PageTokens;
            a = TLanes.FusedMultiplyAdd(TLanes.Broadcast(q0[d]), k, a);
            b = TLanes.FusedMultiplyAdd(TLanes.Broadcast(q1[d]), k, b);
            c = TLanes.FusedMultiplyAdd(TLanes.Broadcast(q2[d]), k, c);
            e = TLanes.FusedMultiplyAdd(TLanes.Broadcast(q3[d]), k, e);
        }

        TLanes factor = TLanes.Broadcast(scale);
        TLanes.Store(TLanes.Multiply(a, factor), s0);
        TLanes.Store(TLanes.Multiply(b, factor), s1);
        TLanes.Store(TLanes.Multiply(c, factor), s2);
        TLanes.Store(TLanes.Multiply(e, factor), s3);
    }

    /// <summary>o_h[0..32) += Σ over p in [begin, end) of w_h[p] · tile[p][0..32).</summary>
    public static void Sums4x2(
        float* w0, float* w1, float* w2, float* w3, float* tile, int stride, int begin, int end, float* o0, float* o1, float* o2, float* o3)
    {
        TLanes a0 = TLanes.Load(o0), a1 = TLanes.Load(o0 + Lanes.Count);
        TLanes b0 = TLanes.Load(o1), b1 = TLanes.Load(o1 + Lanes.Count);
        TLanes c0 = TLanes.Load(o2), c1 = TLanes.Load(o2 + Lanes.Count);
        TLanes d0 = TLanes.Load(o3), d1 = TLanes.Load(o3 + Lanes.Count);
        float* row = tile + (begin * stride);
        for (int p = begin; p < end; p++, row += stride)
        {
            TLanes v0 = TLanes.Load(row);
            TLanes v1 = TLanes.Load(row + Lanes.Count);
            TLanes w = TLanes.Broadcast(w0[p]);
            a0 = TLanes.FusedMultiplyAdd(w, v0, a0);
            a1 = TLanes.FusedMultiplyAdd(w, v1, a1);
            w = TLanes.Broadcast(w1[p]);
            b0 = TLanes.FusedMultiplyAdd(w, v0, b0);
            b1 = TLanes.FusedMultiplyAdd(w, v1, b1);
            w = TLanes.Broadcast(w2[p]);
            c0 = TLanes.FusedMultiplyAdd(w, v0, c0);
            c1 = TLanes.FusedMultiplyAdd(w, v1, c1);
            w = TLanes.Broadcast(w3[p]);
            d0 = TLanes.FusedMultiplyAdd(w, v0, d0);
            d1 = TLanes.FusedMultiplyAdd(w, v1, d1);
        }

        TLanes.Store(a0, o0);
        TLanes.Store(a1, o0 + Lanes.Count);
        TLanes.Store(b0, o1);
        TLanes.Store(b1, o1 + Lanes.Count);
        TLanes.Store(c0, o2);
        TLanes.Store(c1, o2 + Lanes.Count);
        TLanes.Store(d0, o3);
        TLanes.Store(d1, o3 + Lanes.Count);
    }

    /// <summary>o_h[0..16) += Σ over p in [begin, end) of w_h[p] · tile[p][0..16).</summary>
    public static void Sums4x1(
        float* w0, float* w1, float* w2, float* w3, float* tile, int stride, int begin, int end, float* o0, float* o1, float* o2, float* o3)
    {
        TLanes a = TLanes.Load(o0), b = TLanes.Load(o1), c = TLanes.Load(o2), d = TLanes.Load(o3);
        float* row = tile + (begin * stride);
        for (int p = begin; p < end; p++, row += stride)
        {
            TLanes v = TLanes.Load(row);
            a = TLanes.FusedMultiplyAdd(TLanes.Broadcast(w0[p]), v, a);
            b = TLanes.FusedMultiplyAdd(TLanes.Broadcast(w1[p]), v, b);
            c = TLanes.FusedMultiplyAdd(TLanes.Broadcast(w2[p]), v, c);
            d = TLanes.FusedMultiplyAdd(TLanes.Broadcast(w3[p]), v, d);
        }

        TLanes.Store(a, o0);
        TLanes.Store(b, o1);
        TLanes.Store(c, o2);
        TLanes.Store(d, o3);
    }
}
