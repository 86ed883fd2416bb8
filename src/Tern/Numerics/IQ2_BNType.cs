using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Tern.Numerics;

/// <summary>
/// IQ2_BN (id 135, ik_llama.cpp): ternary rows with one float32 scale each; 64 weights in 16 bytes, 2 bits per weight and the row's scale.
/// w = scale (code - 1); code 3 is refused.
/// <code>
///   row    byte  0        4                20
///                [ scale  ][ block 0       ][ block 1 …
///                 float32
///   block  byte j in 0..15:   7 6 = w[48 + j]   5 4 = w[32 + j]   3 2 = w[16 + j]   1 0 = w[j]
/// </code>
/// </summary>
internal sealed class IQ2_BNType : TernaryRowType
{
    private const int Quarter = 16;

    public override string Name => "IQ2_BN";

    public override int GgufId => 135;

    public override int BlockBytes => 16;

    private protected override int ScaleBytes => sizeof(float);

    private protected override float ReadScale(ReadOnlySpan<byte> row) => MemoryMarshal.Read<float>(row);

    private protected override void WriteScale(Span<byte> row, float scale) => MemoryMarshal.Write(row, scale);

    private protected override void DecodeBlock(ReadOnlySpan<byte> block, Span<sbyte> codes)
    {
        Vector128<byte> packed = Vector128.Create(block);
        for (int l = 0; l < 4; l++)
            (((packed >> (2 * l)) & Vector128.Create((byte)3)).AsSByte() - Vector128<sbyte>.One).CopyTo(codes[(Quarter * l)..]);
    }

    private protected override void EncodeBlock(ReadOnlySpan<sbyte> codes, Span<byte> block)
    {
        block.Clear();
        for (int i = 0; i < codes.Length; i++)
            block[i % Quarter] |= (byte)((codes[i] + 1) << (i / Quarter * 2));
    }
}
