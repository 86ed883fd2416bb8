using Tern.Numerics;

namespace Tern.Kernels;

/// <summary>The matmul of block types, plainly: the definition at <see cref="IBlockFormat"/> line by line. Every other row is compared with this one.</summary>
internal static unsafe class BlockScalar<TFormat>
    where TFormat : struct, IBlockFormat
{
    private const int Block = 32, Half = 16;

    public static void Run(MatMulProblem* problem, int start, int end)
    {
        for (int row = start; row < end; row++)
        {
            byte* weights = problem->Weights + (row * problem->RowBytes);
            for (int token = 0; token < problem->Tokens; token++)
            {
                problem->Output[(token * problem->OutputStride) + row] = Dot(
                    weights,
                    problem->Codes + ((long)token * problem->CodeStride),
                    problem->Scales + ((long)token * problem->BlockStride),
                    problem->Sums + ((long)token * problem->BlockStride),
                    problem->Columns / Block);
            }
        }
    }

    private static float Dot(byte* weights, sbyte* codes, float* steps, int* sums, int blocks)
    {
        float total = 0, correction = 0;
        for (int block = 0; block < blocks; block++, codes += Block)
        {
            byte* unit = weights + ((long)(block * Block / TFormat.UnitColumns) * TFormat.UnitBytes);
            int part = block % (TFormat.UnitColumns / Block);
            int sum = 0;
            for (int half = 0; half < 2; half++)
            {
                int products = 0;
                for (int i = half * Half; i < (half + 1) * Half; i++)
                    products += TFormat.Weight(unit, (part * Block) + i) * codes[i];
                sum += products * TFormat.SubScale(unit, (2 * part) + half);
            }

            float scale = Halves.ToSingle(TFormat.Scale(unit, part)) * TFormat.Factor(unit, part) * steps[block];
            total = MathF.FusedMultiplyAdd(scale, sum, total);
            if (TFormat.HasMinimums)
            {
                (ushort bits, int factor) = TFormat.Minimum(unit, part);
                correction = MathF.FusedMultiplyAdd(Halves.ToSingle(bits) * factor * steps[block], sums[block], correction);
            }
        }

        return TFormat.HasMinimums ? total + correction : total;
    }
}
