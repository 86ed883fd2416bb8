using Tern.Machine;
using Tern.Training.Mathematics;

namespace Tern.Tests.Training;

/// <summary>The two matrix products against sums in double, at sizes that leave tails in every dimension that may have one.</summary>
public sealed unsafe class ProductTests
{
    [Theory]
    [InlineData(1, 32, 32)]
    [InlineData(12, 64, 32)]
    [InlineData(37, 544, 96)]
    [InlineData(205, 96, 576)]
    public void Products_equal_sums_in_double(int rows, int depth, int width)
    {
        using WorkerPool pool = TinyModels.Pool(2);
        int padded = Panels.Padded(rows);
        using var a = Random((long)padded * depth, 1);
        using var b = Random((long)depth * width, 2);
        using var c = new NativeBuffer<float>((long)padded * width);
        using var d = new NativeBuffer<float>((long)depth * width);
        var left = new Panels((nint)a.Pointer, padded, depth);
        var result = new Panels((nint)c.Pointer, padded, width);
        new RowProduct { A = left, B = b.Pointer, C = result, Rows = rows }.Run(pool);
        new ColumnProduct { A = left, B = result, C = d.Pointer, Rows = rows }.Run(pool);

        for (int i = 0; i < rows; i += Math.Max(1, rows / 5))
            for (int j = 0; j < width; j++)
            {
                double sum = 0, size = 0;
                for (int k = 0; k < depth; k++)
                {
                    double term = (double)At(left, i, k) * b.Pointer[((((j / 32) * depth) + k) * 32) + (j % 32)];
                    (sum, size) = (sum + term, size + Math.Abs(term));
                }

                Assert.True(Math.Abs(sum - At(result, i, j)) <= 1e-7 * depth * size, $"row {i} column {j}");
            }

        for (int i = 0; i < depth; i += 31)
            for (int j = 0; j < width; j++)
            {
                double sum = 0, size = 0;
                for (int t = 0; t < rows; t++)
                {
                    double term = (double)At(left, t, i) * At(result, t, j);
                    (sum, size) = (sum + term, size + Math.Abs(term));
                }

                Assert.True(Math.Abs(sum - d.Pointer[(i * width) + j]) <= 1e-7 * rows * size, $"column {i} with {j}");
            }
    }

    [Fact]
    public void A_sum_by_its_multiplier_is_the_division_s_result()
    {
        const int rows = 400, width = 64;
        using WorkerPool pool = TinyModels.Pool(1);
        int padded = Panels.Padded(rows);
        using var a = new NativeBuffer<float>(padded * 32);
        using var b = new NativeBuffer<float>(32 * width);
        using var c = new NativeBuffer<float>(padded * width);
        using var multipliers = new NativeBuffer<float>(rows);
        var random = new Random(3);
        foreach (ref float v in a.Span)
            v = random.Next(-127, 128);
        foreach (ref float v in b.Span)
            v = random.Next(-1, 2);
        foreach (ref float v in multipliers.Span)
            v = 127f / (random.NextSingle() * 5);
        var result = new Panels((nint)c.Pointer, padded, width);
        new RowProduct { A = new Panels((nint)a.Pointer, padded, 32), B = b.Pointer, C = result, Rows = rows, Multipliers = multipliers.Pointer, Scale = 0.37f }.Run(pool);
        for (int i = 0; i < rows; i++)
            for (int j = 0; j < width; j++)
            {
                int sum = 0;
                for (int k = 0; k < 32; k++)
                    sum += (int)a.Pointer[(i * 32) + k] * (int)b.Pointer[((((j / 32) * 32) + k) * 32) + (j % 32)];
                Assert.Equal(sum / multipliers.Pointer[i] * 0.37f, At(result, i, j));
            }
    }

    [ByteProductFact]
    public void Products_of_bytes_are_exact()
    {
        const int rows = 110, inputs = 96, width = 64;
        using WorkerPool pool = TinyModels.Pool(2);
        int padded = Panels.Padded(rows);
        using var a = new NativeBuffer<sbyte>(padded * inputs);
        using var b = new NativeBuffer<byte>(inputs * width);
        using var c = new NativeBuffer<float>(padded * width);
        using var sums = new NativeBuffer<int>(padded);
        using var multipliers = new NativeBuffer<float>(padded);
        var random = new Random(3);
        foreach (ref sbyte v in a.Span)
            v = (sbyte)random.Next(-128, 128);
        foreach (ref byte v in b.Span)
            v = (byte)random.Next(0, 3);
        for (int i = 0; i < rows; i++)
        {
            multipliers.Span[i] = 127f / (random.NextSingle() * 5);
            for (int k = 0; k < inputs; k++)
                sums.Span[i] += a.Pointer[(i * inputs) + k];
        }

        var result = new Panels((nint)c.Pointer, padded, width);
        new IntegerProduct { A = a.Pointer, Inputs = inputs, B = b.Pointer, C = result, Rows = rows, Sums = sums.Pointer, Multipliers = multipliers.Pointer, Scale = 0.37f }.Run(pool);
        for (int i = 0; i < rows; i++)
            for (int j = 0; j < width; j++)
            {
                int sum = 0;
                for (int k = 0; k < inputs; k++)
                    sum += a.Pointer[(i * inputs) + k] * (b.Pointer[IntegerProduct.Place(j, k, inputs)] - 1);
                Assert.Equal(sum / multipliers.Pointer[i] * 0.37f, At(result, i, j));
            }
    }

    private static NativeBuffer<float> Random(long count, int seed)
    {
        var buffer = new NativeBuffer<float>(count);
        var random = new Random(seed);
        foreach (ref float v in buffer.Span)
            v = random.NextSingle() - 0.5f;
        return buffer;
    }

    private static float At(Panels panels, int row, int column) => panels.Panel(column / 32)[(row * 32) + (column % 32)];
}

/// <summary>A test of the product of bytes, which only some processors have.</summary>
public sealed class ByteProductFactAttribute : FactAttribute
{
    public ByteProductFactAttribute()
    {
        if (!IntegerProduct.IsSupported)
            Skip = "this processor has no VPDPBUSD; it takes the product of floats";
    }
}
