using System.Runtime.Intrinsics;

namespace Tern.Numerics;

/// <summary>
/// How float weights become ternary in BitNet b1.58 (Ma et al. 2024), in training as in every file that is made of it:
/// <code>
///   scale = max(mean |w|, 1e-5)         code = clamp(round(w · (1 / scale)), -1, 1), halves to even, in float32
/// </code>
/// The product with the rounded inverse and not the quotient decides near a tie, because training computes it so. Multiplying by one number
/// never swaps two weights, so that a single cut says the same: code = (w &gt; cut) - (w &lt; -cut).
/// </summary>
internal static class AbsMean
{
    private const float ScaleMin = 1e-5f;

    /// <summary>The scale of weights whose magnitudes have this mean. NaN stays NaN, so that it is refused.</summary>
    public static float Scale(double mean) => MathF.Max((float)mean, ScaleMin);

    /// <summary>The largest magnitude that becomes 0.</summary>
    public static float Cut(float scale)
    {
        float inverse = 1 / scale;
        float cut = 0.5f / inverse;
        while (cut * inverse > 0.5f)
            cut = MathF.BitDecrement(cut);
        while (MathF.BitIncrement(cut) * inverse <= 0.5f)
            cut = MathF.BitIncrement(cut);
        return cut;
    }

    /// <summary>Codes of weights; NaN becomes 0.</summary>
    /// <param name="weights">Any number of them.</param>
    /// <param name="cut">What <see cref="Cut"/> says of their scale.</param>
    /// <param name="codes">As many.</param>
    public static void Round(ReadOnlySpan<float> weights, float cut, Span<sbyte> codes)
    {
        int i = 0;
        Vector256<float> above = Vector256.Create(cut), below = Vector256.Create(-cut);
        for (; i <= weights.Length - 32; i += 32)
        {
            Vector256<short> low = Vector256.Narrow(Codes(weights[i..]), Codes(weights[(i + 8)..]));
            Vector256<short> high = Vector256.Narrow(Codes(weights[(i + 16)..]), Codes(weights[(i + 24)..]));
            Vector256.Narrow(low, high).CopyTo(codes[i..]);
        }

        for (; i < weights.Length; i++)
            codes[i] = (sbyte)((weights[i] > cut ? 1 : 0) - (weights[i] < -cut ? 1 : 0));

        // A comparison that holds is -1 in every bit.
        Vector256<int> Codes(ReadOnlySpan<float> eight)
        {
            Vector256<float> w = Vector256.Create(eight);
            return Vector256.LessThan(w, below).AsInt32() - Vector256.GreaterThan(w, above).AsInt32();
        }
    }
}
