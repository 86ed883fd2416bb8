using System.Text.Json;
using Tern.Kernels;
using Tern.Machine;
using Tern.Numerics;

namespace Tern.Tests.Kernels;

/// <summary>The product's own path: Prepare, Begin, Run.</summary>
public sealed unsafe class MatMulTests
{
    public static TheoryData<string> TernaryRows => RunnableRows.Ternary();

    /// <summary>Rows that need an instruction set and have a plain one beside them: they must agree with it.</summary>
    public static TheoryData<string> NativeRows
    {
        get
        {
            var names = new TheoryData<string>();
            foreach (KernelRow row in KernelTable.All)
                if (row.Layout.Native is not null && KernelChoice.Best.Allows(row))
                    names.Add(row.Name);
            names.Add("decode-row");
            return names;
        }
    }

    [SharedTheory]
    [MemberData(nameof(TernaryRows))]
    public void Reference_bit_linear_layers(string name)
    {
        KernelRow row = RunnableRows.Find(name);
        using var pool = new WorkerPool(2);
        using JsonDocument document = JsonDocument.Parse(File.ReadAllBytes(SharedData.File("goldens", "kernels.json")));
        int vectors = 0;
        foreach (JsonElement vector in document.RootElement.GetProperty("bitlinear").EnumerateArray())
        {
            int rows = vector.GetProperty("rows").GetInt32(), columns = vector.GetProperty("k").GetInt32(), tokens = vector.GetProperty("tokens").GetInt32();
            byte[] x = vector.GetProperty("x_f32").GetBytesFromBase64();
            using var owned = new OwnedTensor(I2SByDescription.Instance, vector.GetProperty("i2_s").GetBytesFromBase64(), rows, columns);
            using var weights = new WeightMatrix(owned.Tensor, TernaryWeights.Prepare(owned.Tensor, _ => row, pool));
            using var activations = new Activations(tokens, columns);
            activations.Begin(tokens, columns);
            for (int token = 0; token < tokens; token++)
                for (int i = 0; i < columns; i++)
                    activations.Floats[token * activations.Stride + i] = BitConverter.ToSingle(x, 4 * (token * columns + i));
            float[] y = new float[tokens * rows];
            fixed (float* to = y)
                MatMul.Run(pool, weights, activations, to, rows);

            MatMulProblem quantized = default;
            activations.Bind(ActivationForm.Int8PerToken, pool, ref quantized);
            sbyte[] codes = TernaryRowTests.SBytes(vector, "q_i8");
            float scale = (float)vector.GetProperty("scale").GetDouble();
            for (int token = 0; token < tokens; token++)
            {
                for (int i = 0; i < columns; i++)
                    Assert.Equal(codes[token * columns + i], quantized.Codes[token * quantized.CodeStride + i]);
                for (int r = 0; r < rows; r++)
                {
                    int dot = vector.GetProperty("dots")[token][r].GetInt32();
                    double reference = vector.GetProperty("y")[token][r].GetDouble();
                    Assert.Equal(dot / quantized.Scales[token] * scale, y[token * rows + r]);
                    Assert.True(Math.Abs(y[token * rows + r] - reference) <= 4 * Math.ScaleB(Math.Abs(reference), -24), $"{y[token * rows + r]:r} for {reference:r}");
                }
            }

            vectors++;
        }

        Assert.Equal(5, vectors);
    }

    [Theory]
    [MemberData(nameof(TernaryRows))]
    public void Packed_and_in_place_weights_on_any_number_of_threads(string name)
    {
        KernelRow row = RunnableRows.Find(name);
        foreach ((int rows, int columns, int tokens) in new[] { (1, 128, 1), (37, 640, 3), (130, 2560, 1), (64, 200, 6), (16, 8640, 2), (128, 33, 17) })
        {
            float[]? expected = null;
            foreach (int threads in new[] { 1, 2, 5 })
            {
                var random = new Random(rows);
                using var pool = new WorkerPool(threads);
                using OwnedTensor owned = RandomI2S(random, rows, columns);
                KernelRow scalar = KernelTable.All.Single(r => r.Name == "ternary-scalar");
                using var weights = new WeightMatrix(owned.Tensor, TernaryWeights.Prepare(owned.Tensor, _ => expected is null ? scalar : row, pool));
                using var x = new Activations(tokens, columns);
                float[] y = RunOnRandom(pool, weights, x, tokens, random);
                expected ??= y;
                Assert.Equal(Bits(expected), Bits(y));
            }
        }
    }

