using System.Runtime.CompilerServices;

namespace Tern.Kernels;

/// <summary>Functions of sixteen lanes, each one chain of IEEE operations.</summary>
internal static unsafe class FloatFunctions
{
    /// <summary>
    /// e^value, within one unit in the last place. Exactly 0 below -104 and for -∞, +∞ above 88.8, NaN stays NaN, exp(±0) = 1.
    /// <para>
    /// value = n · ln 2 + r with |r| ≤ ln 2 / 2; ln 2 comes in two parts, so r is exact but for its last rounding. e^r is a polynomial of
    /// degree 6 (minimax of the relative error with 1 + r fixed: 3.1e-9), and 2^n goes into the exponent.
    /// </para>
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TLanes Exp<TLanes>(TLanes value)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        const float log2E = 1.44269504f;
        const float ln2High = 0.693147182f;
        const float ln2Low = -1.90465421e-9f;

        value = TLanes.Max(TLanes.Broadcast(-105f), value);
        value = TLanes.Min(TLanes.Broadcast(89f), value);

        TLanes shift = TLanes.Broadcast(Lanes.RoundShift);
        TLanes shifted = TLanes.FusedMultiplyAdd(value, TLanes.Broadcast(log2E), shift);
        TLanes n = TLanes.Subtract(shifted, shift);
        TLanes r = TLanes.FusedMultiplyAdd(n, TLanes.Broadcast(-ln2High), value);
        r = TLanes.FusedMultiplyAdd(n, TLanes.Broadcast(-ln2Low), r);

        TLanes one = TLanes.Broadcast(1f);
        TLanes power = TLanes.FusedMultiplyAdd(TLanes.Broadcast(0.00138145406f), r, TLanes.Broadcast(0.00836874545f));
        power = TLanes.FusedMultiplyAdd(power, r, TLanes.Broadcast(0.0416683890f));
        power = TLanes.FusedMultiplyAdd(power, r, TLanes.Broadcast(0.166665211f));
        power = TLanes.FusedMultiplyAdd(power, r, TLanes.Broadcast(0.499999940f));
        power = TLanes.FusedMultiplyAdd(power, r, one);
        power = TLanes.FusedMultiplyAdd(power, r, one);
        return TLanes.TimesPowerOfTwo(power, shifted);
    }

    /// <summary>value / (1 + e^-argument): silu for argument = value.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TLanes TimesSigmoid<TLanes>(TLanes value, TLanes argument)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        TLanes negative = TLanes.Subtract(TLanes.Broadcast(0f), argument);
        return TLanes.Divide(value, TLanes.Add(TLanes.Broadcast(1f), Exp(negative)));
    }

    /// <summary>
    /// Σ x[i]². While 64 remain, four chains of sixteen lanes take sixteen each; the rest goes to the first chain; then
    /// (chain 0 + chain 1) + (chain 2 + chain 3), and the tree.
    /// </summary>
    public static float SumOfSquares<TLanes>(float* x, int count)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        int whole = count - (count % Lanes.Count);
        float* last = stackalloc float[Lanes.Count];
        Lanes.CopyFirst(x + whole, count - whole, 0f, last);

        TLanes sum0 = TLanes.Broadcast(0f), sum1 = sum0, sum2 = sum0, sum3 = sum0;
        int i = 0;
        for (; i <= whole - (4 * Lanes.Count); i += 4 * Lanes.Count)
        {
            TLanes x0 = TLanes.Load(x + i);
            TLanes x1 = TLanes.Load(x + i + Lanes.Count);
            TLanes x2 = TLanes.Load(x + i + (2 * Lanes.Count));
            TLanes x3 = TLanes.Load(x + i + (3 * Lanes.Count));
            sum0 = TLanes.FusedMultiplyAdd(x0, x0, sum0);
            sum1 = TLanes.FusedMultiplyAdd(x1, x1, sum1);
            sum2 = TLanes.FusedMultiplyAdd(x2, x2, sum2);
            sum3 = TLanes.FusedMultiplyAdd(x3, x3, sum3);
        }

        for (; i < whole; i += Lanes.Count)
        {
            TLanes x0 = TLanes.Load(x + i);
            sum0 = TLanes.FusedMultiplyAdd(x0, x0, sum0);
        }

        TLanes tail = TLanes.Load(last);
        sum0 = TLanes.FusedMultiplyAdd(tail, tail, sum0);
        return TLanes.TreeSum(TLanes.Add(TLanes.Add(sum0, sum1), TLanes.Add(sum2, sum3)));
    }

    /// <summary>The largest x[i], NaN ignored; -∞ when there is none.</summary>
    public static float Max<TLanes>(float* x, int count)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        int whole = count - (count % Lanes.Count);
        float* last = stackalloc float[Lanes.Count];
        Lanes.CopyFirst(x + whole, count - whole, float.NegativeInfinity, last);

        TLanes max = TLanes.Broadcast(float.NegativeInfinity);
        for (int i = 0; i < whole; i += Lanes.Count)
            max = TLanes.Max(TLanes.Load(x + i), max);
        return TLanes.TreeMax(TLanes.Max(TLanes.Load(last), max));
    }

    /// <summary>Σ exp(x[i] - max), lane = i mod 16, then the tree.</summary>
    public static float SumOfExp<TLanes>(float* x, int count, float max)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        int whole = count - (count % Lanes.Count);
        float* last = stackalloc float[Lanes.Count];
        Lanes.CopyFirst(x + whole, count - whole, float.NegativeInfinity, last);

        TLanes sum = TLanes.Broadcast(0f);
        TLanes maxima = TLanes.Broadcast(max);
        for (int i = 0; i < whole; i += Lanes.Count)
            sum = TLanes.Add(sum, Exp(TLanes.Subtract(TLanes.Load(x + i), maxima)));
        if (whole < count)
            sum = TLanes.Add(sum, Exp(TLanes.Subtract(TLanes.Load(last), maxima)));
        return TLanes.TreeSum(sum);
    }

    /// <summary>x[i] = exp(x[i] - max); gives the sum as <see cref="SumOfExp"/> does.</summary>
    public static float ExpInPlace<TLanes>(float* x, int count, float max)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        int whole = count - (count % Lanes.Count);
        float* last = stackalloc float[Lanes.Count];
        Lanes.CopyFirst(x + whole, count - whole, float.NegativeInfinity, last);

        TLanes sum = TLanes.Broadcast(0f);
        TLanes maxima = TLanes.Broadcast(max);
        for (int i = 0; i < whole; i += Lanes.Count)
        {
            TLanes e = Exp(TLanes.Subtract(TLanes.Load(x + i), maxima));
            TLanes.Store(e, x + i);
            sum = TLanes.Add(sum, e);
        }

        if (whole < count)
        {
            TLanes e = Exp(TLanes.Subtract(TLanes.Load(last), maxima));
            TLanes.Store(e, last);
            for (int i = whole; i < count; i++)
                x[i] = last[i - whole];
            sum = TLanes.Add(sum, e);
        }

        return TLanes.TreeSum(sum);
    }
}
