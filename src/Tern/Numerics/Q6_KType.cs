namespace Tern.Numerics;

/// <summary>
/// Q6_K (id 14): 256 weights in 210 bytes, 6.5625 bits per weight, in 16 sub-blocks of 16 with int8 scales. w = (d sc) (q - 32), q in 0..63.
/// <code>
///   byte  0                128             192              208   210
///         [ low (2 x 64 B) ][ high (2 x 32 B) ][ sc[0..15] int8 ][ d fp16 ]
///
///   Half h holds weights 128 h .. 128 h + 127 in low[64 h ..], high[32 h ..], sc[8 h ..]; for l in 0..31:
///   weight        bits 3..0 of q          bits 5 4 of q       scale
///   l             low[l] bits 3..0        high[l] bits 1 0    sc[l / 16]
///   l + 32        low[l + 32] bits 3..0   high[l] bits 3 2    sc[l / 16 + 2]
///   l + 64        low[l] bits 7..4        high[l] bits 5 4    sc[l / 16 + 4]
///   l + 96        low[l + 32] bits 7..4   high[l] bits 7 6    sc[l / 16 + 6]
/// </code>
/// </summary>
internal sealed class Q6_KType : BlockType
{
    private const int High = 128, SubScales = 192, Scale = 208, SubBlocks = 16, SubBlock = 16, Zero = 32, LargestSubScale = 127;

    public override string Name => "Q6_K";

    public override int GgufId => 14;

    public override int BlockSize => SubBlocks * SubBlock;

    public override int BlockBytes => 210;

    public override double RoundTripTolerance => 0.03;

    public override ReadOnlySpan<int> ScaleOffsets => [Scale];

    protected override void DecodeBlock(ReadOnlySpan<byte> block, Span<float> weights)
    {
        float scale = Halves.Read(block, Scale);
        for (int i = 0; i < weights.Length; i++)
        {
            (int low, int lowShift, int high, int highShift) = Place(i);
            int code = ((block[low] >> lowShift) & 15) | (((block[high] >> highShift) & 3) << 4);
            weights[i] = scale * (sbyte)block[SubScales + (i / SubBlock)] * (code - Zero);
        }
    }

    protected override void EncodeBlock(ReadOnlySpan<float> weights, Span<byte> block)
    {
        Span<float> scales = stackalloc float[SubBlocks];
        for (int s = 0; s < SubBlocks; s++)
            scales[s] = BestScale(weights.Slice(s * SubBlock, SubBlock));

        float scale = SignedMaximum(scales) / -128, inverse = Inverse(scale);
        block.Clear();
        Halves.Write(block, Scale, scale);
        scale = Halves.Read(block, Scale);
        for (int s = 0; s < SubBlocks; s++)
        {
            int subScale = Round(scales[s] * inverse, -128, LargestSubScale);
            block[SubScales + s] = (byte)subScale;
            float subInverse = Inverse(scale * subScale);
            for (int i = s * SubBlock; i < (s + 1) * SubBlock; i++)
            {
                int code = Round(weights[i] * subInverse, -Zero, Zero - 1) + Zero;
                (int low, int lowShift, int high, int highShift) = Place(i);
                block[low] |= (byte)((code & 15) << lowShift);
                block[high] |= (byte)(code >> 4 << highShift);
            }
        }
    }

    /// <summary>Where the low four and the high two bits of weight <paramref name="i"/> stand: byte and shift of each.</summary>
    private static (int Low, int LowShift, int High, int HighShift) Place(int i)
    {
        (int half, int quarter, int l) = (i / 128, i % 128 / 32, i % 32);
        return ((64 * half) + (quarter % 2 * 32) + l, quarter / 2 * 4, High + (32 * half) + l, quarter * 2);
    }

    /// <summary>
    /// The scale with the least squared error among the least-squares scales of a few roundings: those that put the largest weight on
    /// -32 and a little inside or outside of it.
    /// </summary>
    private static float BestScale(ReadOnlySpan<float> weights)
    {
        float maximum = SignedMaximum(weights);
        if (maximum == 0 || !float.IsFinite(maximum))
            return maximum;

        float best = 0, bestGain = 0;
        for (int step = -9; step <= 9; step++)
        {
            float inverse = -(Zero + (0.1f * step)) / maximum, products = 0, squares = 0;
            foreach (float weight in weights)
            {
                int code = Round(weight * inverse, -Zero, Zero - 1);
                products += weight * code;
                squares += code * code;
            }

            // With scale products/squares the squared error is Σw² - products²/squares: the larger the gain, the smaller the error.
            float gain = products * products / squares;
            if (gain > bestGain)
                (best, bestGain) = (products / squares, gain);
        }

        return best;
    }
}
