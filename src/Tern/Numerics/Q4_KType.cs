namespace Tern.Numerics;

/// <summary>
/// Q4_K (id 12): 256 weights in 144 bytes, 4.5 bits per weight, in 8 sub-blocks of 32 with 6-bit scales sc and minimums m.
/// w = (d sc) q - dmin m, q in 0..15.
/// <code>
///   byte  0     2     4                       16                                   144
///         [ d  ][dmin][ s[0] s[1] …   s[11]   ][ chunk 0 (32 B) ] … [ chunk 3 (32 B) ]
///          fp16  fp16   twelve bytes below        b[l]:  7..4 = q of sub-block 2k + 1   3..0 = q of sub-block 2k
///
///   bits          7 6                 5..0
///   s[0..3]       sc[4..7] bits 5 4   sc[0..3]
///   s[4..7]       m[4..7] bits 5 4    m[0..3]
///   bits          7..4                3..0
///   s[8..11]      m[4..7] bits 3..0   sc[4..7] bits 3..0
/// </code>
/// </summary>
internal sealed class Q4_KType : BlockType
{
    private const int MinimumScale = 2, Factors = 4, Codes = 16, SubBlocks = 8, SubBlock = 32, Largest = 15, LargestFactor = 63;

    public override string Name => "Q4_K";

    public override int GgufId => 12;

    public override int BlockSize => SubBlocks * SubBlock;

    public override int BlockBytes => 144;

    public override double RoundTripTolerance => 0.1;

    public override ReadOnlySpan<int> ScaleOffsets => [0, MinimumScale];

    /// <summary>The 6-bit scale of a sub-block; <paramref name="factors"/> are the twelve bytes.</summary>
    internal static int ScaleFactor(ReadOnlySpan<byte> factors, int subBlock) => subBlock < 4
        ? factors[subBlock] & 63
        : (factors[subBlock + 4] & 15) | (factors[subBlock - 4] >> 6 << 4);

    /// <summary>The 6-bit minimum of a sub-block; <paramref name="factors"/> are the twelve bytes.</summary>
    internal static int MinimumFactor(ReadOnlySpan<byte> factors, int subBlock) => subBlock < 4
        ? factors[subBlock + 4] & 63
        : (factors[subBlock + 4] >> 4) | (factors[subBlock] >> 6 << 4);

    protected override void DecodeBlock(ReadOnlySpan<byte> block, Span<float> weights)
    {
        float scale = Halves.Read(block, 0), minimumScale = Halves.Read(block, MinimumScale);
        ReadOnlySpan<byte> factors = block[Factors..Codes];
        for (int s = 0; s < SubBlocks; s++)
        {
            float subScale = scale * ScaleFactor(factors, s), minimum = minimumScale * MinimumFactor(factors, s);
            ReadOnlySpan<byte> chunk = block.Slice(Codes + (s / 2 * SubBlock), SubBlock);
            int shift = s % 2 * 4;
            for (int l = 0; l < SubBlock; l++)
                weights[(s * SubBlock) + l] = (subScale * ((chunk[l] >> shift) & 15)) - minimum;
        }
    }

    /// <summary>Each sub-block spans its own range, which is widened to hold zero because minimums cannot be positive.</summary>
    protected override void EncodeBlock(ReadOnlySpan<float> weights, Span<byte> block)
    {
        Span<float> scales = stackalloc float[SubBlocks], minimums = stackalloc float[SubBlocks];
        for (int s = 0; s < SubBlocks; s++)
        {
            float minimum = 0, maximum = 0;
            foreach (float weight in weights.Slice(s * SubBlock, SubBlock))
                (minimum, maximum) = (MathF.Min(minimum, weight), MathF.Max(maximum, weight));
            (scales[s], minimums[s]) = ((maximum - minimum) / Largest, -minimum);
        }

        float scale = SignedMaximum(scales) / LargestFactor, minimumScale = SignedMaximum(minimums) / LargestFactor;
        Halves.Write(block, 0, scale);
        Halves.Write(block, MinimumScale, minimumScale);
        (scale, minimumScale) = (Halves.Read(block, 0), Halves.Read(block, MinimumScale));
        float inverse = Inverse(scale), minimumInverse = Inverse(minimumScale);
        block[Factors..].Clear();
        for (int s = 0; s < SubBlocks; s++)
        {
            int factor = Round(scales[s] * inverse, 0, LargestFactor), minimumFactor = Round(minimums[s] * minimumInverse, 0, LargestFactor);
            WriteFactors(block[Factors..Codes], s, factor, minimumFactor);
            float subInverse = Inverse(scale * factor), minimum = minimumScale * minimumFactor;
            Span<byte> chunk = block.Slice(Codes + (s / 2 * SubBlock), SubBlock);
            for (int l = 0; l < SubBlock; l++)
                chunk[l] |= (byte)(Round((weights[(s * SubBlock) + l] + minimum) * subInverse, 0, Largest) << (s % 2 * 4));
        }
    }

    private static void WriteFactors(Span<byte> factors, int subBlock, int scale, int minimum)
    {
        if (subBlock < 4)
        {
            factors[subBlock] |= (byte)scale;
            factors[subBlock + 4] |= (byte)minimum;
            return;
        }

        factors[subBlock + 4] = (byte)((scale & 15) | ((minimum & 15) << 4));
        factors[subBlock - 4] |= (byte)(scale >> 4 << 6);
        factors[subBlock] |= (byte)(minimum >> 4 << 6);
    }
}
