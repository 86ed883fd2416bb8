namespace Tern.Numerics;

/// <summary>
/// Q4_1 (id 3): 32 weights in 20 bytes, 5 bits per weight. w = d q + m, q in 0..15.
/// <code>
///   byte  0     2     4                                  20
///         [ d  ][ m  ][ b[0] b[1] …              b[15]   ]
///          fp16  fp16   b[j]:  7..4 = q[j + 16]   3..0 = q[j]
/// </code>
/// </summary>
internal sealed class Q4_1Type : BlockType
{
    private const int Half = 16, Minimum = 2, Codes = 4, Largest = 15;

    public override string Name => "Q4_1";

    public override int GgufId => 3;

    public override int BlockSize => 32;

    public override int BlockBytes => 20;

    public override double RoundTripTolerance => 0.1;

    public override ReadOnlySpan<int> ScaleOffsets => [0, Minimum];

    protected override void DecodeBlock(ReadOnlySpan<byte> block, Span<float> weights)
    {
        float scale = Halves.Read(block, 0), minimum = Halves.Read(block, Minimum);
        for (int j = 0; j < Half; j++)
        {
            weights[j] = (scale * (block[Codes + j] & 15)) + minimum;
            weights[j + Half] = (scale * (block[Codes + j] >> 4)) + minimum;
        }
    }

    protected override void EncodeBlock(ReadOnlySpan<float> weights, Span<byte> block)
    {
        float minimum = weights[0], maximum = weights[0];
        foreach (float weight in weights)
            (minimum, maximum) = (MathF.Min(minimum, weight), MathF.Max(maximum, weight));

        float scale = (maximum - minimum) / Largest, inverse = Inverse(scale);
        Halves.Write(block, 0, scale);
        Halves.Write(block, Minimum, minimum);
        for (int j = 0; j < Half; j++)
        {
            int low = RoundUp((weights[j] - minimum) * inverse, 0, Largest);
            int high = RoundUp((weights[j + Half] - minimum) * inverse, 0, Largest);
            block[Codes + j] = (byte)(low | (high << 4));
        }
    }
}