    [Theory]
    [MemberData(nameof(TernaryRows))]
    public void A_token_is_the_same_alone_and_in_any_batch(string name)
    {
        KernelRow row = RunnableRows.Find(name);
        const int rows = 21, columns = 1280, tokens = 23;
        var random = new Random(13);
        using var pool = new WorkerPool(2);
        using OwnedTensor owned = RandomI2S(random, rows, columns);
        using var weights = new WeightMatrix(owned.Tensor, TernaryWeights.Prepare(owned.Tensor, _ => row, pool));
        using var x = new Activations(tokens, columns);
        float[] together = RunOnRandom(pool, weights, x, tokens, random);
        float[] inputs = new Span<float>(x.Floats, tokens * x.Stride).ToArray();
        int stride = x.Stride;
        float[] apart = new float[together.Length];
        for (int size = 1; size <= 7; size += 2)
            for (int first = 0; first < tokens; first += size)
            {
                int count = Math.Min(size, tokens - first);
                x.Begin(count, columns);
                inputs.AsSpan(first * stride, count * stride).CopyTo(new Span<float>(x.Floats, count * stride));
                fixed (float* y = apart)
                    MatMul.Run(pool, weights, x, y + first * rows, rows);
                Assert.Equal(Bits(together.AsSpan(first * rows, count * rows)), Bits(apart.AsSpan(first * rows, count * rows)));
            }
    }

    [Theory]
    [MemberData(nameof(NativeRows))]
    public void Rows_of_native_layouts_agree_with_the_plain_row_of_their_form(string name)
    {
        KernelRow row = KernelTable.All.Single(r => r.Name == name);
        KernelRow plain = KernelTable.All.First(r => r.Layout.Native == row.Layout.Native && r.Form == row.Form && r.Needs == Isa.None);
        TensorType type = row.Layout.Native ?? HalvedBytes.Instance;
        foreach ((int rows, int blocks, int tokens) in new[] { (1, 1, 1), (5, 3, 2), (33, 7, 1), (18, 20, 9) })
        {
            int columns = blocks * Math.Max(type.BlockSize, 32);
            var random = new Random(14);
            using var one = new WorkerPool(1);
            using var three = new WorkerPool(3);
            using var owned = new OwnedTensor(type, RandomBytes(type, rows, columns, random), rows, columns);
            using var expectedWeights = new WeightMatrix(owned.Tensor, plain, plain.Layout.Pack(owned.Tensor, one));
            using var weights = new WeightMatrix(owned.Tensor, row, row.Layout.Pack(owned.Tensor, one));
            using var x = new Activations(tokens, columns);
            float[] expected = RunOnRandom(one, expectedWeights, x, tokens, new Random(15));
            float[] actual = RunOnRandom(three, weights, x, tokens, new Random(15));
            Assert.All(expected, y => Assert.True(float.IsFinite(y)));
            Assert.Equal(Bits(expected), Bits(actual));
        }
    }

