using System.Runtime.CompilerServices;

namespace Tern.Kernels;

/// <summary>What happens to one element: y = Apply(a, b, parameter).</summary>
internal interface IFloatMap
{
    /// <summary>Sixteen elements at once; lanes do not see each other.</summary>
    static abstract TLanes Apply<TLanes>(TLanes a, TLanes b, TLanes parameter)
        where TLanes : unmanaged, ILanes<TLanes>;
}

/// <summary>The loop over elements and tails, written once for all maps.</summary>
internal static unsafe class FloatMaps
{
    /// <summary>y[i] = Apply(a[i], b[i], parameter); y may be a or b.</summary>
    public static void Run<TLanes, TMap>(float* a, float* b, float parameter, float* y, int count)
        where TLanes : unmanaged, ILanes<TLanes>
        where TMap : IFloatMap
    {
        TLanes parameters = TLanes.Broadcast(parameter);
        int whole = count - (count % Lanes.Count);
        for (int i = 0; i < whole; i += Lanes.Count)
            TLanes.Store(TMap.Apply(TLanes.Load(a + i), TLanes.Load(b + i), parameters), y + i);
        if (whole < count)
            RunTail<TLanes, TMap>(a + whole, b + whole, parameter, y + whole, count - whole);
    }

    /// <summary>Fewer than sixteen elements: the same loop over copies that fill the lanes, so its body stands in one place only.</summary>
    private static void RunTail<TLanes, TMap>(float* a, float* b, float parameter, float* y, int count)
        where TLanes : unmanaged, ILanes<TLanes>
        where TMap : IFloatMap
    {
        float* lastA = stackalloc float[Lanes.Count];
        float* lastB = stackalloc float[Lanes.Count];
        Lanes.CopyFirst(a, count, 0f, lastA);
        Lanes.CopyFirst(b, count, 0f, lastB);
        Run<TLanes, TMap>(lastA, lastB, parameter, lastA, Lanes.Count);
        new ReadOnlySpan<float>(lastA, count).CopyTo(new Span<float>(y, count));
    }

    /// <summary>a + b.</summary>
    public readonly struct Sum : IFloatMap
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static TLanes Apply<TLanes>(TLanes a, TLanes b, TLanes parameter)
            where TLanes : unmanaged, ILanes<TLanes> => TLanes.Add(a, b);
    }

    /// <summary>a · parameter; b is not looked at.</summary>
    public readonly struct Scaled : IFloatMap
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static TLanes Apply<TLanes>(TLanes a, TLanes b, TLanes parameter)
            where TLanes : unmanaged, ILanes<TLanes> => TLanes.Multiply(a, parameter);
    }

    /// <summary>a / parameter; b is not looked at.</summary>
    public readonly struct Quotient : IFloatMap
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static TLanes Apply<TLanes>(TLanes a, TLanes b, TLanes parameter)
            where TLanes : unmanaged, ILanes<TLanes> => TLanes.Divide(a, parameter);
    }

    /// <summary>(a · parameter) · b.</summary>
    public readonly struct ScaledProduct : IFloatMap
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static TLanes Apply<TLanes>(TLanes a, TLanes b, TLanes parameter)
            where TLanes : unmanaged, ILanes<TLanes> => TLanes.Multiply(TLanes.Multiply(a, parameter), b);
    }

    /// <summary>silu(a) · b.</summary>
    public readonly struct SiluGate : IFloatMap
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static TLanes Apply<TLanes>(TLanes a, TLanes b, TLanes parameter)
            where TLanes : unmanaged, ILanes<TLanes> => TLanes.Multiply(FloatFunctions.TimesSigmoid(a, a), b);
    }

    /// <summary>max(a, 0)² · b; NaN stays NaN.</summary>
    public readonly struct SquaredReluGate : IFloatMap
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static TLanes Apply<TLanes>(TLanes a, TLanes b, TLanes parameter)
            where TLanes : unmanaged, ILanes<TLanes>
        {
            TLanes positive = TLanes.Max(TLanes.Broadcast(0f), a);
            return TLanes.Multiply(TLanes.Multiply(positive, positive), b);
        }
    }

    /// <summary>gelu(a) · b with gelu(v) = v · sigmoid(2 √(2/π) (v + 0.044715 v³)), which is the tanh form.</summary>
    public readonly struct GeluGate : IFloatMap
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static TLanes Apply<TLanes>(TLanes a, TLanes b, TLanes parameter)
            where TLanes : unmanaged, ILanes<TLanes>
        {
            const float linear = 1.5957691216f;
            const float cubic = linear * 0.044715f;

            TLanes square = TLanes.Multiply(a, a);
            TLanes slope = TLanes.FusedMultiplyAdd(square, TLanes.Broadcast(cubic), TLanes.Broadcast(linear));
            return TLanes.Multiply(FloatFunctions.TimesSigmoid(a, TLanes.Multiply(a, slope)), b);
        }
    }
}
