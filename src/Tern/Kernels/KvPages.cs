using Tern.Numerics;

namespace Tern.Kernels;

/// <summary>How keys and values are stored.</summary>
internal enum KvType
{
    /// <summary>float32.</summary>
    F32,

    /// <summary>binary16, rounded half to even.</summary>
    F16,

    /// <summary>int8 with one binary16 scale for 32 dimensions of a position, rounded as the tensor type Q8_0.</summary>
    Q8_0,

    /// <summary>Four bits with one binary16 scale for 32 dimensions of a position, rounded as the tensor type Q4_0.</summary>
    Q4_0,
}

/// <summary>
/// The layout of one page of one layer: 32 positions, per KV head a transposed key tile, so that lanes are positions when scores are
/// computed, and a value tile, so that lanes are dimensions when values are summed. A tile is a chain of squares of 32 positions by 32
/// dimensions, read from front to back; a square of a quantized type begins with the scales of its positions:
/// <code>
///     page:    [ KV head 0: keys | values ][ KV head 1: keys | values ] …
///     keys:    [ square of d0 … d31 ][ square of d32 … d63 ] …        the last one ends with the last dimension
///     values:  [ square of d0 … d31 ][ square of d32 … d63 ] …        the last one is filled up to 32 dimensions
///
///     square of keys     scales  p0 p1 … p31          square of values   scales  p0 p1  …  p31
///                        d0:     p0 p1 … p31                             p0:     d0 d1  …  d31
///                        d1:     p0 p1 … p31                             p1:     d0 d1  …  d31
///
///     a row of 32 numbers x0 … x31                                       bytes of a row     scales of a square
///       F32     x0 x1 … x31                                                   128                 -
///       F16     16 words of 32 bits: xj in the low half, xj+16 in the high     64                 -
///       Q8_0    x0 x1 … x31                                                    32                64
///       Q4_0    16 bytes: xj in bits 3..0, xj+16 in bits 7..4                  16                64
/// </code>
/// What is stored: Q8_0 scale · q with q in -127..127, Q4_0 scale · (q - 8) with q in 0..15; where a head has a last block of fewer than 32
/// dimensions, the missing ones count as zeros. F16 has no infinity and no NaN: exponent 31 is one more power of two, so 65,520 and
/// everything above is kept as 65,536.
/// </summary>
internal sealed unsafe class KvPages
{
    /// <summary>Positions per page, and the side of a square.</summary>
    public const int PageTokens = 32;

    /// <summary>Dimensions that share a scale.</summary>
    public const int BlockDims = 32;

    private const int Half = PageTokens / 2;
    private const int Alignment = 64;

    private readonly TensorType? _blockType;

