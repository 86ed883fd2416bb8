using System.Runtime.InteropServices;

namespace Tern.Numerics;

/// <summary>A type whose weights are -1, 0 or +1 times a scale, and whose linear layers are BitLinear.</summary>
internal abstract class TernaryType : TensorType
{
    public override bool IsTernary => true;

    /// <summary>
    /// Peers allow sqrt(Σ error²) / n = 0.01 for n = 4,096 values 0.1 + 2 cos(i); as a root mean square that is 0.01 · sqrt(n).
    /// </summary>
    public override double RoundTripTolerance => 0.64;

    public override bool CanEncode => true;

    /// <summary>Columns of a row that share one scale.</summary>
    public abstract long ScaleColumns(Tensor tensor);

    /// <summary>The scale of columns [group · ScaleColumns, (group + 1) · ScaleColumns) of a row.</summary>
    public abstract float ScaleOf(Tensor tensor, long row, long group);

    /// <summary>The byte offset inside the tensor where a weight lies, or its row begins; right too for types with a tail behind all rows.</summary>
    public virtual long OffsetOf(Tensor tensor, long row, long column) =>
        (long)(ByteCount((UInt128)tensor.Columns, (UInt128)(row + 1)) - ByteCount((UInt128)tensor.Columns, 1));

    /// <summary>The scales of all rows: [rows, groups].</summary>
    public virtual void ReadScales(Tensor tensor, Span<float> scales)
    {
        long groups = scales.Length / tensor.Rows;
        for (int i = 0; i < scales.Length; i++)
            scales[i] = ScaleOf(tensor, i / groups, i % groups);
    }

    /// <summary>
    /// Packs whole rows of codes without looking at a float: what re-encoding between ternary types needs to lose nothing. A tensor may be
    /// packed in pieces of rows, one behind the other, where <see cref="RowsPerPiece"/> divides their number; <see cref="Tail"/> ends it.
    /// </summary>
    /// <param name="codes">[rows, columns], each -1, 0 or +1.</param>
    /// <param name="scales">[rows, groups]; groups divide a row evenly, and blocks of the type lie in one group each. Not used by types with a scale per tensor.</param>
    /// <param name="columns">Columns, a size that fits the type.</param>
    /// <param name="destination">Exactly <see cref="CodeBytes"/> long.</param>
    public virtual void Pack(ReadOnlySpan<sbyte> codes, ReadOnlySpan<float> scales, long columns, Span<byte> destination) =>
        throw new NotSupportedException($"{Name} is not written by Tern");

    /// <summary>Bytes of some rows as <see cref="Pack"/> writes them.</summary>
    public virtual long CodeBytes(long columns, long rows) => checked((long)ByteCount((UInt128)columns, (UInt128)rows));

    /// <summary>Pieces of a tensor begin at multiples of this row.</summary>
    public virtual long RowsPerPiece(long columns) => 1;

    /// <summary>What follows the codes of the whole tensor, where it has one scale.</summary>
    public virtual byte[] Tail(float scale) => [];

    public override void DecodeRow(Tensor tensor, long row, Span<float> destination)
    {
        int columns = checked((int)tensor.Columns);
        destination = destination[..columns];

        // The codes wait in the last quarter of the destination; float i ends before code i + 1 begins, so none is overwritten unread.
        //   bytes  0 ............ 3K .... 4K
        //          [f0][f1][f2]…  [c0 c1 …]
        Span<sbyte> codes = MemoryMarshal.Cast<float, sbyte>(destination)[(3 * columns)..];
        DecodeCodes(tensor, row, codes);
        int scaleColumns = checked((int)ScaleColumns(tensor));
        for (int start = 0, group = 0; start < columns; start += scaleColumns, group++)
        {
            float scale = ScaleOf(tensor, row, group);
            for (int i = start; i < start + scaleColumns; i++)
                destination[i] = codes[i] * scale;
        }
    }

    /// <summary>The code of a weight: round(weight / scale), halves to even, in -1..1; the inverse scale of all zeros is 0.</summary>
    private protected static int Code(float weight, float inverseScale) => BlockType.Round(weight * inverseScale, -1, 1);

