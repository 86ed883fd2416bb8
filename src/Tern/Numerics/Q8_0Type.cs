namespace Tern.Numerics;

/// <summary>
/// Q8_0 (id 8): 32 weights in 34 bytes, 8.5 bits per weight. w = d q, q in -128..127 (-127..127 as written).
/// <code>
///   byte  0     2                                 34
///         [ d  ][ q[0] q[1] …             q[31]   ]
///          fp16   int8 each
/// </code>
/// </summary>
internal sealed class Q8_0Type : BlockType
{
    private const int Codes = 2, Largest = 127;

    public override string Name => "Q8_0";

    public override int GgufId => 8;

    public override int BlockSize => 32;

    public override int BlockBytes => 34;

    public override double RoundTripTolerance => 0.006;

    protected override void DecodeBlock(ReadOnlySpan<byte> block, Span<float> weights)
    {
        float scale = Halves.Read(block, 0);
        for (int j = 0; j < weights.Length; j++)
            weights[j] = scale * (sbyte)block[Codes + j];
    }

    /// <summary>Halves go away from zero, as in upstream's files.</summary>
    protected override void EncodeBlock(ReadOnlySpan<float> weights, Span<byte> block)
    {
        float scale = MathF.Abs(SignedMaximum(weights)) / Largest, inverse = Inverse(scale);
        Halves.Write(block, 0, scale);
        for (int j = 0; j < weights.Length; j++)
            block[Codes + j] = (byte)(int)Math.Clamp(MathF.Round(weights[j] * inverse, MidpointRounding.AwayFromZero), -Largest, Largest);
    }
}
