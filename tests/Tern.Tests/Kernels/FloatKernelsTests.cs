using Tern.Kernels;
using Tern.Machine;

namespace Tern.Tests.Kernels;

/// <summary>Matmul rows of float weights: equal to the definition in bits, for one token and for many, at every edge of the tiles.</summary>
public sealed unsafe class FloatKernelsTests
{
    public static TheoryData<string> RowNames => [.. FloatKernels.Rows.Select(row => row.Name)];

    [Theory]
    [MemberData(nameof(RowNames))]
    public void Rows_equal_the_definition(string name)
    {
        KernelRow row = FloatKernels.Rows.Single(r => r.Name == name);

        // The rows of ARM use the portable vector API, so they are tested on every processor.
        if ((row.Needs & ~(Cpu.Available | Isa.AdvSimd)) != 0)
            return;

        foreach ((int rows, int columns, int tokens) in new[]
        {
            (1, 1, 1), (3, 16, 1), (4, 100, 1), (9, 333, 1), (5, 2560, 1),
            (1, 17, 2), (6, 40, 3), (7, 100, 5), (9, 512, 4), (5, 530, 33), (2, 1041, 70), (130, 48, 37),
        })
        {
            float[] weights = FloatTestData.Mixed(rows, rows * columns);
            float[] activations = FloatTestData.Uniform(columns, tokens * columns, 3);
            byte[] bytes = Encode(row, weights);
            float[] expected = Definition(row, bytes, activations, rows, columns, tokens);
            FloatTestData.AssertSameBits(
                expected, Run(row, bytes, activations, rows, columns, tokens, [0, rows]), $"{name} {rows}x{columns}, {tokens} tokens");
            FloatTestData.AssertSameBits(
                expected, Run(row, bytes, activations, rows, columns, tokens, [0, rows / 3, rows / 2, rows]), $"{name} {rows}x{columns}, {tokens} tokens, in parts");
        }
    }

    [Theory]
    [MemberData(nameof(RowNames))]
    public void Tokens_alone_and_together_give_the_same_bits(string name)
    {
        KernelRow row = FloatKernels.Rows.Single(r => r.Name == name);
        if ((row.Needs & ~(Cpu.Available | Isa.AdvSimd)) != 0)
            return;

        const int rows = 7, columns = 600, tokens = 9;
        byte[] weights = Encode(row, FloatTestData.Uniform(1, rows * columns));
        float[] activations = FloatTestData.Uniform(2, tokens * columns);
        float[] together = Run(row, weights, activations, rows, columns, tokens, [0, rows]);
        for (int token = 0; token < tokens; token++)
            FloatTestData.AssertSameBits(
                together.AsSpan(token * rows, rows), Run(row, weights, activations[(token * columns)..][..columns], rows, columns, 1, [0, rows]), $"token {token}");
    }

    [Fact]
    public void Every_type_has_a_row_for_every_processor()
    {
        foreach (IGrouping<string, KernelRow> type in FloatKernels.Rows.GroupBy(row => row.Layout.Name))
            Assert.Equal(Isa.None, type.Last().Needs);
        Assert.Equal(["F32", "F16", "BF16"], FloatKernels.Rows.Select(row => row.Layout.Name).Distinct());
    }

    /// <summary>Exactly as many weights as the rows have; the pages behind them stay unread because the buffer ends there.</summary>
    private static byte[] Encode(KernelRow row, float[] weights) => row.Layout.Name switch
    {
        "F32" => [.. weights.SelectMany(BitConverter.GetBytes)],
        "F16" => [.. weights.SelectMany(w => BitConverter.GetBytes((Half)w))],
        _ => [.. weights.SelectMany(w => BitConverter.GetBytes(w)[2..])],
    };

    private static float Decode(KernelRow row, byte[] bytes, int index) => row.Layout.Name switch
    {
        "F32" => BitConverter.ToSingle(bytes, 4 * index),
        "F16" => (float)BitConverter.ToHalf(bytes, 2 * index),
        _ => BitConverter.Int32BitsToSingle(BitConverter.ToUInt16(bytes, 2 * index) << 16),
    };

    private static float[] Definition(KernelRow row, byte[] weights, float[] activations, int rows, int columns, int tokens)
    {
        var output = new float[tokens * rows];
        var lanes = new float[16];
        for (int token = 0; token < tokens; token++)
            for (int r = 0; r < rows; r++)
            {
                Array.Clear(lanes);
                for (int i = 0; i < columns; i++)
                    lanes[i % 16] = MathF.FusedMultiplyAdd(Decode(row, weights, (r * columns) + i), activations[(token * columns) + i], lanes[i % 16]);
                for (int step = 8; step > 0; step /= 2)
                    for (int i = 0; i < step; i++)
                        lanes[i] += lanes[i + step];
                output[(token * rows) + r] = lanes[0];
            }

        return output;
    }

    private static float[] Run(KernelRow row, byte[] weights, float[] activations, int rows, int columns, int tokens, int[] parts)
    {
        int stride = (columns + 31) / 16 * 16;
        using var floats = new NativeBuffer<float>(tokens * stride);
        for (int token = 0; token < tokens; token++)
            activations.AsSpan(token * columns, columns).CopyTo(floats.Span[(token * stride)..]);

        // Weights end where the buffer ends, and what lies behind is not zero: NaN would show.
        byte[] guarded = [.. weights, .. Enumerable.Repeat((byte)0xFF, 128)];
        var output = new float[tokens * rows];
        fixed (byte* w = guarded)
        fixed (float* y = output)
        {
            var problem = new MatMulProblem
            {
                Weights = w,
                RowBytes = weights.Length / rows,
                Columns = columns,
                Tokens = tokens,
                Floats = floats.Pointer,
                FloatStride = stride,
                Output = y,
                OutputStride = rows,
            };
            for (int i = 1; i < parts.Length; i++)
                row.Run(&problem, parts[i - 1], parts[i]);
        }

        return output;
    }
}