    /// <summary>A layout for <paramref name="kvHeads"/> heads of <paramref name="headDim"/> dimensions, keys and values alike.</summary>
    public KvPages(KvType type, int kvHeads, int headDim)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(kvHeads);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(headDim);
        Type = type;
        KvHeads = kvHeads;
        HeadDim = headDim;
        (RowBytes, ScaleBytes, _blockType) = type switch
        {
            KvType.F32 => (PageTokens * sizeof(float), 0, null),
            KvType.F16 => (PageTokens * sizeof(ushort), 0, null),
            KvType.Q8_0 => (PageTokens, PageTokens * sizeof(ushort), TensorType.Q8_0),
            KvType.Q4_0 => (PageTokens / 2, PageTokens * sizeof(ushort), TensorType.Q4_0),
            _ => throw new ArgumentOutOfRangeException(nameof(type)),
        };
    }

    public KvType Type { get; }

    public int KvHeads { get; }

    public int HeadDim { get; }

    /// <summary>Bytes of 32 numbers of one dimension (keys) or one position (values).</summary>
    public int RowBytes { get; }

    /// <summary>Bytes of the scales in front of a square; 0 in types without.</summary>
    public int ScaleBytes { get; }

    /// <summary>Squares of a tile.</summary>
    public int Blocks => (HeadDim + BlockDims - 1) / BlockDims;

    /// <summary>Bytes of a whole square.</summary>
    public int SquareBytes => ScaleBytes + (PageTokens * RowBytes);

    /// <summary>Bytes of the keys of one head; a multiple of 64.</summary>
    public long KeyTileBytes => (((long)Blocks * ScaleBytes) + ((long)HeadDim * RowBytes) + Alignment - 1) / Alignment * Alignment;

    /// <summary>Bytes of the values of one head; a multiple of 64.</summary>
    public long ValueTileBytes => (long)Blocks * SquareBytes;

    /// <summary>Bytes of the keys and values of one head.</summary>
    public long HeadBytes => KeyTileBytes + ValueTileBytes;

    /// <summary>Bytes of one page of one layer; a multiple of 64.</summary>
    public long LayerPageBytes => HeadBytes * KvHeads;

    /// <summary>The keys of one head in a page of a layer.</summary>
    public byte* KeyTile(byte* layerPage, int kvHead) => layerPage + (HeadBytes * kvHead);

    /// <summary>The values of one head in a page of a layer.</summary>
    public byte* ValueTile(byte* layerPage, int kvHead) => layerPage + (HeadBytes * kvHead) + KeyTileBytes;

    /// <summary>Stores the keys and values of one position: k and v are [kvHeads, headDim].</summary>
    /// <param name="layerPage">The page in this layer.</param>
    /// <param name="slot">The position's place in the page, in [0, PageTokens).</param>
    /// <param name="k">Keys, RoPE applied.</param>
    /// <param name="v">Values.</param>
    public void Append(byte* layerPage, int slot, float* k, float* v)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(slot);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(slot, PageTokens);
        float* block = stackalloc float[BlockDims];
        for (int head = 0; head < KvHeads; head++, k += HeadDim, v += HeadDim)
        {
            byte* keys = KeyTile(layerPage, head);
            byte* values = ValueTile(layerPage, head);
            for (int first = 0; first < HeadDim; first += BlockDims, keys += SquareBytes, values += SquareBytes)
            {
                int count = Math.Min(BlockDims, HeadDim - first);
                new Span<float>(block + count, BlockDims - count).Clear();
                new ReadOnlySpan<float>(k + first, count).CopyTo(new Span<float>(block, count));
                StoreColumn(block, count, keys, slot);
                new ReadOnlySpan<float>(v + first, count).CopyTo(new Span<float>(block, count));
                StoreRow(block, values, slot);
            }
        }
    }

    /// <summary>Keys: 32 dimensions of one position go down a column of a square that has <paramref name="rows"/> rows.</summary>
    private void StoreColumn(float* block, int rows, byte* square, int slot)
    {
        byte* at = square + ScaleBytes;
        if (Type == KvType.F32)
        {
            for (int d = 0; d < rows; d++)
                ((float*)at)[(d * PageTokens) + slot] = block[d];
            return;
        }

        if (Type == KvType.F16)
        {
            ushort* halves = stackalloc ushort[BlockDims];
            RoundToHalves(block, halves);
            for (int d = 0; d < rows; d++)
                ((ushort*)at)[(d * PageTokens) + HalfPlace(slot)] = halves[d];
            return;
        }

        byte* codes = stackalloc byte[BlockDims];
        ((ushort*)square)[slot] = Quantize(block, codes);
        if (Type == KvType.Q8_0)
        {
            for (int d = 0; d < rows; d++)
                at[(d * PageTokens) + slot] = codes[d];
            return;
        }

        int shift = slot < Half ? 0 : 4;
        at += slot % Half;
        for (int d = 0; d < rows; d++)
            at[d * Half] = (byte)((at[d * Half] & (0xF0 >> shift)) | (codes[d] << shift));
    }

    /// <summary>Values: 32 dimensions of one position are a row of a square.</summary>
    private void StoreRow(float* block, byte* square, int slot)
    {
        byte* row = square + ScaleBytes + (slot * RowBytes);
        if (Type == KvType.F32)
        {
            new ReadOnlySpan<float>(block, BlockDims).CopyTo(new Span<float>(row, BlockDims));
            return;
        }

        if (Type == KvType.F16)
        {
            ushort* halves = stackalloc ushort[BlockDims];
            RoundToHalves(block, halves);
            for (int d = 0; d < BlockDims; d++)
                ((ushort*)row)[HalfPlace(d)] = halves[d];
            return;
        }

        byte* codes = stackalloc byte[BlockDims];
        ((ushort*)square)[slot] = Quantize(block, codes);
        for (int d = 0; d < RowBytes; d++)
            row[d] = Type == KvType.Q8_0 ? codes[d] : (byte)(codes[d] | (codes[d + Half] << 4));
    }

    /// <summary>Where number <paramref name="index"/> of a row of halves lies.</summary>
    private static int HalfPlace(int index) => index < Half ? 2 * index : (2 * (index - Half)) + 1;

    private static void RoundToHalves(float* block, ushort* halves)
    {
        const int step = 8;

        for (int i = 0; i < BlockDims; i += step)
            Lanes128.ToHalf(block + i, halves + i);
    }

    /// <summary>One code per byte, as the tensor type rounds; gives the bits of the scale.</summary>
    private ushort Quantize(float* block, byte* codes)
    {
        const int scaleBytes = sizeof(ushort);

        byte* encoded = stackalloc byte[scaleBytes + BlockDims];
        byte* packed = encoded + scaleBytes;
        _blockType!.Encode(new ReadOnlySpan<float>(block, BlockDims), BlockDims, new Span<byte>(encoded, _blockType.BlockBytes));
        for (int i = 0; i < RowBytes; i++)
        {
            if (Type == KvType.Q8_0)
                codes[i] = packed[i];
            else
                (codes[i], codes[i + Half]) = ((byte)(packed[i] & 15), (byte)(packed[i] >> 4));
        }

        return *(ushort*)encoded;
    }
}
