namespace Tern.Kernels;

/// <summary>How keys and values are stored.</summary>
internal enum KvType
{
    F32,
    F16,
}

/// <summary>
/// The layout of one page of one layer: 32 positions, per KV head a transposed key tile, so that lanes are positions when scores are
/// computed, and a value tile, so that lanes are dimensions when values are summed:
/// <code>
///     page:  [ KV head 0: keys | values ][ KV head 1: keys | values ] …
///
///     keys   [headDim][32]     d0:  p0  p1  p2 … p31        values [32][headDim]     p0:  d0  d1  d2 …
///                              d1:  p0  p1  p2 … p31                                 p1:  d0  d1  d2 …
/// </code>
/// Elements are float32, or binary16 rounded half to even (magnitudes of 65,520 and more become infinite).
/// </summary>
internal sealed unsafe class KvPages
{
    /// <summary>Positions per page.</summary>
    public const int PageTokens = 32;

    /// <summary>A layout for <paramref name="kvHeads"/> heads of <paramref name="headDim"/> dimensions, keys and values alike.</summary>
    public KvPages(KvType type, int kvHeads, int headDim)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(kvHeads);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(headDim);
        Type = type;
        KvHeads = kvHeads;
        HeadDim = headDim;
    }

    public KvType Type { get; }

    public int KvHeads { get; }

    public int HeadDim { get; }

    /// <summary>Bytes of one stored number.</summary>
    public int ElementBytes => Type == KvType.F16 ? sizeof(ushort) : sizeof(float);

    /// <summary>Bytes of one key or value tile: a multiple of 64, because a row of keys is.</summary>
    public long TileBytes => (long)PageTokens * HeadDim * ElementBytes;

    /// <summary>Bytes of one page of one layer; a multiple of 64.</summary>
    public long LayerPageBytes => 2 * TileBytes * KvHeads;

    /// <summary>The keys of one head in a page of a layer: [headDim][PageTokens].</summary>
    public byte* KeyTile(byte* layerPage, int kvHead) => layerPage + (2 * TileBytes * kvHead);

    /// <summary>The values of one head in a page of a layer: [PageTokens][headDim].</summary>
    public byte* ValueTile(byte* layerPage, int kvHead) => layerPage + (2 * TileBytes * kvHead) + TileBytes;

    /// <summary>Stores the keys and values of one position: k and v are [kvHeads, headDim].</summary>
    /// <param name="layerPage">The page in this layer.</param>
    /// <param name="slot">The position's place in the page, in [0, PageTokens).</param>
    /// <param name="k">Keys, RoPE applied.</param>
    /// <param name="v">Values.</param>
    public void Append(byte* layerPage, int slot, float* k, float* v)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(slot);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(slot, PageTokens);
        for (int head = 0; head < KvHeads; head++, k += HeadDim, v += HeadDim)
        {
            byte* keys = KeyTile(layerPage, head);
            byte* values = ValueTile(layerPage, head);
            if (Type == KvType.F16)
            {
                StoreHalves(k, HeadDim, (ushort*)keys + slot, PageTokens);
                StoreHalves(v, HeadDim, (ushort*)values + (slot * HeadDim), 1);
            }
            else
            {
                float* column = (float*)keys + slot;
                for (int i = 0; i < HeadDim; i++)
                    column[i * PageTokens] = k[i];
                new ReadOnlySpan<float>(v, HeadDim).CopyTo(new Span<float>((float*)values + (slot * HeadDim), HeadDim));
            }
        }
    }

    /// <summary>Rounds <paramref name="count"/> floats and stores them <paramref name="stride"/> elements apart.</summary>
    private static void StoreHalves(float* source, int count, ushort* destination, int stride)
    {
        const int step = 8;

        ushort* halves = stackalloc ushort[step];
        int i = 0;
        for (; i <= count - step; i += step)
        {
            Lanes128.ToHalf(source + i, halves);
            for (int j = 0; j < step; j++)
                destination[(i + j) * stride] = halves[j];
        }

        for (; i < count; i++)
            destination[i * stride] = LanesScalar.ToHalf(source[i]);
    }
}
