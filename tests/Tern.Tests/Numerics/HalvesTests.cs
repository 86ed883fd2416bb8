using System.Runtime.Intrinsics;
using Tern.Numerics;

namespace Tern.Tests.Numerics;

public sealed class HalvesTests
{
    private static readonly ushort[] s_all = [.. Enumerable.Range(0, 65536).Select(i => (ushort)i)];

    [Fact]
    public void Every_half_becomes_the_float_that_dotnet_gives()
    {
        foreach (ushort bits in s_all)
            AssertBits((float)BitConverter.UInt16BitsToHalf(bits), Halves.ToSingle(bits), bits);
    }

    [Theory]
    [InlineData(65536)]
    [InlineData(65535)]
    [InlineData(7)]
    [InlineData(0)]
    public void Runs_of_halves_equal_the_scalar_conversion(int count)
    {
        float[] singles = new float[count];
        Halves.ToSingles(s_all.AsSpan(0, count), singles);
        for (int i = 0; i < count; i++)
            AssertBits(Halves.ToSingle(s_all[i]), singles[i], s_all[i]);
    }

    [Fact]
    public void Vectors_of_every_width_equal_the_scalar_conversion()
    {
        for (int i = 0; i < s_all.Length; i += 16)
        {
            Vector512<uint> bits = Vector512.Create(Enumerable.Range(i, 16).Select(x => (uint)x).ToArray());
            Vector512<float> wide = Halves.ToSingle(bits);
            Vector512<float> middle = Vector512.Create(Halves.ToSingle(bits.GetLower()), Halves.ToSingle(bits.GetUpper()));
            for (int lane = 0; lane < 16; lane++)
            {
                AssertBits(Halves.ToSingle((ushort)(i + lane)), wide[lane], i + lane);
                AssertBits(Halves.ToSingle((ushort)(i + lane)), middle[lane], i + lane);
            }
        }
    }

    [Fact]
    public void Floats_round_to_the_half_that_dotnet_gives()
    {
        float[] values = Awkward();
        ushort[] halves = new ushort[values.Length];
        Halves.FromSingles(values, halves);
        for (int i = 0; i < values.Length; i++)
        {
            ushort expected = BitConverter.HalfToUInt16Bits((Half)values[i]);
            Assert.True(expected == halves[i], $"{BitConverter.SingleToUInt32Bits(values[i]):X8}: expected {expected:X4}, got {halves[i]:X4}");
            Assert.Equal(halves[i], Halves.FromSingle(values[i]));
        }
    }

    [Fact]
    public void Every_brain_float_survives_and_others_round_to_even()
    {
        float[] singles = new float[65536];
        Halves.BrainToSingles(s_all, singles);
        for (int i = 0; i < singles.Length; i++)
        {
            Assert.Equal((uint)i << 16, BitConverter.SingleToUInt32Bits(singles[i]));
            int back = Halves.BrainFromSingle(singles[i]);
            Assert.Equal(float.IsNaN(singles[i]) ? i | 0x40 : i, back);
        }

        Assert.Equal(0x3F80, Halves.BrainFromSingle(BitConverter.UInt32BitsToSingle(0x3F80_8000)));
        Assert.Equal(0x3F82, Halves.BrainFromSingle(BitConverter.UInt32BitsToSingle(0x3F81_8000)));
        Assert.Equal(0x3F81, Halves.BrainFromSingle(BitConverter.UInt32BitsToSingle(0x3F80_8001)));
        Assert.Equal(0x7F80, Halves.BrainFromSingle(float.MaxValue));
        Assert.True(float.IsNaN(Halves.BrainToSingle(Halves.BrainFromSingle(BitConverter.UInt32BitsToSingle(0x7F80_0001)))));
    }

    /// <summary>Every half, the midpoints above them and their neighbours, and random bit patterns.</summary>
    private static float[] Awkward()
    {
        var random = new Random(5);
        List<float> values = [];
        foreach (ushort bits in s_all)
        {
            uint single = BitConverter.SingleToUInt32Bits((float)BitConverter.UInt16BitsToHalf(bits));
            foreach (uint offset in new uint[] { 0, 1, 0xFFF, 0x1000, 0x1001, 0x1FFF })
                values.Add(BitConverter.UInt32BitsToSingle(single + offset));
        }

        // Midpoints of fp16 subnormals, units of 2^-25, and what lies just beside them.
        for (int i = 0; i < 2100; i++)
            foreach (int nudge in (int[])[-1, 0, 1])
                values.Add(BitConverter.UInt32BitsToSingle((uint)Math.Max(0, (int)BitConverter.SingleToUInt32Bits(i * MathF.Pow(2, -25)) + nudge)));
        for (int i = 0; i < 100_003; i++)
            values.Add(BitConverter.UInt32BitsToSingle((uint)random.NextInt64(1L << 32)));
        return [.. values];
    }

    private static void AssertBits(float expected, float actual, int bits) => Assert.True(
        BitConverter.SingleToUInt32Bits(expected) == BitConverter.SingleToUInt32Bits(actual),
        $"{bits:X4}: expected {BitConverter.SingleToUInt32Bits(expected):X8}, got {BitConverter.SingleToUInt32Bits(actual):X8}");
}
