using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Tern.Kernels;

/// <summary>The integer sums of one group of the low plane.</summary>
internal unsafe interface ILowGroup
{
    /// <summary>Adds to the eight sums at <paramref name="lanes"/>: fma(Σ of four columns codes · x − middles, factor, lane).</summary>
    /// <param name="codes">16 bytes of codes.</param>
    /// <param name="x">32 int8 codes of the hidden state.</param>
    /// <param name="middles">[8] 7.5 Σ x of each lane's columns.</param>
    /// <param name="factors">[groups] s · q.</param>
    /// <param name="groups">How many of them.</param>
    /// <param name="lanes">[8].</param>
    static abstract void Sum(byte* codes, sbyte* x, float* middles, float* factors, int groups, float* lanes);
}

/// <summary>
/// Tightens single rows with the low plane. Definition, in float32: per group the factor f = s · q; eight lanes, lane i over columns
/// 4i … 4i + 3, lane = fma(Σ codes · x − 7.5 Σ x, f, lane) over ascending groups, summed 4, 2, 1 apart; estimate += 2/15 · that sum. V in
/// sixteen lanes of groups, V = fma(s · s, C, V), and their tree.
/// </summary>
[SkipLocalsInit]
internal static unsafe class ScreenLow<TGroup, TLanes>
    where TGroup : struct, ILowGroup
    where TLanes : unmanaged, ILanes<TLanes>
{
    /// <summary>Groups whose factors are made at once.</summary>
    private const int PartGroups = 256;

    /// <summary>Replaces estimate and squared bound of the problem's rows [start, end).</summary>
    public static void Run(ScreenProblem* problem, int start, int end)
    {
        float* factors = stackalloc float[PartGroups];
        float* lanes = stackalloc float[PlaneHidden.GroupLanes];
        for (int i = start; i < end; i++)
        {
            int row = problem->Rows[i];
            byte* codes = problem->Low + (row * problem->LowRowBytes);
            var steps = (ushort*)(codes + (problem->Groups * HeadPlanes.LowGroupBytes));
            new Span<float>(lanes, PlaneHidden.GroupLanes).Clear();
            TLanes v = TLanes.Broadcast(0f);
            for (int first = 0; first < problem->Groups; first += PartGroups)
            {
                int count = Math.Min(PartGroups, problem->Groups - first);
                for (int group = 0; group < count; group += Lanes.Count)
                {
                    TLanes s = TLanes.LoadBFloat(steps + first + group);
                    TLanes.Store(TLanes.Multiply(s, TLanes.Load(problem->HiddenSteps + first + group)), factors + group);
                    v = TLanes.FusedMultiplyAdd(TLanes.Multiply(s, s), TLanes.Load(problem->LowTerms + first + group), v);
                }

                TGroup.Sum(
                    codes + (first * HeadPlanes.LowGroupBytes), problem->Codes + (first * HeadPlanes.GroupColumns),
                    problem->LaneMiddles + (first * PlaneHidden.GroupLanes), factors, count, lanes);
            }

            float sum = ((lanes[0] + lanes[4]) + (lanes[2] + lanes[6])) + ((lanes[1] + lanes[5]) + (lanes[3] + lanes[7]));
            problem->Estimates[row] += ScreenBound.LowStep * sum;
            problem->Squares[row] = TLanes.TreeSum(v) * problem->LowBound;
        }
    }
}

/// <summary>AVX2.</summary>
internal readonly unsafe struct LowGroupAvx2 : ILowGroup
{
    public static void Sum(byte* codes, sbyte* x, float* middles, float* factors, int groups, float* lanes)
    {
        Vector256<float> sum = Vector256.Load(lanes);
        for (int group = 0; group < groups; group++)
        {
            Vector128<byte> both = Vector128.Load(codes);
            Vector256<byte> bytes = Vector256.Create(both, (both.AsUInt16() >> 4).AsByte()) & Vector256.Create((byte)0x0F);
            Vector256<int> products = Avx2.MultiplyAddAdjacent(Avx2.MultiplyAddAdjacent(bytes, Vector256.Load(x)), Vector256<short>.One);
            Vector256<float> dot = Vector256.ConvertToSingle(products) - Vector256.Load(middles);
            sum = Fma.MultiplyAdd(dot, Vector256.Create(factors[group]), sum);
            codes += HeadPlanes.LowGroupBytes;
            x += HeadPlanes.GroupColumns;
            middles += PlaneHidden.GroupLanes;
        }

        sum.Store(lanes);
    }
}

/// <summary>The definition.</summary>
internal readonly unsafe struct LowGroupScalar : ILowGroup
{
    public static void Sum(byte* codes, sbyte* x, float* middles, float* factors, int groups, float* lanes)
    {
        const int laneColumns = HeadPlanes.GroupColumns / PlaneHidden.GroupLanes;
        for (int group = 0; group < groups; group++)
        {
            for (int lane = 0; lane < PlaneHidden.GroupLanes; lane++)
            {
                int products = 0;
                for (int column = lane * laneColumns; column < (lane + 1) * laneColumns; column++)
                {
                    int code = codes[column % HeadPlanes.LowGroupBytes];
                    products += (column < HeadPlanes.LowGroupBytes ? code & 0x0F : code >> 4) * x[column];
                }

                lanes[lane] = MathF.FusedMultiplyAdd(products - middles[lane], factors[group], lanes[lane]);
            }

            codes += HeadPlanes.LowGroupBytes;
            x += HeadPlanes.GroupColumns;
            middles += PlaneHidden.GroupLanes;
        }
    }
}
