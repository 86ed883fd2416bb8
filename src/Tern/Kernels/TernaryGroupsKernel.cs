using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Tern.Kernels;

/// <summary>
/// The ternary matmul with a scale per group of columns: each group is an exact integer dot product, and the groups of a row are added
/// in their order by fused multiply-add. Rare (TQ files whose scales differ inside a row), so it has no tiles of tokens.
/// </summary>
internal static unsafe class TernaryGroupsKernel<TIsa>
    where TIsa : struct, ITernaryIsa
{
    /// <summary>Groups whose Σ a are made at once: bounds the stack.</summary>
    private const int RoundGroups = 128;

    [SkipLocalsInit]
    public static void Run(MatMulProblem* problem, int start, int end)
    {
        int groups = (problem->Columns + problem->ScaleColumns - 1) / problem->ScaleColumns;
        int* groupSums = stackalloc int[RoundGroups];
        for (int token = 0; token < problem->Tokens; token++)
        {
            sbyte* x = problem->Codes + (long)token * problem->CodeStride;
            float* y = problem->Output + token * problem->OutputStride;
            for (int first = 0; first < groups; first += RoundGroups)
            {
                int last = Math.Min(first + RoundGroups, groups);
                for (int group = first; group < last; group++)
                    groupSums[group - first] = SumCodes(problem, x, group);
                for (int row = start; row < end; row += 4)
                    AddGroups(problem, x, y, row, end, (first, last, groups), groupSums);
            }

            for (int row = start; row < end; row++)
                y[row] /= problem->Scales[token];
        }
    }

    /// <summary>Continues the sums of up to four rows, which wait in y between rounds, with groups [first, last).</summary>
    private static void AddGroups(MatMulProblem* problem, sbyte* x, float* y, int row, int end, (int First, int Last, int Count) groups, int* groupSums)
    {
        int rows = Math.Min(4, end - row);
        for (int group = groups.First; group < groups.Last; group++)
        {
            int column = group * problem->ScaleColumns;
            int blocks = (Math.Min(problem->ScaleColumns, problem->Columns - column) + 127) / 128;
            byte* weights = problem->Weights + row * problem->RowBytes + column / 4;
            byte* row1 = weights + Math.Min(1, rows - 1) * problem->RowBytes;
            byte* row2 = weights + Math.Min(2, rows - 1) * problem->RowBytes;
            byte* row3 = weights + (rows - 1) * problem->RowBytes;
            Vector128<int> sums = TIsa.Dot4(weights, row1, row2, row3, x + column, blocks, weights);
            for (int i = 0; i < rows; i++)
            {
                float dot = sums[i] - groupSums[group - groups.First];
                float scale = problem->RowScales[(long)(row + i) * groups.Count + group];
                y[row + i] = MathF.FusedMultiplyAdd(scale, dot, group == 0 ? 0 : y[row + i]);
            }
        }
    }

    private static int SumCodes(MatMulProblem* problem, sbyte* x, int group)
    {
        int sum = 0;
        int first = group * problem->ScaleColumns;
        int last = Math.Min(first + problem->ScaleColumns, problem->Columns);
        for (int column = first; column < last; column++)
            sum += x[column];
        return sum;
    }
}
