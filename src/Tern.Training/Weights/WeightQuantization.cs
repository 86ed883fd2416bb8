using System.Diagnostics;
using System.Runtime.Intrinsics;
using Tern.Machine;

namespace Tern.Training.Weights;

/// <summary>
/// The quantizers of weights; training and export both use these. Rounding is half to even.
/// <code>
///   ternary   s = max(mean|W|, 1e-5)           code = clamp(round(w · (1 / s)), -1, 1)     value = code · s
///   binary    s = max(mean|W|, 1e-5)           code = w >= mean W ? +1 : -1                value = code · s
///   rows      s = mean of the |w| > cut, cut = 0.7 mean|row|     value = sign(w) · s where |w| > cut, else 0
///   N bits    s = max|row| / (2^(N-1) - 1)                     value = clamp(round(w / s)) · s
/// </code>
/// </summary>
internal static unsafe class WeightQuantization
{
    private const float ScaleFloor = 1e-5f;
    private const double CutOfMean = 0.7;

    // 1.5 · 2^23: adding it rounds magnitudes below 2^22 to a whole number, half to even.
    private const float RoundShift = 12582912f;

    /// <summary>Whether a tensor is codes times one scale, <see cref="Scale"/>, and not values.</summary>
    public static bool IsCodes(LinearPrecision precision) => precision is LinearPrecision.Ternary or LinearPrecision.Binary;

    /// <summary>A row by any quantizer: codes where <see cref="IsCodes"/>, else values.</summary>
    /// <param name="precision">Which.</param>
    /// <param name="bits">Of <see cref="LinearPrecision.Integer"/>.</param>
    /// <param name="weights">The row.</param>
    /// <param name="count">Its columns, a multiple of 16.</param>
    /// <param name="scale">Of the tensor, where it is codes.</param>
    /// <param name="mean">mean W of the tensor, of binary ones.</param>
    /// <param name="result">[count].</param>
    public static void Row(LinearPrecision precision, int bits, float* weights, int count, float scale, float mean, float* result)
    {
        switch (precision)
        {
            case LinearPrecision.Ternary:
                TernaryCodes(weights, count, scale, result);
                break;
            case LinearPrecision.Binary:
                BinaryCodes(weights, count, mean, result);
                break;
            case LinearPrecision.Integer:
                Round(weights, count, bits, result);
                break;
            case LinearPrecision.TernaryRows:
                TernaryRow(weights, count, result);
                break;
            case LinearPrecision.Full:
                new ReadOnlySpan<float>(weights, count).CopyTo(new Span<float>(result, count));
                break;
            default:
                throw new UnreachableException($"{precision} has no rule");
        }
    }

    /// <summary>The shares of the codes -1, 0 and +1 of a tensor, as its weights quantize to ternary.</summary>
    public static CodeShares Shares(Parameter parameter, float* weights)
    {
        using var codes = new NativeBuffer<float>(parameter.Columns);
        float scale = Scale(PanelSums(weights, parameter.Rows, parameter.Columns).Magnitude / parameter.Count);
        long minus = 0, plus = 0;
        for (int row = 0; row < parameter.Rows; row++)
        {
            TernaryCodes(weights + ((long)row * parameter.Columns), parameter.Columns, scale, codes.Pointer);
            foreach (float code in codes.Span)
            {
                minus += code < 0 ? 1 : 0;
                plus += code > 0 ? 1 : 0;
            }
        }

        double count = parameter.Count;
        return new CodeShares(parameter.Name, minus / count, (count - minus - plus) / count, plus / count);
    }

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
    /// <param name="values">[count] results.</param>
    public static void Round(float* weights, int count, int bits, float* values)
    {
        float limit = (1 << (bits - 1)) - 1, maximum = 0;
        for (int i = 0; i < count; i++)
            maximum = MathF.Max(maximum, MathF.Abs(weights[i]));
        float step = maximum / limit, inverse = maximum > 0 ? limit / maximum : 0;
        for (int i = 0; i < count; i++)
            values[i] = Math.Clamp(MathF.Round(weights[i] * inverse, MidpointRounding.ToEven), -limit, limit) * step;
    }
}
