using System.Runtime.InteropServices;

namespace Tern.Numerics;

/// <summary>
/// BF16 (id 30): the upper half of a float32, little-endian.
/// <code>
///   byte  0    2    4            one weight:  15 14       7 6      0
///         [w[0]][w[1]]…                       [s][exponent][fraction]
/// </code>
/// </summary>
internal sealed class BF16Type : TensorType
{
    public override string Name => "BF16";

    public override int GgufId => 30;

    public override int BlockSize => 1;

    public override int BlockBytes => sizeof(ushort);

    public override double RoundTripTolerance => 4e-3;

    public override bool CanEncode => true;

    public override void DecodeRow(Tensor tensor, long row, Span<float> destination)
    {
        int bytes = checked((int)tensor.Columns * sizeof(ushort));
        Halves.BrainToSingles(MemoryMarshal.Cast<byte, ushort>(tensor.Bytes(row * bytes, bytes)), destination);
    }

    public override void Encode(ReadOnlySpan<float> source, long columns, Span<byte> destination)
    {
        RowsToEncode(source, columns, destination);
        Halves.BrainFromSingles(source, MemoryMarshal.Cast<byte, ushort>(destination));
    }
}