    /// <summary>max|w|: the scale of every ternary encoding.</summary>
    private protected static float Scale(ReadOnlySpan<float> weights) => MathF.Abs(BlockType.SignedMaximum(weights));
}

/// <summary>Ternary types of 256-weight blocks with one fp16 scale behind the codes.</summary>
internal abstract unsafe class TernaryBlockType : TernaryType
{
    public sealed override int BlockSize => 256;

    private int ScaleOffset => BlockBytes - sizeof(ushort);

    /// <summary>Decodes the 256 codes of a block.</summary>
    private protected abstract void DecodeBlock(ReadOnlySpan<byte> block, Span<sbyte> codes);

    /// <summary>Packs 256 codes -1..1 into a block, without its scale.</summary>
    private protected abstract void EncodeBlock(ReadOnlySpan<sbyte> codes, Span<byte> block);

    public sealed override long ScaleColumns(Tensor tensor) => BlockSize;

    public sealed override float ScaleOf(Tensor tensor, long row, long group) =>
        Halves.Read(tensor.Bytes((((row * tensor.Columns / BlockSize) + group) * BlockBytes) + ScaleOffset, sizeof(ushort)), 0);

    /// <summary>Blocks mostly repeat the scale before them, which then need not be converted again.</summary>
    public sealed override void ReadScales(Tensor tensor, Span<float> scales)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan((long)scales.Length * BlockBytes, tensor.ByteCount);
        byte* at = tensor.Data + ScaleOffset;
        int stride = BlockBytes;
        ushort last = 0;
        float scale = 0;
        for (int i = 0; i < scales.Length; i++, at += stride)
        {
            if (*(ushort*)at != last)
                (last, scale) = (*(ushort*)at, Halves.Read(new ReadOnlySpan<byte>(at, sizeof(ushort)), 0));
            scales[i] = scale;
        }
    }

    public sealed override long FindBadScale(Tensor tensor) => BlockType.FindBadHalf(tensor, BlockBytes, ScaleOffset);

    public sealed override void DecodeCodes(Tensor tensor, long row, Span<sbyte> codes)
    {
        int blocks = checked((int)(tensor.Columns / BlockSize));
        ReadOnlySpan<byte> bytes = tensor.Bytes(row * blocks * BlockBytes, checked(blocks * BlockBytes));
        for (int i = 0; i < blocks; i++)
            DecodeBlock(bytes.Slice(i * BlockBytes, BlockBytes), codes.Slice(i * BlockSize, BlockSize));
    }

    public sealed override void Encode(ReadOnlySpan<float> source, long columns, Span<byte> destination)
    {
        RowsToEncode(source, columns, destination);
        Span<sbyte> codes = stackalloc sbyte[BlockSize];
        for (int i = 0; i < source.Length / BlockSize; i++)
        {
            ReadOnlySpan<float> weights = source.Slice(i * BlockSize, BlockSize);
            float scale = Scale(weights), inverse = BlockType.Inverse(scale);
            for (int j = 0; j < BlockSize; j++)
                codes[j] = (sbyte)Code(weights[j], inverse);

            Span<byte> block = destination.Slice(i * BlockBytes, BlockBytes);
            EncodeBlock(codes, block);
            Halves.Write(block, ScaleOffset, scale);
        }
    }

    public sealed override void Pack(ReadOnlySpan<sbyte> codes, ReadOnlySpan<float> scales, long columns, Span<byte> destination)
    {
        int groupWeights = codes.Length / scales.Length;
        for (int i = 0; i < codes.Length / BlockSize; i++)
        {
            Span<byte> block = destination.Slice(i * BlockBytes, BlockBytes);
            EncodeBlock(codes.Slice(i * BlockSize, BlockSize), block);
            Halves.Write(block, ScaleOffset, scales[(int)((long)i * BlockSize / groupWeights)]);
        }
    }
}

/// <summary>Ternary types whose rows begin with their scale; blocks of 64 codes follow.</summary>
internal abstract class TernaryRowType : TernaryType
{
    public sealed override int BlockSize => 64;

