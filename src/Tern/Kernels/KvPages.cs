namespace Tern.Kernels;

/// <summary>How keys and values are stored.</summary>
internal enum KvType
{
    F32,
    F16,
}

/// <summary>
/// The layout of one page of one layer: per KV head a key tile [headDim][PageTokens] (transposed, so that lanes are positions when scores are
/// computed) and a value tile [PageTokens][headDim] (so that lanes are dimensions).
/// </summary>
internal sealed unsafe class KvPages
{
    /// <summary>Positions per page.</summary>
    public const int PageTokens = 32;

    public KvPages(KvType type, int kvHeads, int headDim) => (Type, KvHeads, HeadDim) = (type, kvHeads, headDim);

    public KvType Type { get; }

    public int KvHeads { get; }

    public int HeadDim { get; }

    /// <summary>Bytes of one page of one layer.</summary>
    public long LayerPageBytes => throw new NotSupportedException();

    /// <summary>Stores the keys and values of one position: k and v are [kvHeads, headDim].</summary>
    public void Append(byte* layerPage, int slot, float* k, float* v) => throw new NotSupportedException();
}
