using Tern.Kernels;

namespace Tern.Tests.Kernels;

/// <summary>The portable functions agree with the C library's, and have pinned bits.</summary>
public sealed unsafe class PortableMathTests
{
    private const double Tolerance = 1e-14;

    [Fact]
    public void Exp_log_and_pow_agree_with_the_library()
    {
        var random = new Random(1);
        for (int i = 0; i < 10_000; i++)
        {
            double x = (random.NextDouble() * 1400) - 700;
            Near(Math.Exp(x), PortableMath.Exp(x), $"exp({x:R})");
            double y = Math.Exp(x);
            Near(Math.Log(y), PortableMath.Log(y), $"log({y:R})");
            double nearOne = 1 + (x * 1e-6);
            Near(Math.Log(nearOne), PortableMath.Log(nearOne), $"log({nearOne:R})");
            double power = (random.NextDouble() * 4) - 2;
            double number = Math.Exp(x / 50);
            Near(Math.Pow(number, power), PortableMath.Pow(number, power), $"{number:R}^{power:R}");
        }
    }

    [Fact]
    public void Sin_and_cos_agree_with_the_library_to_large_angles()
    {
        var random = new Random(2);
        foreach (double scale in new[] { 1e-8, 1, 10, 1000, 1e6, 2147483648.0 })
            for (int i = 0; i < 10_000; i++)
            {
                double x = ((random.NextDouble() * 2) - 1) * scale;
                (double sin, double cos) = PortableMath.SinCos(x);
                Near(Math.Sin(x), sin, $"sin({x:R})");
                Near(Math.Cos(x), cos, $"cos({x:R})");
            }
    }

    [Fact]
    public void Ends_are_exact()
    {
        Assert.Equal(1, PortableMath.Exp(0));
        Assert.Equal(0, PortableMath.Exp(double.NegativeInfinity));
        Assert.Equal(double.PositiveInfinity, PortableMath.Exp(710));
        Assert.Equal(double.PositiveInfinity, PortableMath.Exp(double.PositiveInfinity));
        Assert.True(double.IsNaN(PortableMath.Exp(double.NaN)));
        Assert.InRange(PortableMath.Exp(-745), double.Epsilon, 2 * double.Epsilon);
        Assert.Equal(0, PortableMath.Log(1));
        Assert.Equal(double.NegativeInfinity, PortableMath.Log(0));
        Assert.Equal(double.PositiveInfinity, PortableMath.Log(double.PositiveInfinity));
        Assert.True(double.IsNaN(PortableMath.Log(-1)));
        Near(Math.Log(double.Epsilon), PortableMath.Log(double.Epsilon), "log(epsilon)");
        Assert.Equal((0, 1), PortableMath.SinCos(0));
        Assert.True(double.IsNaN(PortableMath.SinCos(double.PositiveInfinity).Sin));
    }

    /// <summary>A machine that computes other bits would build other tables, and other tokens.</summary>
    [Fact]
    public void Results_have_pinned_bits()
    {
        (double sin, double cos) = PortableMath.SinCos(131071.25);
        double[] results = [PortableMath.Exp(1), PortableMath.Exp(-123.456), PortableMath.Log(10), PortableMath.Log(500000), PortableMath.Pow(500000, -0.375), sin, cos];
        ulong[] pinned =
        [
            0x4005BF0A8B145769, 0x34CDA9FB9E4EE720, 0x40026BB1BBB55516, 0x402A3EA669A05C01, 0x3F7DDEE9C8C0ACEE, 0xBFE84FB7BDB2EBEC, 0xBFE4CEBE75FF4EE3,
        ];
        Assert.Equal(pinned, results.Select(BitConverter.DoubleToUInt64Bits));
    }

    [Fact]
    public void Rope_tables_hold_cosines_then_sines_with_the_magnitude()
    {
        double[] frequencies = [1, 0.1, 0.003];
        float* table = stackalloc float[6];
        RopeTable.Fill(frequencies, 1.25, 100_000, table);
        for (int i = 0; i < 3; i++)
        {
            Assert.Equal((float)(1.25 * Math.Cos(100_000 * frequencies[i])), table[i], 1e-7f);
            Assert.Equal((float)(1.25 * Math.Sin(100_000 * frequencies[i])), table[3 + i], 1e-7f);
        }
    }

    private static void Near(double expected, double actual, string what)
    {
        if (!(Math.Abs(actual - expected) <= Tolerance * Math.Max(Math.Abs(expected), 1e-300)))
            Assert.Fail($"{what} is {actual:R}, not {expected:R}");
    }
}
