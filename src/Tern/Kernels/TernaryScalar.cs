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
        int blocks = (problem->Columns + 127) / 128;
        for (int token = 0; token < problem->Tokens; token++)
        {
            sbyte* x = problem->Codes + (long)token * problem->CodeStride;
            float* y = problem->Output + token * problem->OutputStride;
            for (int row = start; row < end; row++)
                y[row] = Dot(problem->Weights + row * problem->RowBytes, x, blocks) / problem->Scales[token] * problem->RowScales[row];
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
                    int blocks = (Math.Min(problem->ScaleColumns, problem->Columns - first) + 127) / 128;
                    float dot = Dot(problem->Weights + row * problem->RowBytes + first / 4, x + first, blocks);
                    sum = MathF.FusedMultiplyAdd(problem->RowScales[(long)row * groups + group], dot, sum);
                }

                y[row] = sum / problem->Scales[token];
            }
        }
    }

    /// <summary>Σ t·a over whole blocks; what pads the last one is t = 0.</summary>
    private static int Dot(byte* weights, sbyte* x, int blocks)
    {
        int dot = 0;
        for (int block = 0; block < blocks; block++, weights += 32, x += 128)
        {
            for (int p = 0; p < 32; p++)
            {
                int codes = weights[p];
                dot += ((codes >> 6) - 1) * x[p]
                    + ((codes >> 4 & 3) - 1) * x[32 + p]
                    + ((codes >> 2 & 3) - 1) * x[64 + p]
                    + ((codes & 3) - 1) * x[96 + p];
            }
        }

        return dot;
    }
}
