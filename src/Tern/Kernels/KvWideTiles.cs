using System.Runtime.CompilerServices;

namespace Tern.Kernels;

/// <summary>
/// The micro-kernels of attention for lanes that are one register: of 32 registers, four rows times a whole row of a square take eight for
/// their sums, which is what two multiply-adds a cycle of four cycles' latency need while numbers are converted; eight rows take sixteen and
/// need fewer loads, for tiles that are floats already.
/// </summary>
/// <typeparam name="TLanes">Lanes.</typeparam>
/// <typeparam name="TRows">How the tile's numbers are stored.</typeparam>
internal static unsafe class KvWideTiles<TLanes, TRows>
    where TLanes : unmanaged, ILanes<TLanes>
    where TRows : IKvRows
{
    private const int Step = KvTiles<TLanes, TRows>.RowsPerStep;
    private const int Span = Attention.SpanTokens;

    /// <summary>Scores of 32 positions over <paramref name="count"/> dimensions for the four rows of q, [count][4].</summary>
    public static void Score4(float* q, byte* square, int count, float* s, bool adds, byte* next)
    {
        TLanes a0 = TLanes.Broadcast(0f), a1 = a0;
        TLanes b0 = TLanes.Broadcast(0f), b1 = b0;
        TLanes c0 = TLanes.Broadcast(0f), c1 = c0;
        TLanes d0 = TLanes.Broadcast(0f), d1 = d0;
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
            q += Step;
        }

        TLanes scale0 = TRows.Scales<TLanes>(square, 0), scale1 = TRows.Scales<TLanes>(square, Lanes.Count);
        Keep(a0, a1, scale0, scale1, adds, s);
        Keep(b0, b1, scale0, scale1, adds, s + Span);
        Keep(c0, c1, scale0, scale1, adds, s + (2 * Span));
        Keep(d0, d1, scale0, scale1, adds, s + (3 * Span));
    }

    /// <summary>The same for the four rows of q and the four of r.</summary>
    public static void Score8(float* q, float* r, byte* square, int count, float* s, bool adds)
    {
        TLanes a0 = TLanes.Broadcast(0f), a1 = a0;
        TLanes b0 = TLanes.Broadcast(0f), b1 = b0;
        TLanes c0 = TLanes.Broadcast(0f), c1 = c0;
        TLanes d0 = TLanes.Broadcast(0f), d1 = d0;
        TLanes e0 = TLanes.Broadcast(0f), e1 = e0;
        TLanes f0 = TLanes.Broadcast(0f), f1 = f0;
        TLanes g0 = TLanes.Broadcast(0f), g1 = g0;
        TLanes h0 = TLanes.Broadcast(0f), h1 = h0;
        byte* row = square + TRows.ScaleBytes;
        for (int i = 0; i < count; i++)
        {
            TLanes k0 = TRows.First<TLanes>(row);
            TLanes k1 = TRows.Second<TLanes>(row);
            row += TRows.RowBytes;
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
            x = TLanes.Broadcast(r[0]);
            e0 = TLanes.FusedMultiplyAdd(x, k0, e0);
            e1 = TLanes.FusedMultiplyAdd(x, k1, e1);
            x = TLanes.Broadcast(r[1]);
            f0 = TLanes.FusedMultiplyAdd(x, k0, f0);
            f1 = TLanes.FusedMultiplyAdd(x, k1, f1);
            x = TLanes.Broadcast(r[2]);
            g0 = TLanes.FusedMultiplyAdd(x, k0, g0);
            g1 = TLanes.FusedMultiplyAdd(x, k1, g1);
            x = TLanes.Broadcast(r[3]);
            h0 = TLanes.FusedMultiplyAdd(x, k0, h0);
            h1 = TLanes.FusedMultiplyAdd(x, k1, h1);
            q += Step;
            r += Step;
        }

        TLanes scale0 = TRows.Scales<TLanes>(square, 0), scale1 = TRows.Scales<TLanes>(square, Lanes.Count);
        Keep(a0, a1, scale0, scale1, adds, s);
        Keep(b0, b1, scale0, scale1, adds, s + Span);
        Keep(c0, c1, scale0, scale1, adds, s + (2 * Span));
        Keep(d0, d1, scale0, scale1, adds, s + (3 * Span));
        Keep(e0, e1, scale0, scale1, adds, s + (4 * Span));
        Keep(f0, f1, scale0, scale1, adds, s + (5 * Span));
        Keep(g0, g1, scale0, scale1, adds, s + (6 * Span));
        Keep(h0, h1, scale0, scale1, adds, s + (7 * Span));
    }

    /// <summary>Sums of 32 dimensions over <paramref name="count"/> positions for four rows.</summary>
    public static void Sum4(float* w, byte* row, int count, float* o, int stride, byte* next)
    {
        int apart = KvTiles<TLanes, TRows>.Apart;
        float* o1 = o + stride;
        float* o2 = o1 + stride;
        float* o3 = o2 + stride;
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
            TLanes x = TLanes.Broadcast(*w);
            a0 = TLanes.FusedMultiplyAdd(x, v0, a0);
            a1 = TLanes.FusedMultiplyAdd(x, v1, a1);
            x = TLanes.Broadcast(w[apart]);
            b0 = TLanes.FusedMultiplyAdd(x, v0, b0);
            b1 = TLanes.FusedMultiplyAdd(x, v1, b1);
            x = TLanes.Broadcast(w[2 * apart]);
            c0 = TLanes.FusedMultiplyAdd(x, v0, c0);
            c1 = TLanes.FusedMultiplyAdd(x, v1, c1);
            x = TLanes.Broadcast(w[3 * apart]);
            d0 = TLanes.FusedMultiplyAdd(x, v0, d0);
            d1 = TLanes.FusedMultiplyAdd(x, v1, d1);
            w++;
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

    /// <summary>The same for eight rows.</summary>
    public static void Sum8(float* w, byte* row, int count, float* o, int stride)
    {
        int apart = KvTiles<TLanes, TRows>.Apart;
        float* o1 = o + stride;
        float* o2 = o1 + stride;
        float* o3 = o2 + stride;
        float* o4 = o3 + stride;
        float* o5 = o4 + stride;
        float* o6 = o5 + stride;
        float* o7 = o6 + stride;
        TLanes a0 = TLanes.Load(o), a1 = TLanes.Load(o + Lanes.Count);
        TLanes b0 = TLanes.Load(o1), b1 = TLanes.Load(o1 + Lanes.Count);
        TLanes c0 = TLanes.Load(o2), c1 = TLanes.Load(o2 + Lanes.Count);
        TLanes d0 = TLanes.Load(o3), d1 = TLanes.Load(o3 + Lanes.Count);
        TLanes e0 = TLanes.Load(o4), e1 = TLanes.Load(o4 + Lanes.Count);
        TLanes f0 = TLanes.Load(o5), f1 = TLanes.Load(o5 + Lanes.Count);
        TLanes g0 = TLanes.Load(o6), g1 = TLanes.Load(o6 + Lanes.Count);
        TLanes h0 = TLanes.Load(o7), h1 = TLanes.Load(o7 + Lanes.Count);
        for (int p = 0; p < count; p++)
        {
            TLanes v0 = TRows.First<TLanes>(row);
            TLanes v1 = TRows.Second<TLanes>(row);
            row += TRows.RowBytes;
            TLanes x = TLanes.Broadcast(*w);
            a0 = TLanes.FusedMultiplyAdd(x, v0, a0);
            a1 = TLanes.FusedMultiplyAdd(x, v1, a1);
            x = TLanes.Broadcast(w[apart]);
            b0 = TLanes.FusedMultiplyAdd(x, v0, b0);
            b1 = TLanes.FusedMultiplyAdd(x, v1, b1);
            x = TLanes.Broadcast(w[2 * apart]);
            c0 = TLanes.FusedMultiplyAdd(x, v0, c0);
            c1 = TLanes.FusedMultiplyAdd(x, v1, c1);
            x = TLanes.Broadcast(w[3 * apart]);
            d0 = TLanes.FusedMultiplyAdd(x, v0, d0);
            d1 = TLanes.FusedMultiplyAdd(x, v1, d1);
            x = TLanes.Broadcast(w[4 * apart]);
            e0 = TLanes.FusedMultiplyAdd(x, v0, e0);
            e1 = TLanes.FusedMultiplyAdd(x, v1, e1);
            x = TLanes.Broadcast(w[5 * apart]);
            f0 = TLanes.FusedMultiplyAdd(x, v0, f0);
            f1 = TLanes.FusedMultiplyAdd(x, v1, f1);
            x = TLanes.Broadcast(w[6 * apart]);
            g0 = TLanes.FusedMultiplyAdd(x, v0, g0);
            g1 = TLanes.FusedMultiplyAdd(x, v1, g1);
            x = TLanes.Broadcast(w[7 * apart]);
            h0 = TLanes.FusedMultiplyAdd(x, v0, h0);
            h1 = TLanes.FusedMultiplyAdd(x, v1, h1);
            w++;
        }

        TLanes.Store(a0, o);
        TLanes.Store(a1, o + Lanes.Count);
        TLanes.Store(b0, o1);
        TLanes.Store(b1, o1 + Lanes.Count);
        TLanes.Store(c0, o2);
        TLanes.Store(c1, o2 + Lanes.Count);
        TLanes.Store(d0, o3);
        TLanes.Store(d1, o3 + Lanes.Count);
        TLanes.Store(e0, o4);
        TLanes.Store(e1, o4 + Lanes.Count);
        TLanes.Store(f0, o5);
        TLanes.Store(f1, o5 + Lanes.Count);
        TLanes.Store(g0, o6);
        TLanes.Store(g1, o6 + Lanes.Count);
        TLanes.Store(h0, o7);
        TLanes.Store(h1, o7 + Lanes.Count);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Keep(TLanes sum0, TLanes sum1, TLanes scale0, TLanes scale1, bool adds, float* s)
    {
        KvTiles<TLanes, TRows>.Keep(sum0, scale0, adds, s);
        KvTiles<TLanes, TRows>.Keep(sum1, scale1, adds, s + Lanes.Count);
    }
}
