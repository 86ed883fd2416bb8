using Tern.Kernels;
using Tern.Numerics;

namespace Tern.Tests.Kernels;

public sealed class BlockKernelTests
{
    public static TheoryData<string> Names => [.. BlockRows.Runnable.Select(row => row.Name)];

    public static TheoryData<string> Types => [.. BlockRows.Runnable.Select(row => BlockRows.TypeOf(row).Name).Distinct()];

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
        KernelRow row = BlockRows.Find(name);
        BlockType type = BlockRows.TypeOf(row);
        foreach (int columns in BlockRows.Columns(type))
        {
            Compare(row, rows: 5, columns, tokens: 1);
            Compare(row, rows: 2, columns, tokens: 2);
        }

        foreach (int tokens in (int[])[3, 4, 5, 6, 7, 8, 9, 16, 17, 35, 40, 65])
            Compare(row, rows: tokens % 2 == 0 ? 3 : 5, 3 * type.BlockSize, tokens);
        foreach (int rows in (int[])[1, 15, 16, 17, 31, 32, 33, 47, 64, 70])
            Compare(row, rows, 3 * type.BlockSize, tokens: 1 + (rows % 3));
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void Worst_cases_overflow_nowhere(string name)
    {
        KernelRow row = BlockRows.Find(name);
        foreach (BlockData data in (BlockData[])[BlockData.AllOnes, BlockData.AllZeros, BlockData.Extremes, BlockData.WildScales])
        {
            Compare(row, rows: 18, 3 * BlockRows.TypeOf(row).BlockSize, tokens: 1, data);
            Compare(row, rows: 33, 5 * BlockRows.TypeOf(row).BlockSize, tokens: 5, data);
        }
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void A_row_computes_the_rows_it_was_given_and_no_others(string name)
    {
        KernelRow row = BlockRows.Find(name);
        int multiple = row.Layout.Name == row.Layout.Native!.Name ? 1 : row.RowMultiple, rows = (11 * multiple) - (multiple / 2);
        using BlockProblem problem = new(BlockRows.TypeOf(row), rows, 3 * BlockRows.TypeOf(row).BlockSize, tokens: 2, seed: 1);
        float[] whole = problem.Run(row, 0, rows);
        foreach ((int first, int last) in ((int, int)[])[(0, 1), (3, 10), (7, 11), (5, 5)])
        {
            (int start, int end) = (first * multiple, Math.Min(last * multiple, rows));
            float[] part = problem.Run(row, start, end);
            for (int i = 0; i < part.Length; i++)
                Assert.Equal(i % rows >= start && i % rows < end ? whole[i] : float.NaN, part[i]);
        }
    }

    [Theory]
    [MemberData(nameof(Types))]
    public void The_scalar_row_computes_the_product(string name)
    {
        BlockType type = BlockRows.Runnable.Select(BlockRows.TypeOf).First(t => t.Name == name);
        foreach (int columns in BlockRows.Columns(type))
        {
            using BlockProblem problem = new(type, rows: 3, columns, tokens: 2, seed: 2);
            float[] actual = problem.Run(BlockRows.ScalarOf(type), 0, 3);

            // One rounding for each block, one for the minimums, and two or three for each scale and for each decoded weight, whose terms
            // (scale times code, minimum) are at most twice the largest weight.
            double roundings = 2 * ((columns / 32) + 8) * Math.Pow(2, -24);
            for (int i = 0; i < actual.Length; i++)
            {
                (double sum, double magnitude) = problem.Exact(i / 3, i % 3);
                Assert.True(Math.Abs(actual[i] - sum) <= roundings * magnitude, $"{name} {columns} [{i}]: expected {sum}, got {actual[i]}, allowed {roundings * magnitude}");
            }
        }
    }

    private static void Compare(KernelRow row, int rows, int columns, int tokens, BlockData data = BlockData.Random)
    {
        BlockType type = BlockRows.TypeOf(row);
        using BlockProblem problem = new(type, rows, columns, tokens, seed: (100 * columns) + tokens, data: data);
        float[] expected = problem.Run(BlockRows.ScalarOf(type), 0, rows), actual = problem.Run(row, 0, rows);
        for (int i = 0; i < expected.Length; i++)
        {
            Assert.True(
                BitConverter.SingleToUInt32Bits(expected[i]) == BitConverter.SingleToUInt32Bits(actual[i]),
                $"{row.Name}, {rows} rows, {columns} columns, {tokens} tokens, {data} [{i}]: expected {expected[i]:R}, got {actual[i]:R}");
        }
    }
}
