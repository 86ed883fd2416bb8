using System.Runtime.CompilerServices;

namespace Tern.Kernels;

/// <summary>The definitions behind <see cref="Operations"/> that are more than a map over elements.</summary>
internal static unsafe class FloatOperations<TLanes>
    where TLanes : unmanaged, ILanes<TLanes>
{
    /// <summary>Elements of one block of <see cref="LogSumExp"/>, whose sum is a float; blocks are added up in double.</summary>
    private const int LogSumExpBlock = 4096;

    /// <summary>inv = 1 / sqrt(Σx² / count + epsilon), all in float; y = (x · inv) · weight.</summary>
    public static void RmsNorm(float* x, float* weight, int count, float epsilon, float* y)
    {
        float mean = FloatFunctions.SumOfSquares<TLanes>(x, count) / count;
        float inverse = 1f / MathF.Sqrt(mean + epsilon);
        FloatMaps.Run<TLanes, FloatMaps.ScaledProduct>(x, weight, inverse, y, count);
    }

    public static void L2Normalize(float* x, int count)
    {
        float norm = MathF.Sqrt(FloatFunctions.SumOfSquares<TLanes>(x, count));
        if (norm > 0)
            FloatMaps.Run<TLanes, FloatMaps.Quotient>(x, x, norm, x, count);
    }

    public static void Add(float* x, float* y, int count) => FloatMaps.Run<TLanes, FloatMaps.Sum>(x, y, 0f, x, count);

    public static void Scale(float* x, float factor, int count) => FloatMaps.Run<TLanes, FloatMaps.Scaled>(x, x, factor, x, count);

    public static void SiluGate(float* gate, float* up, float* y, int count) =>
        FloatMaps.Run<TLanes, FloatMaps.SiluGate>(gate, up, 0f, y, count);

    public static void SquaredReluGate(float* gate, float* up, float* y, int count) =>
        FloatMaps.Run<TLanes, FloatMaps.SquaredReluGate>(gate, up, 0f, y, count);

    public static void GeluGate(float* gate, float* up, float* y, int count) =>
        FloatMaps.Run<TLanes, FloatMaps.GeluGate>(gate, up, 0f, y, count);

    public static void RopeHalves(float* head, float* cosSin, int pairs)
    {
        float* first = head;
        float* second = head + pairs;
        float* sin = cosSin + pairs;
        int i = 0;
        for (; i <= pairs - Lanes.Count; i += Lanes.Count)
        {
            (TLanes a, TLanes b) = Rotate(TLanes.Load(first + i), TLanes.Load(second + i), TLanes.Load(cosSin + i), TLanes.Load(sin + i));
            TLanes.Store(a, first + i);
            TLanes.Store(b, second + i);
        }

        if (i < pairs)
        {
            int count = pairs - i;
            (TLanes a, TLanes b) = Rotate(
                Lanes.LoadFirst<TLanes>(first + i, count), Lanes.LoadFirst<TLanes>(second + i, count),
                Lanes.LoadFirst<TLanes>(cosSin + i, count), Lanes.LoadFirst<TLanes>(sin + i, count));
            Lanes.StoreFirst(a, first + i, count);
            Lanes.StoreFirst(b, second + i, count);
        }
    }

    public static void RopeAdjacent(float* head, float* cosSin, int pairs)
    {
        const int pairsPerStep = Lanes.Count / 2;

        float* sin = cosSin + pairs;
        TLanes signs = AlternatingSigns();
        int i = 0;
        for (; i <= pairs - pairsPerStep; i += pairsPerStep)
            TLanes.Store(
                RotateAdjacent(TLanes.Load(head + (2 * i)), TLanes.LoadDoubled(cosSin + i), TLanes.LoadDoubled(sin + i), signs),
                head + (2 * i));

        if (i < pairs)
        {
            int count = pairs - i;
            float* lastCos = stackalloc float[pairsPerStep];
            float* lastSin = stackalloc float[pairsPerStep];
            for (int j = 0; j < pairsPerStep; j++)
                (lastCos[j], lastSin[j]) = j < count ? (cosSin[i + j], sin[i + j]) : (0f, 0f);
            Lanes.StoreFirst(
                RotateAdjacent(
                    Lanes.LoadFirst<TLanes>(head + (2 * i), 2 * count), TLanes.LoadDoubled(lastCos), TLanes.LoadDoubled(lastSin), signs),
                head + (2 * i),
                2 * count);
        }
    }

    public static (float Max, double SumExp) LogSumExp(float* x, int count)
    {
        float max = FloatFunctions.Max<TLanes>(x, count);
        double sum = 0;
        for (int start = 0; start < count; start += LogSumExpBlock)
            sum += FloatFunctions.SumOfExp<TLanes>(x + start, Math.Min(LogSumExpBlock, count - start), max);
        return (max, sum);
    }

    /// <summary>(a, b) turned: a' = a·cos - (b·sin), b' = b·cos + (a·sin), the product in brackets rounded, the rest fused.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static (TLanes A, TLanes B) Rotate(TLanes a, TLanes b, TLanes cos, TLanes sin)
    {
        TLanes negativeSin = TLanes.Multiply(sin, TLanes.Broadcast(-1f));
        return (
            TLanes.FusedMultiplyAdd(a, cos, TLanes.Multiply(b, negativeSin)),
            TLanes.FusedMultiplyAdd(b, cos, TLanes.Multiply(a, sin)));
    }

    /// <summary>The same turn with a in even lanes and b in odd ones.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static TLanes RotateAdjacent(TLanes pairs, TLanes cos, TLanes sin, TLanes signs) =>
        TLanes.FusedMultiplyAdd(pairs, cos, TLanes.Multiply(TLanes.SwapPairs(pairs), TLanes.Multiply(sin, signs)));

    private static TLanes AlternatingSigns()
    {
        float* signs = stackalloc float[Lanes.Count];
        for (int i = 0; i < Lanes.Count; i++)
            signs[i] = i % 2 == 0 ? -1f : 1f;
        return TLanes.Load(signs);
    }
}
