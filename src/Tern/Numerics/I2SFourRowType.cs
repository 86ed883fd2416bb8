namespace Tern.Numerics;

/// <summary>
/// I2_S with four rows per byte, as x86 builds of bitnet.cpp without ACT_PARALLEL write it.
/// <code>
///   byte g · columns + c:   7 6 = w[4g, c]   5 4 = w[4g + 1, c]   3 2 = w[4g + 2, c]   1 0 = w[4g + 3, c]
/// </code>
/// </summary>
internal sealed class I2SFourRowType : I2SType
{
    private const int RowsPerByte = 4;

    public override string Name => "I2_S_FOUR_ROW";

    public override int BlockSize => RowsPerByte;

    public override int BlockBytes => 1;

    public override bool FitsShape(UInt128 columns, UInt128 rows) => rows % RowsPerByte == 0;

    public override void DecodeCodes(Tensor tensor, long row, Span<sbyte> codes)
    {
        int columns = checked((int)tensor.Columns), shift = Shift(row);
        ReadOnlySpan<byte> bytes = tensor.Bytes(row / RowsPerByte * columns, columns);
        for (int c = 0; c < columns; c++)
            codes[c] = (sbyte)(((bytes[c] >> shift) & 3) - 1);
    }

    public override long RowsPerPiece(long columns) => RowsPerByte;

    public override void Pack(ReadOnlySpan<sbyte> codes, ReadOnlySpan<float> scales, long columns, Span<byte> destination)
    {
        destination.Clear();
        for (int i = 0; i < codes.Length; i++)
        {
            (int row, int column) = Math.DivRem(i, (int)columns);
            destination[(row / RowsPerByte * (int)columns) + column] |= (byte)((codes[i] + 1) << Shift(row));
        }
    }

    private static int Shift(long row) => 6 - (int)(row % RowsPerByte * 2);
}
