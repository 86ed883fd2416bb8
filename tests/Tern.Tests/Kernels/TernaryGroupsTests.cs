using Tern.Kernels;
using Tern.Machine;

namespace Tern.Tests.Kernels;

/// <summary>Ternary types with a scale per group of columns: merged to one per row where that is the same thing, kept where it is not.</summary>
public sealed unsafe class TernaryGroupsTests
{
    public static TheoryData<string> Rows => RunnableRows.TernaryGroups();

    [Theory]
    [MemberData(nameof(Rows))]
    public void Scales_that_differ_inside_a_row(string name)
    {
        KernelRow row = RunnableRows.Find(name);
        var random = new Random(11);
        using var pool = new WorkerPool(1);
        foreach ((int rows, int columns, int tokens) in new[] { (1, 300, 1), (4, 512, 3), (7, 2560, 2), (9, 1000, 5), (3, 33_000, 2) })
        {
            var type = new GroupedCodes(256);
            int groups = (columns + 255) / 256;
            sbyte[] codes = [.. Enumerable.Range(0, rows * columns).Select(_ => (sbyte)random.Next(-1, 2))];
            float[] scales = [.. Enumerable.Range(0, rows * groups).Select(_ => random.NextSingle() - 0.5f)];
            using var owned = new OwnedTensor(type, type.Pack(codes, scales, rows), rows, columns);
            using var weights = new WeightMatrix(owned.Tensor, TernaryWeights.Prepare(owned.Tensor, _ => row, pool));
            using var x = new Activations(tokens, columns);
            float[] y = MatMulTests.RunOnRandom(pool, weights, x, tokens, random);

            MatMulProblem quantized = default;
            x.Bind(ActivationForm.Int8PerToken, pool, ref quantized);
            for (int token = 0; token < tokens; token++)
                for (int r = 0; r < rows; r++)
                {
                    float sum = 0;
                    for (int group = 0; group < groups; group++)
                    {
                        int dot = 0;
                        for (int i = 256 * group; i < Math.Min(256 * group + 256, columns); i++)
                            dot += codes[r * columns + i] * quantized.Codes[token * quantized.CodeStride + i];
                        sum = MathF.FusedMultiplyAdd(scales[r * groups + group], dot, sum);
                    }

                    Assert.Equal(BitConverter.SingleToInt32Bits(sum / quantized.Scales[token]), BitConverter.SingleToInt32Bits(y[token * rows + r]));
                }
        }
    }

    [Fact]
    public void Scales_that_agree_make_a_row_scale_and_zero_scales_make_zeros()
    {
        const int rows = 3, columns = 1024;
        var random = new Random(12);
        var type = new GroupedCodes(256);
        sbyte[] codes = [.. Enumerable.Range(0, rows * columns).Select(_ => (sbyte)random.Next(-1, 2))];
        float[] scales = [0.5f, 0, 0.5f, 0.5f, 0, 0, 0, 0, 0, 0.25f, 0.25f, 0];
        using var pool = new WorkerPool(2);
        using var owned = new OwnedTensor(type, type.Pack(codes, scales, rows), rows, columns);
        using WeightMatrix weights = MatMul.Prepare(owned.Tensor, KernelChoice.Best, pool);
        Assert.NotSame(WeightLayout.TernaryGroups, weights.Kernel.Layout);

        using var x = new Activations(2, columns);
        float[] y = MatMulTests.RunOnRandom(pool, weights, x, 2, random);
        MatMulProblem quantized = default;
        x.Bind(ActivationForm.Int8PerToken, pool, ref quantized);
        float[] rowScales = [0.5f, 0, 0.25f];
        for (int token = 0; token < 2; token++)
            for (int r = 0; r < rows; r++)
            {
                int dot = 0;
                for (int i = 0; i < columns; i++)
                    dot += scales[r * 4 + i / 256] == 0 ? 0 : codes[r * columns + i] * quantized.Codes[token * quantized.CodeStride + i];
                Assert.Equal(dot / quantized.Scales[token] * rowScales[r], y[token * rows + r]);
            }
    }

    [Fact]
    public void Groups_that_are_no_whole_blocks_are_refused_only_when_they_differ()
    {
        var type = new GroupedCodes(64);
        using var pool = new WorkerPool(1);
        using var same = new OwnedTensor(type, type.Pack(new sbyte[256], [1, 1, 1, 1], 1), 1, 256);
        using (WeightMatrix weights = MatMul.Prepare(same.Tensor, KernelChoice.Best, pool))
            Assert.NotSame(WeightLayout.TernaryGroups, weights.Kernel.Layout);

        using var different = new OwnedTensor(type, type.Pack(new sbyte[256], [1, 1, 2, 1], 1), 1, 256);
        TernException thrown = Assert.Throws<TernException>(() => MatMul.Prepare(different.Tensor, KernelChoice.Best, pool));
        Assert.Equal(ErrorKind.Unsupported, thrown.Kind);
    }
}
