namespace Tern.Numerics;

/// <summary>
/// IQ1_BN (id 134, ik_llama.cpp): ternary rows with one fp16 scale each; 64 weights in 13 bytes, 1.625 bits per weight and the row's scale.
/// w = scale (digit - 1).
/// <code>
///   row    byte  0       2               15              28
///                [ scale ][ block 0      ][ block 1      ]…
///                 fp16
///   block  byte  0       3       6       9       12     13
///                [ g = 0 ][ g = 1 ][ g = 2 ][ g = 3 ][ extra ]
///                 byte j of group g: digits k = 0..4 = weights 16g + 5j + k
///                                                    digit g = weight 16g + 15
///
///   V = Σ digit k · 3^k, byte = ceil(256 V / 243): digit k is floor(3 (byte · 3^(4-k) mod 256) / 256).
/// </code>
/// </summary>
internal sealed class IQ1_BNType : TernaryRowType
{
    private const int Groups = 4, GroupBytes = 3, GroupWeights = 16, Digits = 5, Extra = 12;

    public override string Name => "IQ1_BN";

    public override int GgufId => 134;

    public override int BlockBytes => 13;

    private protected override int ScaleBytes => sizeof(ushort);

    private static ReadOnlySpan<byte> Multipliers => [81, 27, 9, 3, 1];

    private protected override float ReadScale(ReadOnlySpan<byte> row) => Halves.Read(row, 0);

    private protected override void WriteScale(Span<byte> row, float scale) => Halves.Write(row, 0, scale);

    private protected override void DecodeBlock(ReadOnlySpan<byte> block, Span<sbyte> codes)
    {
        for (int g = 0; g < Groups; g++)
        {
            for (int i = 0; i < GroupWeights - 1; i++)
                codes[(g * GroupWeights) + i] = Digit(block[(g * GroupBytes) + (i / Digits)], i % Digits);
            codes[(g * GroupWeights) + GroupWeights - 1] = Digit(block[Extra], g);
        }
    }

    private protected override void EncodeBlock(ReadOnlySpan<sbyte> codes, Span<byte> block)
    {
        int extra = 0;
        for (int g = Groups - 1; g >= 0; g--)
        {
            ReadOnlySpan<sbyte> weights = codes.Slice(g * GroupWeights, GroupWeights);
            for (int j = 0; j < GroupBytes; j++)
            {
                int value = 0;
                for (int k = Digits - 1; k >= 0; k--)
                    value = (value * 3) + weights[(j * Digits) + k] + 1;
                block[(g * GroupBytes) + j] = Fraction(value);
            }

            extra = (extra * 3) + weights[GroupWeights - 1] + 1;
        }

        block[Extra] = Fraction(extra);
    }

    private static sbyte Digit(byte fraction, int k) => (sbyte)(((byte)(fraction * Multipliers[k]) * 3 >> 8) - 1);

    private static byte Fraction(int value) => (byte)(((value * 256) + 242) / 243);
}
