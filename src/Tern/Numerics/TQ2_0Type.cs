using System.Runtime.Intrinsics;

namespace Tern.Numerics;

/// <summary>
/// TQ2_0 (id 35): 256 ternary weights in 66 bytes, 2.0625 bits per weight. w = d (code - 1); code 3 is refused.
/// <code>
///   byte  0              32             64   66
///         [ half 0       ][ half 1      ][ d  ]
///          byte m of half h:                fp16, last
///            7 6 = w[128h + 96 + m]   5 4 = w[128h + 64 + m]   3 2 = w[128h + 32 + m]   1 0 = w[128h + m]
/// </code>
/// </summary>
internal sealed class TQ2_0Type : TernaryBlockType
{
    private const int HalfBytes = 32, HalfWeights = 128;

    public override string Name => "TQ2_0";

    public override int GgufId => 35;

    public override int BlockBytes => 66;

    private protected override void DecodeBlock(ReadOnlySpan<byte> block, Span<sbyte> codes)
    {
        for (int m = 0; m < 2 * HalfBytes; m += 16)
        {
            Vector128<byte> bytes = Vector128.Create(block[m..]);
            Span<sbyte> half = codes[((m / HalfBytes * HalfWeights) + (m % HalfBytes))..];
            for (int l = 0; l < 4; l++)
                (((bytes >> (2 * l)) & Vector128.Create((byte)3)).AsSByte() - Vector128<sbyte>.One).CopyTo(half[(HalfBytes * l)..]);
        }
    }

    private protected override void EncodeBlock(ReadOnlySpan<sbyte> codes, Span<byte> block)
    {
        block.Clear();
        for (int i = 0; i < codes.Length; i++)
            block[(i / HalfWeights * HalfBytes) + (i % HalfBytes)] |= (byte)((codes[i] + 1) << (i % HalfWeights / HalfBytes * 2));
    }
}
