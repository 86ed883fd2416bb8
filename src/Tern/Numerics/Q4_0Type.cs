namespace Tern.Numerics;

/// <summary>
/// Q4_0 (id 2): 32 weights in 18 bytes, 4.5 bits per weight. w = d (q - 8), q in 0..15.
/// <code>
///   byte  0     2                                  18
///         [ d  ][ b[0] b[1] …              b[15]   ]
///          fp16   b[j]:  7..4 = q[j + 16]   3..0 = q[j]
/// </code>
/// </summary>
internal sealed class Q4_0Type : BlockType
{
    private const int Half = 16, Zero = 8, Largest = 15, Codes = 2;

    public override string Name => "Q4_0";

    public override int GgufId => 2;

    public override int BlockSize => 32;

    public override int BlockBytes => 18;

    public override double RoundTripTolerance => 0.1;

    protected override void DecodeBlock(ReadOnlySpan<byte> block, Span<float> weights)
    {
        float scale = Halves.Read(block, 0);
        for (int j = 0; j < Half; j++)
        {
            weights[j] = scale * ((block[Codes + j] & 15) - Zero);
            weights[j + Half] = scale * ((block[Codes + j] >> 4) - Zero);
        }
    }

    /// <summary>The weight of the largest magnitude becomes q = 0, that is -8 d, so d carries its sign. Halves go up, as in upstream's files.</summary>
    protected override void EncodeBlock(ReadOnlySpan<float> weights, Span<byte> block)
    {
        float scale = SignedMaximum(weights) / -Zero, inverse = Inverse(scale);
        Halves.Write(block, 0, scale);
        for (int j = 0; j < Half; j++)
        {
            int low = RoundUp(weights[j] * inverse, Zero, Largest);
            int high = RoundUp(weights[j + Half] * inverse, Zero, Largest);
            block[Codes + j] = (byte)(low | (high << 4));
        }
    }
}
