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
        for (int h = 0; h < 2; h++)
        {
            // Shifted as words: what comes in from the neighbouring byte is masked off with the rest.
            Vector256<ushort> bytes = Vector256.Create(block.Slice(HalfBytes * h, HalfBytes)).AsUInt16();
            Span<sbyte> half = codes.Slice(HalfWeights * h, HalfWeights);
            for (int l = 0; l < 4; l++)
                (((bytes >> (2 * l)).AsByte() & Vector256.Create((byte)3)).AsSByte() - Vector256<sbyte>.One).CopyTo(half[(HalfBytes * l)..]);
        }
    }

    private protected override void EncodeBlock(ReadOnlySpan<sbyte> codes, Span<byte> block)
    {
        block.Clear();
        for (int i = 0; i < codes.Length; i++)
            block[(i / HalfWeights * HalfBytes) + (i % HalfBytes)] |= (byte)((codes[i] + 1) << (i % HalfWeights / HalfBytes * 2));
    }
}
