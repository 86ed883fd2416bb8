using System.Runtime.Intrinsics;

namespace Tern.Training.Weights;

/// <summary>
/// The quantizers of weights; training and export both use these. Rounding is half to even.
/// <code>
///   ternary   s = max(mean|W|, 1e-5)           code = clamp(round(w · (1 / s)), -1, 1)     value = code · s
///   binary    s = max(mean|W|, 1e-5)           code = w >= mean W ? +1 : -1                value = code · s
///   rows      s = mean of the |w| > cut, cut = 0.7 mean|row|     value = sign(w) · s where |w| > cut, else 0
///   N bits    s = max|w| of the group / (2^(N-1) - 1)     value = clamp(round(w / s)) · s
/// </code>
/// </summary>
internal static unsafe class WeightQuantization
{
    private const float ScaleFloor = 1e-5f;
    private const double CutOfMean = 0.7;

    // 1.5 · 2^23: adding it rounds magnitudes below 2^22 to a whole number, half to even.
    private const float RoundShift = 12582912f;

    /// <summary>s of ternary and binary tensors from mean|W|.</summary>
    public static float Scale(double meanMagnitude) => MathF.Max((float)meanMagnitude, ScaleFloor);

    /// <summary>Σ|w| and Σw of a few rows: sixteen float lanes within a row, double over rows.</summary>
    public static (double Magnitude, double Sum) Sums(float* weights, int rows, int columns)
    {
        double magnitude = 0, sum = 0;
        for (int row = 0; row < rows; row++, weights += columns)
        {
            Vector512<float> magnitudes = default, sums = default;
            for (int i = 0; i < columns; i += 16)
            {
                Vector512<float> w = Vector512.Load(weights + i);
                magnitudes += Vector512.Abs(w);
                sums += w;
            }

            magnitude += Vector512.Sum(magnitudes);
            sum += Vector512.Sum(sums);
        }

        return (magnitude, sum);
    }

    /// <summary>Σ|w| and Σw of a tensor: <see cref="Sums"/> of 32 rows at a time, added up in their order, as every pass over a tensor does.</summary>
    public static (double Magnitude, double Sum) PanelSums(float* weights, int rows, int columns)
    {
        double magnitude = 0, sum = 0;
        for (int row = 0; row < rows; row += ModelShape.Granule)
        {
            (double m, double s) = Sums(weights + ((long)row * columns), ModelShape.Granule, columns);
            magnitude += m;
            sum += s;
        }

        return (magnitude, sum);
    }

    /// <summary>Codes -1, 0, +1 as floats.</summary>
    public static void TernaryCodes(float* weights, int count, float scale, float* codes)
    {
        Vector512<float> inverse = Vector512.Create(1f / scale);
        for (int i = 0; i < count; i += 16)
        {
            Vector512<float> limited = Vector512.Min(Vector512.Max(Vector512.Load(weights + i) * inverse, Vector512.Create(-1f)), Vector512<float>.One);
            (limited + Vector512.Create(RoundShift) - Vector512.Create(RoundShift)).Store(codes + i);
        }
    }

    /// <summary>Codes -1, +1 as floats.</summary>
    public static void BinaryCodes(float* weights, int count, float mean, float* codes)
    {
        for (int i = 0; i < count; i += 16)
        {
            Vector512<float> w = Vector512.Load(weights + i);
            Vector512<float> sign = Vector512.ConditionalSelect(Vector512.LessThan(w, Vector512.Create(mean)), Vector512.Create(-1f), Vector512<float>.One);
            // A NaN stays one: the loss then tells.
            Vector512.ConditionalSelect(Vector512.Equals(w, w), sign, w).Store(codes + i);
        }
    }

    /// <summary>Values of a row by the rule of ternary weight networks: the cut, and the scale with the least squared error for what is above it.</summary>
    /// <param name="weights">A row.</param>
    /// <param name="count">Its columns.</param>
    /// <param name="values">[count] results.</param>
    public static void TernaryRow(float* weights, int count, float* values)
    {
        double all = 0, above = 0;
        for (int i = 0; i < count; i++)
            all += MathF.Abs(weights[i]);
        float cut = (float)(CutOfMean * all / count);
        int kept = 0;
        for (int i = 0; i < count; i++)
        {
            float magnitude = MathF.Abs(weights[i]);
            if (magnitude <= cut)
                continue;
            above += magnitude;
            kept++;
        }

        float scale = (float)(above / Math.Max(1, kept));
        for (int i = 0; i < count; i++)
            values[i] = MathF.Abs(weights[i]) <= cut ? 0 : MathF.CopySign(scale, weights[i]);
    }

    /// <summary>Values of symmetric integers.</summary>
    /// <param name="weights">A row.</param>
    /// <param name="count">Its columns.</param>
    /// <param name="bits">2 to 8.</param>
    /// <param name="group">Columns that share a scale; 0, or more than the row has, is the row.</param>
    /// <param name="values">[count] results.</param>
    public static void Round(float* weights, int count, int bits, int group, float* values)
    {
        float limit = (1 << (bits - 1)) - 1;
        int size = group == 0 ? count : Math.Min(group, count);
        for (int first = 0; first < count; first += size)
        {
            int end = Math.Min(first + size, count);
            float maximum = 0;
            for (int i = first; i < end; i++)
                maximum = MathF.Max(maximum, MathF.Abs(weights[i]));
            float step = maximum / limit, inverse = maximum > 0 ? limit / maximum : 0;
            for (int i = first; i < end; i++)
                values[i] = Math.Clamp(MathF.Round(weights[i] * inverse, MidpointRounding.ToEven), -limit, limit) * step;
        }
    }
}
