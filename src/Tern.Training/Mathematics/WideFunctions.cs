using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Tern.Training.Mathematics;

/// <summary>Functions of sixteen floats for losses and gradients, where the engine has no counterpart that they must equal.</summary>
internal static class WideFunctions
{
    /// <summary>
    /// e^x to about one unit in the last place: x = n ln 2 + r, a polynomial of degree 6 in r, 2^n put into the exponent. Below -60 it is
    /// zero: a sum with e^0 in it does not notice, and products of smaller numbers would leave the normal floats, where processors are slow. Above 88
    /// it stays at e^88. NaN stays NaN.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Exp(Vector512<float> x)
    {
        const float roundShift = 12582912f; // 1.5 · 2^23

        Vector512<float> isNothing = Vector512.LessThan(x, Vector512.Create(-60f)), value = Vector512.ConditionalSelect(isNothing, Vector512<float>.Zero, x);
        value = Vector512.ConditionalSelect(Vector512.GreaterThan(value, Vector512.Create(88f)), Vector512.Create(88f), value);
        Vector512<float> shifted = Vector512.FusedMultiplyAdd(value, Vector512.Create(1.44269504f), Vector512.Create(roundShift));
        Vector512<float> n = shifted - Vector512.Create(roundShift);
        Vector512<float> r = Vector512.FusedMultiplyAdd(n, Vector512.Create(-0.693147182f), value);
        r = Vector512.FusedMultiplyAdd(n, Vector512.Create(1.90465421e-9f), r);
        Vector512<float> power = Vector512.Create(1f / 720);
        power = Vector512.FusedMultiplyAdd(power, r, Vector512.Create(1f / 120));
        power = Vector512.FusedMultiplyAdd(power, r, Vector512.Create(1f / 24));
        power = Vector512.FusedMultiplyAdd(power, r, Vector512.Create(1f / 6));
        power = Vector512.FusedMultiplyAdd(power, r, Vector512.Create(0.5f));
        power = Vector512.FusedMultiplyAdd(power, r, Vector512<float>.One);
        power = Vector512.FusedMultiplyAdd(power, r, Vector512<float>.One);
        return Vector512.AndNot((power.AsInt32() + (shifted.AsInt32() << 23)).AsSingle(), isNothing);
    }

    /// <summary>1 / (1 + e^-x).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Sigmoid(Vector512<float> x) => Vector512<float>.One / (Vector512<float>.One + Exp(-x));

    /// <summary>The sum of an array in sixteen lanes.</summary>
    public static unsafe double SumOfSquares(float* x, long count)
    {
        Vector512<float> sums = default;
        for (long i = 0; i < count; i += 16)
        {
            Vector512<float> v = Vector512.Load(x + i);
            sums = Vector512.FusedMultiplyAdd(v, v, sums);
        }

        double sum = 0;
        for (int lane = 0; lane < 16; lane++)
            sum += sums[lane];
        return sum;
    }
}
