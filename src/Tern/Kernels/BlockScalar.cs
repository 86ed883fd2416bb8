using Tern.Numerics;

namespace Tern.Kernels;

/// <summary>The matmul of block types, plainly: the definition at <see cref="IBlockFormat"/> line by line. Every other row is compared with this one.</summary>
internal static unsafe class BlockScalar<TFormat>
    where TFormat : struct, IBlockFormat
{
    private const int Block = 32, Lanes = 16;

    public static void Run(MatMulProblem* problem, int start, int end)
    {
        float* lanes = stackalloc float[Lanes];
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
                    problem->Columns / Block,
                    lanes);
            }
        }
    }

    private static float Dot(byte* weights, sbyte* codes, float* steps, int* sums, int blocks, float* lanes)
    {
        new Span<float>(lanes, Lanes).Clear();
        float correction = 0;
        for (int block = 0; block < blocks; block++, codes += Block)
        {
            byte* unit = weights + ((long)(block * Block / TFormat.UnitColumns) * TFormat.UnitBytes);
            int part = block % (TFormat.UnitColumns / Block);
            float scale = Halves.ToSingle(TFormat.Scale(unit, part)) * TFormat.Factor(unit, part) * steps[block];
            for (int j = 0; j < 8; j++)
            {
                int sum = 0;
                for (int i = 4 * j; i < (4 * j) + 4; i++)
                    sum += TFormat.Weight(unit, (part * Block) + i) * codes[i];

                sum *= TFormat.SubScale(unit, (2 * part) + (j / 4));
                int lane = (block % 2 * 8) + j;
                lanes[lane] = MathF.FusedMultiplyAdd(sum, scale, lanes[lane]);
            }

            if (TFormat.HasMinimums)
            {
                (ushort bits, int factor) = TFormat.Minimum(unit, part);
                correction = MathF.FusedMultiplyAdd(Halves.ToSingle(bits) * factor * steps[block], sums[block], correction);
            }
        }

        for (int half = Lanes / 2; half > 0; half /= 2)
            for (int lane = 0; lane < half; lane++)
                lanes[lane] += lanes[lane + half];
        return TFormat.HasMinimums ? lanes[0] + correction : lanes[0];
    }
}
