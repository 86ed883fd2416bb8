using Tern.Kernels;
using Tern.Machine;

namespace Tern.Tests.Kernels;

/// <summary>Every lane type does the same IEEE operations as the scalar definition.</summary>
public sealed unsafe class FloatLanesTests
{
    [Fact]
    public void Four_registers_equal_the_definition() => Compare<Lanes128>();

    [Fact]
    public void Two_registers_equal_the_definition()
    {
        if (Cpu.Available.HasFlag(Isa.Avx2))
            Compare<Lanes256>();
    }

    [Fact]
    public void One_register_equals_the_definition()
    {
        if (Cpu.Available.HasFlag(Isa.Avx512))
            Compare<Lanes512>();
    }

    [Fact]
    public void Every_half_loads_exactly()
    {
        Halves<LanesScalar>();
        Halves<Lanes128>();
        if (Cpu.Available.HasFlag(Isa.Avx2))
            Halves<Lanes256>();
        if (Cpu.Available.HasFlag(Isa.Avx512))
            Halves<Lanes512>();
    }

    [Fact]
    public void Rounding_to_half_is_to_nearest_even()
    {
        // Every half, the points midway between neighbours, and one float to each side of both.
        var values = new List<float>();
        for (uint bits = 0; bits < 0x10000; bits++)
        {
            float value = (float)BitConverter.UInt16BitsToHalf((ushort)bits);
            float next = (float)BitConverter.UInt16BitsToHalf((ushort)(bits + 1));
            foreach (float point in new[] { value, (value + next) / 2 })
                values.AddRange([point, MathF.BitDecrement(point), MathF.BitIncrement(point)]);
        }

        values.AddRange([65519.996f, 65520f, -65520f, 1e30f, float.MaxValue, float.Epsilon, 2.9802322e-8f, 2.9802326e-8f]);
        while (values.Count % 8 != 0)
            values.Add(0);

        ushort* halves = stackalloc ushort[8];
        fixed (float* source = values.ToArray())
        {
            for (int i = 0; i < values.Count; i += 8)
            {
                Lanes128.ToHalf(source + i, halves);
                for (int j = 0; j < 8; j++)
                {
                    float value = values[i + j];
                    ushort expected = float.IsNaN(value)
                        ? (ushort)(float.IsNegative(value) ? 0xFE00 : 0x7E00)
                        : BitConverter.HalfToUInt16Bits((Half)value);
                    if (expected != halves[j] || expected != LanesScalar.ToHalf(value))
                        Assert.Fail($"{value:R}: {halves[j]:X4} and {LanesScalar.ToHalf(value):X4}, not {expected:X4}");
                }
            }
        }
    }

    [Fact]
    public void Exp_stays_within_one_unit_in_the_last_place()
    {
        const int count = 1 << 18;
        double worst = 0;
        float* results = stackalloc float[Lanes.Count];
        float* values = stackalloc float[Lanes.Count];
        for (int i = 0; i < count; i += Lanes.Count)
        {
            for (int j = 0; j < Lanes.Count; j++)
                values[j] = -103f + ((88.7f + 103f) * (i + j) / count);
            Lanes128.Store(FloatFunctions.Exp(Lanes128.Load(values)), results);
            for (int j = 0; j < Lanes.Count; j++)
            {
                double exact = Math.Exp(values[j]);
                double unit = Math.Max(Math.ScaleB(1, Math.ILogB(exact) - 23), float.Epsilon);
                worst = Math.Max(worst, Math.Abs(results[j] - exact) / unit);
            }
        }

        Assert.InRange(worst, 0.4, 1.0);
    }

    [Fact]
    public void Exp_has_exact_ends()
    {
        float[] values = [float.NegativeInfinity, -1e30f, -104.1f, 0f, -0f, 88.8f, 1e30f, float.PositiveInfinity, float.NaN];
        float[] expected = [0f, 0f, 0f, 1f, 1f, float.PositiveInfinity, float.PositiveInfinity, float.PositiveInfinity, float.NaN];
        float* results = stackalloc float[Lanes.Count];
        for (int i = 0; i < values.Length; i++)
        {
            Lanes128.Store(FloatFunctions.Exp(Lanes128.Broadcast(values[i])), results);
            FloatTestData.AssertSameBits([expected[i]], [results[0]], $"exp({values[i]})");
        }
    }

