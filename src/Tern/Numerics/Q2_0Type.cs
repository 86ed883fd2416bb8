namespace Tern.Numerics;

/// <summary>
/// Q2_0 (id 42, ternary Bonsai): groups of 64 weights in 18 bytes, 2.25 bits per weight; early files have groups of 128 in 34 bytes under the
/// same id, 2.125 bits per weight. w = d (code - 1): codes 0, 1, 2, 3 are -1, 0, +1, +2. Code 3 is valid, so this is no ternary type.
/// <code>
///   byte  0     2                                 2 + group/4
///         [ d  ][ b[0] b[1] …                     ]
///          fp16   b[j]:  7 6 = w[4j + 3]   5 4 = w[4j + 2]   3 2 = w[4j + 1]   1 0 = w[4j]
/// </code>
/// </summary>
internal sealed class Q2_0Type(string name, int group) : BlockType
{
    private const int Codes = 2;

    public override string Name => name;

    public override int GgufId => 42;

    public override int BlockSize => group;

    public override int BlockBytes => Codes + (group / 4);

    public override double RoundTripTolerance => 0.64;

    protected override void DecodeBlock(ReadOnlySpan<byte> block, Span<float> weights)
    {
        float scale = Halves.Read(block, 0);
        for (int j = 0; j < weights.Length; j++)
            weights[j] = scale * (((block[Codes + (j / 4)] >> (j % 4 * 2)) & 3) - 1);
    }

    /// <summary>d = max|w|, so codes 0..2 suffice and code 3 is never written.</summary>
    protected override void EncodeBlock(ReadOnlySpan<float> weights, Span<byte> block)
    {
        float scale = MathF.Abs(SignedMaximum(weights)), inverse = Inverse(scale);
        block.Clear();
        Halves.Write(block, 0, scale);
        for (int j = 0; j < weights.Length; j++)
            block[Codes + (j / 4)] |= (byte)((Round(weights[j] * inverse, -1, 1) + 1) << (j % 4 * 2));
    }
}
