using System.Runtime.Intrinsics;

namespace Tern.Kernels;

/// <summary>
/// Unbiased rounding: a number between two codes becomes the upper one with the probability that makes the expectation right, so the errors
/// of a row are independent, have mean 0 and lie within one step each, which is what Hoeffding's inequality asks for. The random numbers are
/// a hash of row and column, so that a matrix has the same planes on every machine:
/// <code>
/// y = w / s + 7.5        high = ⌊y + u⌋          u, v: the upper and lower 16 bits of the hash, as (bits + 1/2) / 2^16
/// z = 7.5 (y − high + 1)  low = ⌊z + v⌋
/// </code>
/// Sixteen bits leave a bias of at most 2^-17 steps, float rounding less than that again; <see cref="ScreenBound"/> counts both in.
/// </summary>
internal static unsafe class PlaneDither
{
    /// <summary>bfloat16 infinity.</summary>
    public const ushort InfiniteStep = 0x7F80;

    /// <summary>Steps are at least this, so that no square of one vanishes.</summary>
    private const float StepMin = 1f / (1L << 34);

    /// <summary>Steps are at most this, so that no sum of squares overflows.</summary>
    private const float StepMax = 1 << 20;

    private const float Unit = 1f / (1 << 16);
    private const int CodeMax = 15;

    /// <summary>Where the random numbers of a row start.</summary>
    public static uint SeedOf(int row) => Mix(unchecked((uint)row + 0x7E57A11Eu));

    /// <summary>The random bits of a column: a hash with full avalanche on 32 bits (constants found by C. Wellons, "lowbias32").</summary>
    public static uint Bits(uint seed, uint column) => Mix(unchecked(seed + (column * 0x9E3779B9u)));

    /// <summary>The step of a group as a bfloat16 that is above max|w| / 7.5; false when the weights are too large or no numbers.</summary>
    public static bool TryStep(ReadOnlySpan<float> weights, out ushort step)
    {
        // The bits of magnitudes order like the numbers, and NaN comes last.
        Vector256<int> most = Vector256<int>.Zero;
        for (int i = 0; i < HeadPlanes.GroupColumns; i += Vector256<int>.Count)
            most = Vector256.Max(most, Vector256.Create(weights[i..]).AsInt32() & Vector256.Create(int.MaxValue));
        int largest = 0;
        for (int i = 0; i < Vector256<int>.Count; i++)
            largest = Math.Max(largest, most[i]);

        float magnitude = BitConverter.Int32BitsToSingle(largest);
        bool bounded = magnitude <= StepMax * HeadPlanes.Middle / 2;
        float exact = bounded ? Math.Max(magnitude / HeadPlanes.Middle, StepMin) : StepMin;
        step = (ushort)((BitConverter.SingleToInt32Bits(exact) + 0x10000) >> 16);
        return bounded;
    }

    /// <summary>Rounds the 32 weights of a group.</summary>
    /// <param name="weights">32 weights.</param>
    /// <param name="step">Their step.</param>
    /// <param name="seed">Of the row.</param>
    /// <param name="column">The first one's column.</param>
    /// <param name="high">The row's place in the group's first columns.</param>
    /// <param name="low">16 bytes.</param>
    public static void Encode(ReadOnlySpan<float> weights, ushort step, uint seed, uint column, byte* high, byte* low)
    {
        const int strip = 8;
        float inverse = 1 / BitConverter.Int32BitsToSingle(step << 16);
        ulong* lowHalves = stackalloc ulong[HeadPlanes.GroupColumns / strip];
        for (int part = 0; part < HeadPlanes.GroupColumns / strip; part++)
        {
            Vector256<uint> random = Bits(seed, Vector256.Create(column + (uint)(part * strip)) + Vector256<uint>.Indices);
            Vector256<float> u = Share(random >> 16);
            Vector256<float> v = Share(random & Vector256.Create(0xFFFFu));
            Vector256<float> y = (Vector256.Create(weights[(part * strip)..]) * inverse) + Vector256.Create(HeadPlanes.Middle);
            Vector256<int> upper = Code(y + u);
            Vector256<float> z = (y - Vector256.ConvertToSingle(upper) + Vector256<float>.One) * HeadPlanes.Middle;
            Vector256<int> lower = Code(z + v);

            ulong codes = Bytes(upper);
            *(uint*)(high + (part * HeadPlanes.BlockRows * sizeof(uint))) = (uint)codes | (uint)(codes >> 32) << 4;
            lowHalves[part] = Bytes(lower);
        }

        ((ulong*)low)[0] = lowHalves[0] | lowHalves[2] << 4;
        ((ulong*)low)[1] = lowHalves[1] | lowHalves[3] << 4;
    }

    private static uint Mix(uint x)
    {
        unchecked
        {
            x = (x ^ (x >> 16)) * 0x7FEB352Du;
            x = (x ^ (x >> 15)) * 0x846CA68Bu;
            return x ^ (x >> 16);
        }
    }

    /// <summary><see cref="Bits(uint, uint)"/> of eight columns.</summary>
    private static Vector256<uint> Bits(uint seed, Vector256<uint> column)
    {
        Vector256<uint> x = Vector256.Create(seed) + (column * 0x9E3779B9u);
        x = (x ^ (x >> 16)) * 0x7FEB352Du;
        x = (x ^ (x >> 15)) * 0x846CA68Bu;
        return x ^ (x >> 16);
    }

    /// <summary>16 bits as a number in (0, 1).</summary>
    private static Vector256<float> Share(Vector256<uint> bits) =>
        (Vector256.ConvertToSingle(bits.AsInt32()) + Vector256.Create(0.5f)) * Unit;

    /// <summary>⌊x⌋ of numbers that are not negative but for rounding, within the codes.</summary>
    private static Vector256<int> Code(Vector256<float> x) =>
        Vector256.Clamp(Vector256.ConvertToInt32Native(x), Vector256<int>.Zero, Vector256.Create(CodeMax));

    /// <summary>Eight codes as eight bytes.</summary>
    private static ulong Bytes(Vector256<int> codes)
    {
        Vector128<short> shorts = Vector128.Narrow(codes.GetLower(), codes.GetUpper());
        return Vector128.Narrow(shorts, shorts).AsUInt64().ToScalar();
    }
}
