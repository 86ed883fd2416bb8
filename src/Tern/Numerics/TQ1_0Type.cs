using System.Runtime.Intrinsics;

namespace Tern.Numerics;

/// <summary>
/// TQ1_0 (id 34): 256 ternary weights in 54 bytes, 1.6875 bits per weight. w = d (digit - 1).
/// <code>
///   byte  0            32              48           52   54
///         [ a[0..31]   ][ b[0..15]     ][ c[0..3]   ][ d  ]
///          five digits    five digits    four digits  fp16, last
///          a[m] digit n = weight 32 n + m            (0..159)
///          b[m] digit n = weight 160 + 16 n + m      (160..239)
///          c[j] digit n = weight 240 + 4 n + j       (240..255)
///
///   A byte is a fraction in base 3: V = Σ digit n · 3^(4-n), byte = ceil(256 V / 243). Its first digit is floor(3 byte / 256);
///   multiplying the byte by 3 modulo 256 drops that digit and brings the next one to the front.
/// </code>
/// </summary>
internal sealed class TQ1_0Type : TernaryBlockType
{
    private const int Second = 32, Third = 48, Digits = 5, DigitsOfThird = 4;

    public override string Name => "TQ1_0";

    public override int GgufId => 34;

    public override int BlockBytes => 54;

    private protected override void DecodeBlock(ReadOnlySpan<byte> block, Span<sbyte> codes)
    {
        Vector256<byte> a = Vector256.Create(block);
        Vector128<byte> b = Vector128.Create(block[Second..]);
        for (int n = 0; n < Digits; n++)
        {
            FirstDigit(a).CopyTo(codes[(32 * n)..]);
            FirstDigit(b.ToVector256Unsafe()).GetLower().CopyTo(codes[(160 + (16 * n))..]);
            (a, b) = (a + a + a, b + b + b);
        }

        for (int j = 0; j < 4; j++)
        {
            byte value = block[Third + j];
            for (int n = 0; n < DigitsOfThird; n++, value *= 3)
                codes[240 + (4 * n) + j] = (sbyte)(((value * 3) >> 8) - 1);
        }
    }

    /// <summary>floor(3 v / 256) - 1 by two comparisons: a comparison that holds is -1.</summary>
    private static Vector256<sbyte> FirstDigit(Vector256<byte> v) =>
        Vector256.Create((sbyte)-1)
        - Vector256.GreaterThanOrEqual(v, Vector256.Create((byte)86)).AsSByte()
        - Vector256.GreaterThanOrEqual(v, Vector256.Create((byte)171)).AsSByte();

    private protected override void EncodeBlock(ReadOnlySpan<sbyte> codes, Span<byte> block)
    {
        for (int m = 0; m < Second; m++)
            block[m] = Pack(codes, m, 32, Digits);
        for (int m = 0; m < Third - Second; m++)
            block[Second + m] = Pack(codes, 160 + m, 16, Digits);
        for (int j = 0; j < 4; j++)
            block[Third + j] = Pack(codes, 240 + j, 4, DigitsOfThird);
    }

    /// <summary>Packs codes first, first + step, …; digits beyond <paramref name="count"/> are 0.</summary>
    private static byte Pack(ReadOnlySpan<sbyte> codes, int first, int step, int count)
    {
        int value = 0;
        for (int n = 0; n < Digits; n++)
            value = (value * 3) + (n < count ? codes[first + (n * step)] + 1 : 0);
        return (byte)(((value * 256) + 242) / 243);
    }
}
