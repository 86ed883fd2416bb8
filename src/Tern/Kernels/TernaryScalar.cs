namespace Tern.Kernels;

/// <summary>
/// The definition of the ternary matmul, and the row for processors without any instruction set that Tern knows:
/// y = (float)Σ t·a / s · scale, with t in -1, 0, +1, a the int8 codes of the token, s its multiplier. The sum is an exact integer.
/// With groups: y = (Σ over groups, in order, fused: scale of the group · (float)Σ t·a of the group) / s.
/// </summary>
internal static unsafe class TernaryScalar
{
    public static void Run(MatMulProblem* problem, int start, int end)
    {
        for (int token = 0; token < problem->Tokens; token++)
        {
            sbyte* x = problem->Codes + (long)token * problem->CodeStride;
            float* y = problem->Output + token * problem->OutputStride;
            for (int row = start; row < end; row++)
                y[row] = Dot(problem->Weights + row * problem->RowBytes, x, 0, problem->Columns) / problem->Scales[token] * problem->RowScales[row];
        }
    }

    public static void RunGroups(MatMulProblem* problem, int start, int end)
    {
        int groups = (problem->Columns + problem->ScaleColumns - 1) / problem->ScaleColumns;
        for (int token = 0; token < problem->Tokens; token++)
        {
            sbyte* x = problem->Codes + (long)token * problem->CodeStride;
            float* y = problem->Output + token * problem->OutputStride;
            for (int row = start; row < end; row++)
            {
                float sum = 0;
                for (int group = 0; group < groups; group++)
                {
                    int first = group * problem->ScaleColumns;
                    int last = Math.Min(first + problem->ScaleColumns, problem->Columns);
                    float dot = Dot(problem->Weights + row * problem->RowBytes, x, first, last);
                    sum = MathF.FusedMultiplyAdd(problem->RowScales[(long)row * groups + group], dot, sum);
                }

                y[row] = sum / problem->Scales[token];
            }
        }
    }

    /// <summary>Σ t·a over columns [first, last).</summary>
    private static float Dot(byte* weights, sbyte* x, int first, int last)
    {
        int dot = 0;
        for (int column = first; column < last; column++)
        {
            int shift = 6 - 2 * (column / 32 % 4);
            int code = weights[column / 128 * 32 + column % 32] >> shift & 3;
            dot += (code - 1) * x[column];
        }

        return dot;
    }
}