    [Fact]
    public void A_type_with_only_a_decoder_runs_in_the_sixteen_lane_order()
    {
        const int rows = 6, columns = 77, tokens = 3;
        var random = new Random(16);
        using var pool = new WorkerPool(2);
        byte[] bytes = RandomBytes(HalvedBytes.Instance, rows, columns, random);
        using var owned = new OwnedTensor(HalvedBytes.Instance, bytes, rows, columns);
        using WeightMatrix weights = MatMul.Prepare(owned.Tensor, KernelChoice.Best, pool);
        Assert.Equal("decode-row", weights.Kernel.Name);
        using var x = new Activations(tokens, columns);
        float[] y = RunOnRandom(pool, weights, x, tokens, random);
        for (int token = 0; token < tokens; token++)
            for (int r = 0; r < rows; r++)
            {
                float[] lanes = new float[16];
                for (int i = 0; i < columns; i++)
                    lanes[i % 16] = MathF.FusedMultiplyAdd((sbyte)bytes[r * columns + i] * 0.5f, x.Floats[token * x.Stride + i], lanes[i % 16]);
                float[] eight = [.. Enumerable.Range(0, 8).Select(i => lanes[i] + lanes[i + 8])];
                float[] four = [.. Enumerable.Range(0, 4).Select(i => eight[i] + eight[i + 4])];
                float expected = four[0] + four[2] + (four[1] + four[3]);
                Assert.Equal(BitConverter.SingleToInt32Bits(expected), BitConverter.SingleToInt32Bits(y[token * rows + r]));
            }
    }

    [Theory]
    [InlineData(256, 40)]
    [InlineData(200, 16)]
    public void Code_3_is_refused_wherever_it_stands(int columns, int rows)
    {
        using var pool = new WorkerPool(2);
        foreach (int at in new[] { 0, 1, 127, 128, columns, rows * columns / 2 + 5, rows * columns - 1 })
        {
            sbyte[] codes = new sbyte[rows * columns];
            codes[at] = 2;
            using var owned = new OwnedTensor(I2SByDescription.Instance, I2SByDescription.Pack(codes, 1), rows, columns);
            TernException thrown = Assert.Throws<TernException>(() => MatMul.Prepare(owned.Tensor, KernelChoice.Best, pool));
            Assert.Equal(ErrorKind.Semantic, thrown.Kind);
            Assert.Contains("blk.0.test.weight", thrown.Message, StringComparison.Ordinal);
            Assert.Contains("code 3", thrown.Message, StringComparison.Ordinal);
            int offset = columns % 128 == 0 ? at / 128 * 32 + at % 32 : at / columns * columns / 4;
            Assert.Contains($"offset {4096 + offset}:", thrown.Message, StringComparison.Ordinal);
        }
    }