    /// <summary>Bytes of the scale at the start of a row.</summary>
    private protected abstract int ScaleBytes { get; }

    /// <summary>Reads the scale at the start of a row.</summary>
    private protected abstract float ReadScale(ReadOnlySpan<byte> row);

    /// <summary>Writes the scale at the start of a row.</summary>
    private protected abstract void WriteScale(Span<byte> row, float scale);

    /// <summary>Decodes the 64 codes of a block.</summary>
    private protected abstract void DecodeBlock(ReadOnlySpan<byte> block, Span<sbyte> codes);

    /// <summary>Packs 64 codes -1..1 into a block.</summary>
    private protected abstract void EncodeBlock(ReadOnlySpan<sbyte> codes, Span<byte> block);

    public sealed override UInt128 ByteCount(UInt128 columns, UInt128 rows) =>
        ((columns / (UInt128)BlockSize * (UInt128)BlockBytes) + (UInt128)ScaleBytes) * rows;

    public sealed override long ScaleColumns(Tensor tensor) => tensor.Columns;

    public sealed override float ScaleOf(Tensor tensor, long row, long group) =>
        ReadScale(tensor.Bytes(row * RowBytes(tensor.Columns), ScaleBytes));

    public sealed override long FindBadScale(Tensor tensor)
    {
        long rowBytes = RowBytes(tensor.Columns);
        for (long offset = 0; offset < tensor.ByteCount; offset += rowBytes)
            if (!float.IsFinite(ReadScale(tensor.Bytes(offset, ScaleBytes))))
                return offset;
        return -1;
    }

    public sealed override void DecodeCodes(Tensor tensor, long row, Span<sbyte> codes)
    {
        int rowBytes = RowBytes(tensor.Columns);
        ReadOnlySpan<byte> blocks = tensor.Bytes((row * rowBytes) + ScaleBytes, rowBytes - ScaleBytes);
        for (int i = 0; i < tensor.Columns / BlockSize; i++)
            DecodeBlock(blocks.Slice(i * BlockBytes, BlockBytes), codes.Slice(i * BlockSize, BlockSize));
    }

    public sealed override void Encode(ReadOnlySpan<float> source, long columns, Span<byte> destination)
    {
        long rows = RowsToEncode(source, columns, destination);
        int rowBytes = RowBytes(columns);
        Span<sbyte> codes = stackalloc sbyte[BlockSize];
        for (int row = 0; row < rows; row++)
        {
            ReadOnlySpan<float> weights = source.Slice(checked(row * (int)columns), (int)columns);
            Span<byte> bytes = destination.Slice(row * rowBytes, rowBytes);
            float scale = Scale(weights), inverse = BlockType.Inverse(scale);
            WriteScale(bytes, scale);
            for (int i = 0; i < columns / BlockSize; i++)
            {
                for (int j = 0; j < BlockSize; j++)
                    codes[j] = (sbyte)Code(weights[(i * BlockSize) + j], inverse);
                EncodeBlock(codes, bytes.Slice(ScaleBytes + (i * BlockBytes), BlockBytes));
            }
        }
    }

    public sealed override void Pack(ReadOnlySpan<sbyte> codes, ReadOnlySpan<float> scales, long columns, Span<byte> destination)
    {
        int rowBytes = RowBytes(columns);
        int groups = (int)(scales.Length * columns / codes.Length);
        for (int row = 0; row < codes.Length / columns; row++)
        {
            ReadOnlySpan<sbyte> weights = codes.Slice(checked(row * (int)columns), (int)columns);
            Span<byte> bytes = destination.Slice(row * rowBytes, rowBytes);
            WriteScale(bytes, scales[row * groups]);
            for (int i = 0; i < columns / BlockSize; i++)
                EncodeBlock(weights.Slice(i * BlockSize, BlockSize), bytes.Slice(ScaleBytes + (i * BlockBytes), BlockBytes));
        }
    }

    private int RowBytes(long columns) => checked((int)((columns / BlockSize * BlockBytes) + ScaleBytes));
}
