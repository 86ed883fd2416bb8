using System.Runtime.Intrinsics;

namespace Tern.Numerics;

/// <summary>
/// Packed ternary weights of Hugging Face checkpoints (quantization method <c>bitnet</c>): bytes [rows / 4, columns] without a scale, which
/// stands in a tensor of its own; hence one instance per tensor. w = scale (code - 1); code 3 is refused.
/// <code>
///   byte r · columns + c     7 6 = w[r + 3q, c]   5 4 = w[r + 2q, c]   3 2 = w[r + q, c]   1 0 = w[r, c]      q = rows / 4
/// </code>
/// The four rows of a byte are a quarter of the matrix apart.
/// </summary>
/// <param name="scale">The factor of all weights.</param>
/// <param name="order">How rows are handed out.</param>
internal sealed class PackedTernaryType(float scale, RowOrder order) : TernaryType
{
    private const int RowsPerByte = 4;

    public override string Name => "PACKED";

    /// <summary>None: GGUF has no such type.</summary>
    public override int GgufId => -1;

    public override int BlockSize => RowsPerByte;

    public override int BlockBytes => 1;

    public override bool CanEncode => false;

    public override TensorType Representative => I2S;

    public override bool FitsShape(UInt128 columns, UInt128 rows) => rows % RowsPerByte == 0;

    public override UInt128 ByteCount(UInt128 columns, UInt128 rows) => rows / RowsPerByte * columns;

    public override long ScaleColumns(Tensor tensor) => tensor.Columns;

    public override float ScaleOf(Tensor tensor, long row, long group) => scale;

    public override long OffsetOf(Tensor tensor, long row, long column) => (order.Source(row) % (tensor.Rows / RowsPerByte) * tensor.Columns) + column;

    public override void DecodeCodes(Tensor tensor, long row, Span<sbyte> codes)
    {
        int columns = checked((int)tensor.Columns);
        long quarter = tensor.Rows / RowsPerByte, source = order.Source(row);
        int shift = (int)(source / quarter) * 2;
        ReadOnlySpan<byte> bytes = tensor.Bytes(source % quarter * columns, columns);
        int c = 0;
        for (; c <= columns - Vector256<byte>.Count; c += Vector256<byte>.Count)
        {
            // Shifted as words: what comes in from the neighbouring byte is masked off with the rest.
            Vector256<byte> code = (Vector256.Create(bytes[c..]).AsUInt16() >> shift).AsByte() & Vector256.Create((byte)3);
            (code.AsSByte() - Vector256<sbyte>.One).CopyTo(codes[c..]);
        }

        for (; c < columns; c++)
            codes[c] = (sbyte)(((bytes[c] >> shift) & 3) - 1);
    }
}