    private static void Halves<TLanes>()
        where TLanes : unmanaged, ILanes<TLanes>
    {
        ushort* halves = stackalloc ushort[Lanes.Count];
        float* results = stackalloc float[Lanes.Count];
        for (int start = 0; start < 0x10000; start += Lanes.Count)
        {
            for (int i = 0; i < Lanes.Count; i++)
                halves[i] = (ushort)(start + i);
            TLanes.Store(TLanes.LoadHalf(halves), results);
            for (int i = 0; i < Lanes.Count; i++)
            {
                float expected = (float)BitConverter.UInt16BitsToHalf(halves[i]);
                if (FloatTestData.Bits(expected == 0 ? 0f : expected) != FloatTestData.Bits(results[i]))
                    Assert.Fail($"{typeof(TLanes).Name}: half {halves[i]:X4} loads as {results[i]:R}, not {expected:R}");
            }
        }
    }

    private static void Compare<TLanes>()
        where TLanes : unmanaged, ILanes<TLanes>
    {
        const int rounds = 2000;
        float[] a = FloatTestData.Wild(1, rounds * Lanes.Count);
        float[] b = FloatTestData.Wild(2, rounds * Lanes.Count);
        float[] c = FloatTestData.Wild(3, rounds * Lanes.Count);
        var random = new Random(4);
        var bits = new ushort[rounds * Lanes.Count];
        for (int i = 0; i < bits.Length; i++)
            bits[i] = (ushort)random.Next(0x10000);

        fixed (float* pa = a, pb = b, pc = c)
        fixed (ushort* pbits = bits)
        {
            for (int i = 0; i < rounds * Lanes.Count; i += Lanes.Count)
                FloatTestData.AssertSameBits(
                    All<LanesScalar>(pa + i, pb + i, pc + i, pbits + i), All<TLanes>(pa + i, pb + i, pc + i, pbits + i), $"round {i / Lanes.Count}");
        }
    }

    /// <summary>The results of every member, one after another.</summary>
    private static float[] All<TLanes>(float* a, float* b, float* c, ushort* bits)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        // Every pattern of bits in both halves of a word, subnormal and large ones too.
        ushort* pairs = stackalloc ushort[2 * Lanes.Count];
        for (int i = 0; i < 2 * Lanes.Count; i++)
            pairs[i] = (ushort)(bits[i / 2] * (i + 1));
        TLanes x = TLanes.Load(a), y = TLanes.Load(b), z = TLanes.Load(c);
        float power = MathF.Round(Math.Clamp(float.IsNaN(*b) ? 0 : *b, -252f, 254f));
        TLanes[] results =
        [
            TLanes.Broadcast(*a), x, TLanes.LoadHalf(bits), TLanes.LoadBFloat(bits), TLanes.LoadDoubled(a),
            TLanes.LoadLowHalves((byte*)a), TLanes.LoadHighHalves((byte*)a), TLanes.LoadLowHalves((byte*)pairs), TLanes.LoadHighHalves((byte*)pairs),
            TLanes.LoadBytes((byte*)bits), TLanes.LoadLowNibbles((byte*)bits), TLanes.LoadHighNibbles((byte*)bits),
            TLanes.Add(x, y), TLanes.Subtract(x, y), TLanes.Multiply(x, y), TLanes.Divide(x, y), TLanes.Max(x, y), TLanes.Min(x, y),
            TLanes.FusedMultiplyAdd(x, y, z), TLanes.SwapPairs(x),
            TLanes.TimesPowerOfTwo(x, TLanes.Broadcast(power + Lanes.RoundShift)), FloatFunctions.Exp(x),
        ];
        var flat = new float[(results.Length * Lanes.Count) + 2];
        fixed (float* destination = flat)
        {
            for (int i = 0; i < results.Length; i++)
                TLanes.Store(results[i], destination + (i * Lanes.Count));
        }

        flat[^2] = TLanes.TreeSum(x);
        flat[^1] = TLanes.TreeMax(x);
        return flat;
    }
}