    [Theory]
    [InlineData(float.NaN)]
    [InlineData(float.PositiveInfinity)]
    [InlineData(float.NegativeInfinity)]
    public void Scales_that_are_not_finite_are_refused(float scale)
    {
        using var pool = new WorkerPool(1);
        using var owned = new OwnedTensor(I2SByDescription.Instance, I2SByDescription.Pack(new sbyte[512], scale), 4, 128);
        TernException thrown = Assert.Throws<TernException>(() => MatMul.Prepare(owned.Tensor, KernelChoice.Best, pool));
        Assert.Contains("scale", thrown.Message, StringComparison.Ordinal);

        var type = new GroupedCodes(128);
        using var grouped = new OwnedTensor(type, type.Pack(new sbyte[512], [1, 1, scale, 1], 2), 2, 256);
        thrown = Assert.Throws<TernException>(() => MatMul.Prepare(grouped.Tensor, KernelChoice.Best, pool));
        Assert.Contains("row 1, group 0", thrown.Message, StringComparison.Ordinal);

        using var blocks = new OwnedTensor(HalvedBytes.Instance, [1, 2, 3, 0x80], 2, 2);
        thrown = Assert.Throws<TernException>(() => MatMul.Prepare(blocks.Tensor, KernelChoice.Best, pool));
        Assert.Contains("offset 4099", thrown.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Tensors_shorter_than_their_shape_are_refused()
    {
        using var pool = new WorkerPool(1);
        using var owned = new OwnedTensor(I2SByDescription.Instance, new byte[100], 4, 128);
        TernException thrown = Assert.Throws<TernException>(() => MatMul.Prepare(owned.Tensor, KernelChoice.Best, pool));
        Assert.Equal(ErrorKind.Format, thrown.Kind);
    }

    [Fact]
    public void The_fence_checks_every_length()
    {
        using var pool = new WorkerPool(1);
        using OwnedTensor owned = RandomI2S(new Random(17), 8, 128);
        WeightMatrix weights = MatMul.Prepare(owned.Tensor, KernelChoice.Best, pool);
        using var x = new Activations(2, 256);
        float* y = stackalloc float[16];
        x.Begin(2, 128);
        MatMul.Run(pool, weights, x, y, 8);
        Assert.Throws<ArgumentOutOfRangeException>(() => RunOn(pool, weights, x, 7));
        x.Begin(2, 256);
        Assert.Throws<ArgumentOutOfRangeException>(() => RunOn(pool, weights, x, 8));
        Assert.Throws<ArgumentOutOfRangeException>(() => x.Begin(3, 128));
        Assert.Throws<ArgumentOutOfRangeException>(() => x.Begin(1, 257));
        x.Begin(0, 128);
        MatMul.Run(pool, weights, x, y, 8);
        x.Begin(1, 128);
        weights.Dispose();
        Assert.Throws<ObjectDisposedException>(() => RunOn(pool, weights, x, 8));
    }

    [Fact]
    public void A_matmul_allocates_nothing()
    {
        using var pool = new WorkerPool(2);
        using OwnedTensor ternary = RandomI2S(new Random(18), 64, 256);
        using var decoded = new OwnedTensor(HalvedBytes.Instance, new byte[64 * 256], 64, 256);
        using WeightMatrix first = MatMul.Prepare(ternary.Tensor, KernelChoice.Best, pool);
        using WeightMatrix second = MatMul.Prepare(decoded.Tensor, KernelChoice.Best, pool);
        using var x = new Activations(5, 256);
        float* y = stackalloc float[5 * 64];
        long before = 0;
        for (int i = 0; i < 60; i++)
        {
            if (i == 10)
                before = GC.GetAllocatedBytesForCurrentThread();
            x.Begin(1 + i % 5, 256);
            MatMul.Run(pool, first, x, y, 64);
            MatMul.Run(pool, second, x, y, 64);
        }

        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
    }

    /// <summary>y for tokens of normal-like noise, one of which is all zero.</summary>
    internal static float[] RunOnRandom(WorkerPool pool, WeightMatrix weights, Activations x, int tokens, Random random)
    {
        x.Begin(tokens, weights.Columns);
        for (int token = 0; token < tokens; token++)
            for (int i = 0; i < weights.Columns; i++)
                x.Floats[token * x.Stride + i] = token == 3 ? 0 : random.NextSingle() + random.NextSingle() + random.NextSingle() - 1.5f;
        float[] y = new float[tokens * weights.Rows];
        fixed (float* to = y)
            MatMul.Run(pool, weights, x, to, weights.Rows);
        return y;
    }

    internal static OwnedTensor RandomI2S(Random random, int rows, int columns)
    {
        sbyte[] codes = [.. Enumerable.Range(0, rows * columns).Select(_ => (sbyte)random.Next(-1, 2))];
        return new OwnedTensor(I2SByDescription.Instance, I2SByDescription.Pack(codes, random.NextSingle() + 0.1f), rows, columns);
    }

    /// <summary>Bytes of a type with finite scales: encoded noise where the type encodes, else bytes in which no 16-bit float is infinite.</summary>
    internal static byte[] RandomBytes(TensorType type, int rows, int columns, Random random)
    {
        byte[] bytes = new byte[(int)type.ByteCount((UInt128)columns, (UInt128)rows)];
        if (type.CanEncode)
        {
            type.Encode([.. Enumerable.Range(0, rows * columns).Select(_ => random.NextSingle() - 0.5f)], columns, bytes);
            return bytes;
        }

        random.NextBytes(bytes);
        foreach (ref byte b in bytes.AsSpan())
            b &= 0x3B;
        return bytes;
    }

    private static void RunOn(WorkerPool pool, WeightMatrix weights, Activations x, int stride)
    {
        float* y = stackalloc float[16];
        MatMul.Run(pool, weights, x, y, stride);
    }

    private static int[] Bits(ReadOnlySpan<float> values)
    {
        int[] bits = new int[values.Length];
        for (int i = 0; i < bits.Length; i++)
            bits[i] = BitConverter.SingleToInt32Bits(values[i]);
        return bits;
    }
}
