using System.Numerics;

namespace Tern.Numerics;

/// <summary>
/// The two int8 forms of activations. Both round half to even and both are defined for every input:
/// <code>
/// per token:          m = max(max|x|, 1e-5),  s = 127 / m,  q = clamp(round(x * s), -128, 127)     value of a code = 1 / s
/// per block of 32:    m = max|x|,             s = 127 / m,  q = the same                           value of a code = m / 127
/// </code>
/// A token that holds a NaN or an infinity gets codes 0 and s = 0, so that dot / s is NaN and the fault shows in the output; such a block
/// gets codes 0 and the step NaN. A block whose 127 / m overflows (m below 3.8e-37, zero included) gets codes 0.
/// The scalar methods are the definition; the vector ones give the same bits on every machine (each step is one IEEE operation).
/// </summary>
internal static unsafe class ActivationQuantization
{
    /// <summary>Columns that share a scale in the block form.</summary>
    public const int BlockColumns = 32;

    /// <summary>The least maximum of a token, so that a token of zeros has a finite multiplier.</summary>
    public const float MaximumFloor = 1e-5f;

    private const int AbsoluteMask = 0x7FFF_FFFF;
    private const int InfinityBits = 0x7F80_0000;

    /// <summary>Quantizes one token.</summary>
    /// <param name="x">[count] activations.</param>
    /// <param name="count">Columns.</param>
    /// <param name="codes">[count] results.</param>
    /// <param name="sum">Σ codes.</param>
    /// <returns>The multiplier s.</returns>
    public static float QuantizeToken(float* x, int count, sbyte* codes, out int sum)
    {
        float multiplier = TokenMultiplier(MaximumBits(x, count));
        sum = Encode(x, count, multiplier, codes);
        return multiplier;
    }

    /// <summary>Quantizes one token in blocks of 32.</summary>
    /// <param name="x">[count] activations.</param>
    /// <param name="count">Columns, a multiple of 32.</param>
    /// <param name="codes">[count] results.</param>
    /// <param name="steps">[count / 32] the value of one code step of each block.</param>
    /// <param name="sums">[count / 32] Σ codes of each block.</param>
    public static void QuantizeBlocks(float* x, int count, sbyte* codes, float* steps, int* sums)
    {
        for (int block = 0; block < count / BlockColumns; block++, x += BlockColumns, codes += BlockColumns)
        {
            (float multiplier, steps[block]) = BlockMultiplier(MaximumBits(x, BlockColumns));
            sums[block] = Encode(x, BlockColumns, multiplier, codes);
        }
    }

    /// <summary>s of a token from the bits of max|x|.</summary>
    public static float TokenMultiplier(int maximumBits) =>
        maximumBits >= InfinityBits ? 0 : 127f / MathF.Max(BitConverter.Int32BitsToSingle(maximumBits), MaximumFloor);

    /// <summary>s and the step of a block from the bits of max|x|.</summary>
    public static (float Multiplier, float Step) BlockMultiplier(int maximumBits)
    {
        if (maximumBits >= InfinityBits)
            return (0, float.NaN);

        float maximum = BitConverter.Int32BitsToSingle(maximumBits);
        float multiplier = 127f / maximum;
        return (float.IsFinite(multiplier) ? multiplier : 0, maximum / 127f);
    }

    /// <summary>The bits of max|x|, compared as integers: the order of non-negative floats, with infinity and NaN above all of them.</summary>
    public static int MaximumBitsScalar(float* x, int count)
    {
        int maximum = 0;
        for (int i = 0; i < count; i++)
            maximum = Math.Max(maximum, BitConverter.SingleToInt32Bits(x[i]) & AbsoluteMask);
        return maximum;
    }

    /// <summary>codes[i] = clamp(round(x[i] * multiplier), -128, 127), all 0 when the multiplier is 0; returns their sum.</summary>
    public static int EncodeScalar(float* x, int count, float multiplier, sbyte* codes)
    {
        int sum = 0;
        for (int i = 0; i < count; i++)
        {
            codes[i] = multiplier == 0 ? (sbyte)0 : (sbyte)Math.Clamp(MathF.Round(x[i] * multiplier, MidpointRounding.ToEven), -128f, 127f);
            sum += codes[i];
        }

        return sum;
    }

    /// <inheritdoc cref="MaximumBitsScalar"/>
    public static int MaximumBits(float* x, int count)
    {
        if (!Vector.IsHardwareAccelerated)
            return MaximumBitsScalar(x, count);

        var mask = new Vector<int>(AbsoluteMask);
        Vector<int> lanes = Vector<int>.Zero;
        int done = 0;
        for (; done <= count - Vector<float>.Count; done += Vector<float>.Count)
            lanes = Vector.Max(lanes, Vector.Load((int*)x + done) & mask);

        int maximum = MaximumBitsScalar(x + done, count - done);
        for (int lane = 0; lane < Vector<int>.Count; lane++)
            maximum = Math.Max(maximum, lanes[lane]);
        return maximum;
    }

    /// <inheritdoc cref="EncodeScalar"/>
    public static int Encode(float* x, int count, float multiplier, sbyte* codes)
    {
        if (!Vector.IsHardwareAccelerated || multiplier == 0)
            return EncodeScalar(x, count, multiplier, codes);

        int width = Vector<float>.Count;
        Vector<int> sums = Vector<int>.Zero;
        int done = 0;
        for (; done <= count - 4 * width; done += 4 * width)
        {
            Vector<int> a = RoundAndClamp(x + done, multiplier);
            Vector<int> b = RoundAndClamp(x + done + width, multiplier);
            Vector<int> c = RoundAndClamp(x + done + 2 * width, multiplier);
            Vector<int> d = RoundAndClamp(x + done + 3 * width, multiplier);
            sums += a + b + (c + d);
            Vector.Narrow(Vector.Narrow(a, b), Vector.Narrow(c, d)).Store(codes + done);
        }

        return Vector.Sum(sums) + EncodeScalar(x + done, count - done, multiplier, codes + done);
    }

    private static Vector<int> RoundAndClamp(float* x, float multiplier)
    {
        Vector<float> rounded = Vector.Round(Vector.Load(x) * multiplier, MidpointRounding.ToEven);
        return Vector.ConvertToInt32(Vector.Min(Vector.Max(rounded, new Vector<float>(-128f)), new Vector<float>(127f)));
    }
}
