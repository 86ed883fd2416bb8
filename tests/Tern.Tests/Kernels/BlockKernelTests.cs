using Tern.Kernels;
using Tern.Numerics;

namespace Tern.Tests.Kernels;

public sealed class BlockKernelTests
{
    public static TheoryData<string> Names => [.. BlockRows.Runnable.Select(row => row.Name)];

    public static TheoryData<string> Types => [.. BlockRows.Runnable.Select(row => row.Type.Name).Distinct()];

    [Fact]
    public void Every_block_type_has_rows_with_unique_names()
    {
        Assert.Equal(BlockKernels.Rows.Count(), BlockKernels.Rows.Select(row => row.Name).Distinct().Count());
        foreach (BlockType type in TensorType.All.OfType<BlockType>())
        {
            KernelRow[] rows = [.. BlockKernels.Rows.Where(row => row.Layout.Native == type)];
            Assert.Contains(rows, row => row.Needs == 0);
            Assert.All(rows, row => Assert.Equal(ActivationForm.Int8PerBlock, row.Form));
        }
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void Every_row_equals_the_scalar_row_bit_for_bit(string name)
    {
        BlockRow row = BlockRows.Runnable.Single(r => r.Name == name), scalar = BlockRows.ScalarOf(row.Type);
        foreach (int columns in BlockRows.Columns(row.Type))
        {
            Compare(row, scalar, rows: 5, columns, tokens: 1);
            Compare(row, scalar, rows: 2, columns, tokens: 2);
        }

        foreach (int tokens in (int[])[3, 4, 5, 6, 7, 8, 9, 16, 17, 35])
            Compare(row, scalar, rows: tokens % 2 == 0 ? 3 : 5, 3 * row.Type.BlockSize, tokens);
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void A_row_computes_the_rows_it_was_given_and_no_others(string name)
    {
        BlockRow row = BlockRows.Runnable.Single(r => r.Name == name);
        using BlockProblem problem = new(row.Type, rows: 11, 3 * row.Type.BlockSize, tokens: 2, seed: 1);
        float[] whole = problem.Run(row, 0, 11);
        foreach ((int start, int end) in ((int, int)[])[(0, 1), (3, 10), (7, 11), (5, 5)])
        {
            float[] part = problem.Run(row, start, end);
            for (int i = 0; i < part.Length; i++)
                Assert.Equal(i % 11 >= start && i % 11 < end ? whole[i] : float.NaN, part[i]);
        }
    }

    [Theory]
    [MemberData(nameof(Types))]
    public void The_scalar_row_computes_the_product(string name)
    {
        BlockType type = BlockRows.Runnable.First(row => row.Type.Name == name).Type;
        foreach (int columns in BlockRows.Columns(type))
        {
            using BlockProblem problem = new(type, rows: 3, columns, tokens: 2, seed: 2);
            float[] actual = problem.Run(BlockRows.ScalarOf(type), 0, 3);

            // One rounding for each block of a lane, the fold, and two or three for each scale and for each decoded weight, whose terms
            // (scale times code, minimum) are at most twice the largest weight.
            double roundings = 2 * ((columns / 32) + 16) * Math.Pow(2, -24);
            for (int i = 0; i < actual.Length; i++)
            {
                (double sum, double magnitude) = problem.Exact(i / 3, i % 3);
                Assert.True(Math.Abs(actual[i] - sum) <= roundings * magnitude, $"{name} {columns} [{i}]: expected {sum}, got {actual[i]}, allowed {roundings * magnitude}");
            }
        }
    }

    private static void Compare(BlockRow row, BlockRow scalar, int rows, int columns, int tokens)
    {
        using BlockProblem problem = new(row.Type, rows, columns, tokens, seed: (100 * columns) + tokens);
        float[] expected = problem.Run(scalar, 0, rows), actual = problem.Run(row, 0, rows);
        for (int i = 0; i < expected.Length; i++)
        {
            Assert.True(
                BitConverter.SingleToUInt32Bits(expected[i]) == BitConverter.SingleToUInt32Bits(actual[i]),
                $"{row.Name}, {rows} rows, {columns} columns, {tokens} tokens [{i}]: expected {expected[i]:R}, got {actual[i]:R}");
        }
    }
}
