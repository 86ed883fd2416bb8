using Tern.Machine;

namespace Tern.Tests.Kernels;

/// <summary>What the tests of float kernels share: the lane choices of this processor and inputs that are the same everywhere.</summary>
internal static class FloatTestData
{
    /// <summary>
    /// Instruction sets that select each lane type that can run here. Four-register lanes use the portable vector API, so they run (and are
    /// tested) on every processor, not only on ARM.
    /// </summary>
    public static IReadOnlyList<Isa> Choices { get; } =
    [
        .. new[] { Isa.Avx2 | Isa.Avx512, Isa.Avx2 }.Where(isa => (isa & ~Cpu.Available) == 0),
        Isa.AdvSimd,
        Isa.None,
    ];

    /// <summary>All choices but the definition.</summary>
    public static IEnumerable<Isa> FastChoices => Choices.Where(isa => isa != Isa.None);

    /// <summary>Counts around every edge of the loops: less than sixteen, whole, and with remainders.</summary>
    public static IReadOnlyList<int> Counts { get; } = [0, 1, 3, 15, 16, 17, 31, 48, 63, 64, 65, 100, 127, 128, 200, 333];

    /// <summary>Ordinary numbers, with some large, some tiny and some subnormal ones.</summary>
    public static float[] Mixed(int seed, int count)
    {
        var random = new Random(seed);
        var values = new float[count];
        for (int i = 0; i < count; i++)
        {
            float value = (float)((random.NextDouble() * 2) - 1);
            values[i] = random.Next(12) switch
            {
                0 => value * 1e-40f,
                1 => value * 1e-30f,
                2 => value * 90f,
                3 => value * 1e6f,
                4 => value < 0 ? -0f : 0f,
                _ => value * 4f,
            };
        }

        return values;
    }

    /// <summary>Uniform in [-scale, scale).</summary>
    public static float[] Uniform(int seed, int count, double scale = 1)
    {
        var random = new Random(seed);
        return [.. Enumerable.Range(0, count).Select(_ => (float)(((random.NextDouble() * 2) - 1) * scale))];
    }

    /// <summary>Mixed numbers and a few that are infinite or not numbers.</summary>
    public static float[] Wild(int seed, int count)
    {
        float[] values = Mixed(seed, count);
        float[] specials = [float.PositiveInfinity, float.NegativeInfinity, float.NaN, float.MaxValue, float.Epsilon];
        for (int i = 0; i < count; i += 7)
            values[i] = specials[i / 7 % specials.Length];
        return values;
    }

    /// <summary>Bits that must be equal; every NaN counts as one.</summary>
    public static uint Bits(float value) => float.IsNaN(value) ? 0x7FC00000 : BitConverter.SingleToUInt32Bits(value);

    /// <summary>Fails at the first element whose bits differ.</summary>
    public static void AssertSameBits(ReadOnlySpan<float> expected, ReadOnlySpan<float> actual, string what)
    {
        Assert.Equal(expected.Length, actual.Length);
        for (int i = 0; i < expected.Length; i++)
            if (Bits(expected[i]) != Bits(actual[i]))
                Assert.Fail($"{what}: element {i} of {expected.Length} is {actual[i]:R} ({Bits(actual[i]):X8}), not {expected[i]:R} ({Bits(expected[i]):X8})");
    }

    /// <summary>A hash of bits (FNV-1a), to pin results that must not differ between machines.</summary>
    public static uint Hash(ReadOnlySpan<float> values)
    {
        uint hash = 2166136261;
        foreach (float value in values)
            hash = (hash ^ Bits(value)) * 16777619;
        return hash;
    }
}
