namespace Tern.Kernels;

/// <summary>
/// exp, log, sin, cos and pow in double precision from + - × ÷ and fused multiply-add alone, so that tables made at load are the same
/// everywhere (the C library's differ between systems). Errors stay within a few units in the last place.
/// </summary>
internal static class PortableMath
{
    /// <summary>1.5 · 2^52: adding it rounds to a whole number, half to even, in the low mantissa bits.</summary>
    private const double RoundShift = 6755399441055744.0;

    private const double Ln2High = 0.6931471805599453;
    private const double Ln2Low = 2.3190468138462996e-17;

    // π/2 in three parts of 53 bits. With a fused multiply-add x - k · High is exact: both are multiples of 2^-52 and the difference is small.
    private const double HalfPiHigh = 1.5707963267948966;
    private const double HalfPiMiddle = 6.123233995736766e-17;
    private const double HalfPiLow = -1.4973849048591698e-33;

    /// <summary>e^x; 0 below -746, +∞ above 709.8, NaN for NaN.</summary>
    public static double Exp(double x)
    {
        if (double.IsNaN(x))
            return x;
        if (x > 710)
            return double.PositiveInfinity;
        if (x < -746)
            return 0;

        // x = n ln 2 + r, |r| <= 0.3466: the Taylor series to r^13 leaves 4e-18.
        double n = (x * 1.4426950408889634 + RoundShift) - RoundShift;
        double r = Math.FusedMultiplyAdd(n, -Ln2High, x);
        r = Math.FusedMultiplyAdd(n, -Ln2Low, r);
        double power = 1.0 / 6227020800;
        power = Math.FusedMultiplyAdd(power, r, 1.0 / 479001600);
        power = Math.FusedMultiplyAdd(power, r, 1.0 / 39916800);
        power = Math.FusedMultiplyAdd(power, r, 1.0 / 3628800);
        power = Math.FusedMultiplyAdd(power, r, 1.0 / 362880);
        power = Math.FusedMultiplyAdd(power, r, 1.0 / 40320);
        power = Math.FusedMultiplyAdd(power, r, 1.0 / 5040);
        power = Math.FusedMultiplyAdd(power, r, 1.0 / 720);
        power = Math.FusedMultiplyAdd(power, r, 1.0 / 120);
        power = Math.FusedMultiplyAdd(power, r, 1.0 / 24);
        power = Math.FusedMultiplyAdd(power, r, 1.0 / 6);
        power = Math.FusedMultiplyAdd(power, r, 0.5);
        power = Math.FusedMultiplyAdd(power, r, 1);
        power = Math.FusedMultiplyAdd(power, r, 1);

        int half = (int)n >> 1;
        return power * PowerOfTwo(half) * PowerOfTwo((int)n - half);
    }

    /// <summary>The natural logarithm; -∞ for 0, NaN for negative numbers and NaN.</summary>
    public static double Log(double x)
    {
        if (!(x > 0))
            return x == 0 ? double.NegativeInfinity : double.NaN;
        if (double.IsPositiveInfinity(x))
            return x;

        int exponent = 0;
        if (x < 2.2250738585072014e-308)
        {
            x *= 18014398509481984; // 2^54: subnormal numbers become normal
            exponent = -54;
        }

        // x = m · 2^exponent with m in [0.707, 1.414); s = (m - 1) / (m + 1); ln m = 2 (s + s³/3 + s⁵/5 + …), s² <= 0.0295.
        long bits = BitConverter.DoubleToInt64Bits(x);
        exponent += (int)(bits >> 52) - 1023;
        double m = BitConverter.Int64BitsToDouble((bits & 0x000F_FFFF_FFFF_FFFF) | 0x3FF0_0000_0000_0000);
        if (m > 1.4142135623730951)
        {
            m *= 0.5;
            exponent++;
        }

        double s = (m - 1) / (m + 1);
        double square = s * s;
        double series = 1.0 / 23;
        series = Math.FusedMultiplyAdd(series, square, 1.0 / 21);
        series = Math.FusedMultiplyAdd(series, square, 1.0 / 19);
        series = Math.FusedMultiplyAdd(series, square, 1.0 / 17);
        series = Math.FusedMultiplyAdd(series, square, 1.0 / 15);
        series = Math.FusedMultiplyAdd(series, square, 1.0 / 13);
        series = Math.FusedMultiplyAdd(series, square, 1.0 / 11);
        series = Math.FusedMultiplyAdd(series, square, 1.0 / 9);
        series = Math.FusedMultiplyAdd(series, square, 1.0 / 7);
        series = Math.FusedMultiplyAdd(series, square, 1.0 / 5);
        series = Math.FusedMultiplyAdd(series, square, 1.0 / 3);
        double small = Math.FusedMultiplyAdd(2 * s * square, series, exponent * Ln2Low);
        return Math.FusedMultiplyAdd(exponent, Ln2High, Math.FusedMultiplyAdd(2, s, small));
    }

    /// <summary>x^y for x > 0; the relative error grows with |y ln x|, about 2e-16 of it.</summary>
    public static double Pow(double x, double y) => Exp(y * Log(x));

    /// <summary>Sine and cosine; good for |x| up to 2^31, less exact beyond; NaN for NaN and infinities.</summary>
    public static (double Sin, double Cos) SinCos(double x)
    {
        // x = k π/2 + r, |r| <= π/4.
        double k = (x * 0.6366197723675814 + RoundShift) - RoundShift;
        double r = Math.FusedMultiplyAdd(k, -HalfPiHigh, x);
        r = Math.FusedMultiplyAdd(k, -HalfPiMiddle, r);
        r = Math.FusedMultiplyAdd(k, -HalfPiLow, r);
        double square = r * r;

        double sin = 1.0 / 355687428096000;
        sin = Math.FusedMultiplyAdd(sin, square, -1.0 / 1307674368000);
        sin = Math.FusedMultiplyAdd(sin, square, 1.0 / 6227020800);
        sin = Math.FusedMultiplyAdd(sin, square, -1.0 / 39916800);
        sin = Math.FusedMultiplyAdd(sin, square, 1.0 / 362880);
        sin = Math.FusedMultiplyAdd(sin, square, -1.0 / 5040);
        sin = Math.FusedMultiplyAdd(sin, square, 1.0 / 120);
        sin = Math.FusedMultiplyAdd(sin, square, -1.0 / 6);
        sin = Math.FusedMultiplyAdd(sin * square, r, r);

        double cos = 1.0 / 20922789888000;
        cos = Math.FusedMultiplyAdd(cos, square, -1.0 / 87178291200);
        cos = Math.FusedMultiplyAdd(cos, square, 1.0 / 479001600);
        cos = Math.FusedMultiplyAdd(cos, square, -1.0 / 3628800);
        cos = Math.FusedMultiplyAdd(cos, square, 1.0 / 40320);
        cos = Math.FusedMultiplyAdd(cos, square, -1.0 / 720);
        cos = Math.FusedMultiplyAdd(cos, square, 1.0 / 24);
        cos = Math.FusedMultiplyAdd(cos, square, -0.5);
        cos = Math.FusedMultiplyAdd(cos, square, 1);

        // The low bits of k's shifted form are k modulo 4, also for negative k.
        return (BitConverter.DoubleToInt64Bits(k + RoundShift) & 3) switch
        {
            0 => (sin, cos),
            1 => (cos, -sin),
            2 => (-sin, -cos),
            _ => (-cos, sin),
        };
    }

    private static double PowerOfTwo(int exponent) => BitConverter.Int64BitsToDouble((long)(exponent + 1023) << 52);
}
