using System.Runtime.InteropServices;

namespace Tern.Numerics;

/// <summary>
/// F16 (id 1): IEEE 754 half precision, little-endian.
/// <code>
///   byte  0    2    4            one weight:  15 14      10 9        0
///         [w[0]][w[1]]…                       [s][exponent][ fraction ]
/// </code>
/// </summary>
internal sealed class F16Type : TensorType
{
    public override string Name => "F16";

    public override int GgufId => 1;

    public override int BlockSize => 1;

    public override int BlockBytes => sizeof(ushort);

    public override double RoundTripTolerance => 5e-4;

    public override bool CanEncode => true;

    public override void DecodeRow(Tensor tensor, long row, Span<float> destination)
    {
        int bytes = checked((int)tensor.Columns * sizeof(ushort));
        Halves.ToSingles(MemoryMarshal.Cast<byte, ushort>(tensor.Bytes(row * bytes, bytes)), destination);
    }

    public override void Encode(ReadOnlySpan<float> source, long columns, Span<byte> destination)
    {
        RowsToEncode(source, columns, destination);
        Halves.FromSingles(source, MemoryMarshal.Cast<byte, ushort>(destination));
    }
}
