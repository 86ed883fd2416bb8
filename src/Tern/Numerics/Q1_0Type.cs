namespace Tern.Numerics;

/// <summary>
/// Q1_0 (id 41, binary Bonsai): 128 weights in 18 bytes, 1.125 bits per weight. w = +d where the bit is 1, -d where it is 0.
/// <code>
///   byte  0     2                                 18
///         [ d  ][ b[0] b[1] …             b[15]   ]
///          fp16   bit i of b[j] = weight 8 j + i
/// </code>
/// </summary>
internal sealed class Q1_0Type : BlockType
{
    private const int Codes = 2;

    public override string Name => "Q1_0";

    public override int GgufId => 41;

    public override int BlockSize => 128;

    public override int BlockBytes => 18;

    public override double RoundTripTolerance => 0.7;

    protected override void DecodeBlock(ReadOnlySpan<byte> block, Span<float> weights)
    {
        float scale = Halves.Read(block, 0);
        for (int j = 0; j < weights.Length; j++)
            weights[j] = ((block[Codes + (j / 8)] >> (j % 8)) & 1) != 0 ? scale : -scale;
    }

    /// <summary>d = mean|w|, the least-squares choice for signs.</summary>
    protected override void EncodeBlock(ReadOnlySpan<float> weights, Span<byte> block)
    {
        float sum = 0;
        block.Clear();
        for (int j = 0; j < weights.Length; j++)
        {
            sum += MathF.Abs(weights[j]);
            if (weights[j] >= 0)
                block[Codes + (j / 8)] |= (byte)(1 << (j % 8));
        }

        Halves.Write(block, 0, sum / weights.Length);
    }
}
