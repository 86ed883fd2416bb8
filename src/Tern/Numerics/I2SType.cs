using System.Runtime.InteropServices;

namespace Tern.Numerics;

/// <summary>
/// I2_S (id 36): ternary weights in two bits with one scale for the whole tensor. w = scale (code - 1); code 3 is refused.
/// <code>
///   byte  0                                  n/4        n/4 + 4            n/4 + 32
///         [ codes, four per byte             ][ scale  ][ 28 bytes of filler ]
///          n = rows x columns weights           float32   whatever the writer left there: never read
/// </code>
/// Three arrangements of the codes share this id and this size; nothing in a file tells them apart.
/// Published files have groups of 128 (<see cref="I2SInterleavedType"/>).
/// </summary>
internal abstract class I2SType : TernaryType
{
    private const int TailBytes = 32;

    public sealed override int GgufId => 36;

    public sealed override UInt128 ByteCount(UInt128 columns, UInt128 rows) => (columns * rows / 4) + TailBytes;

    public sealed override long ScaleColumns(Tensor tensor) => tensor.Columns;

    public sealed override float ScaleOf(Tensor tensor, long row, long group) =>
        MemoryMarshal.Read<float>(tensor.Bytes(tensor.ByteCount - TailBytes, sizeof(float)));

    public sealed override long FindBadScale(Tensor tensor) =>
        float.IsFinite(ScaleOf(tensor, 0, 0)) ? -1 : tensor.ByteCount - TailBytes;

    /// <summary>Expects weights that are ternary already; others go to the nearest of -scale, 0, +scale with scale = max|w|.</summary>
    public sealed override void Encode(ReadOnlySpan<float> source, long columns, Span<byte> destination)
    {
        RowsToEncode(source, columns, destination);
        float scale = Scale(source), inverse = BlockType.Inverse(scale);
        var codes = new sbyte[source.Length];
        for (int i = 0; i < codes.Length; i++)
            codes[i] = (sbyte)Code(source[i], inverse);
        Pack(codes, [], columns, destination[..^TailBytes]);
        Tail(scale).CopyTo(destination[^TailBytes..]);
    }

    public sealed override long CodeBytes(long columns, long rows) => checked(columns * rows / 4);

    /// <summary>The scale and zeros where others leave filler.</summary>
    public sealed override byte[] Tail(float scale)
    {
        var tail = new byte[TailBytes];
        MemoryMarshal.Write(tail, scale);
        return tail;
    }
}
