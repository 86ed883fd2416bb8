using System.Buffers.Binary;

namespace Tern.Numerics;

/// <summary>
/// Q5_0 (id 6): 32 weights in 22 bytes, 5.5 bits per weight. w = d (q - 16), q in 0..31.
/// <code>
///   byte  0     2           6                                  22
///         [ d  ][ h (u32)  ][ b[0] b[1] …              b[15]   ]
///          fp16   bit j = bit 4 of q[j]
///                             b[j]:  7..4 = bits 3..0 of q[j + 16]   3..0 = bits 3..0 of q[j]
/// </code>
/// </summary>
internal sealed class Q5_0Type : BlockType
{
    private const int Half = 16, Zero = 16, Largest = 31, High = 2, Codes = 6;

    public override string Name => "Q5_0";

    public override int GgufId => 6;

    public override int BlockSize => 32;

    public override int BlockBytes => 22;

    public override double RoundTripTolerance => 0.05;

    protected override void DecodeBlock(ReadOnlySpan<byte> block, Span<float> weights)
    {
        float scale = Halves.Read(block, 0);
        uint high = BinaryPrimitives.ReadUInt32LittleEndian(block[High..]);
        for (int j = 0; j < Half; j++)
        {
            int fifth = (int)(high >> j), fifthOfUpper = (int)(high >> (j + Half));
            weights[j] = scale * (((block[Codes + j] & 15) | ((fifth & 1) << 4)) - Zero);
            weights[j + Half] = scale * (((block[Codes + j] >> 4) | ((fifthOfUpper & 1) << 4)) - Zero);
        }
    }

    /// <summary>The weight of the largest magnitude becomes q = 0, that is -16 d, so d carries its sign.</summary>
    protected override void EncodeBlock(ReadOnlySpan<float> weights, Span<byte> block)
    {
        float scale = SignedMaximum(weights) / -Zero, inverse = Inverse(scale);
        uint high = 0;
        for (int j = 0; j < Half; j++)
        {
            int low = RoundUp(weights[j] * inverse, Zero, Largest);
            int upper = RoundUp(weights[j + Half] * inverse, Zero, Largest);
            block[Codes + j] = (byte)((low & 15) | ((upper & 15) << 4));
            high |= ((uint)low >> 4 << j) | ((uint)upper >> 4 << (j + Half));
        }

        Halves.Write(block, 0, scale);
        BinaryPrimitives.WriteUInt32LittleEndian(block[High..], high);
    }
}
