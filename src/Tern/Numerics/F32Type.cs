using System.Runtime.InteropServices;

namespace Tern.Numerics;

/// <summary>
/// F32 (id 0): IEEE 754 single precision, little-endian.
/// <code>
///   byte  0       4       8
///         [w[0]  ][w[1]  ]…
/// </code>
/// </summary>
internal sealed class F32Type : TensorType
{
    public override string Name => "F32";

    public override int GgufId => 0;

    public override int BlockSize => 1;

    public override int BlockBytes => sizeof(float);

    public override bool CanEncode => true;

    public override void DecodeRow(Tensor tensor, long row, Span<float> destination)
    {
        int bytes = checked((int)tensor.Columns * sizeof(float));
        MemoryMarshal.Cast<byte, float>(tensor.Bytes(row * bytes, bytes)).CopyTo(destination);
    }

    public override void Encode(ReadOnlySpan<float> source, long columns, Span<byte> destination)
    {
        RowsToEncode(source, columns, destination);
        MemoryMarshal.AsBytes(source).CopyTo(destination);
    }
}
