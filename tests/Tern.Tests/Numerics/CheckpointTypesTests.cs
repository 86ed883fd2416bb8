using System.Runtime.InteropServices;
using System.Text.Json;
using Tern.Numerics;

namespace Tern.Tests.Numerics;

/// <summary>The types that belong to one tensor of a Hugging Face checkpoint, against vectors and their definitions.</summary>
public sealed class CheckpointTypesTests
{
    [SharedFact]
    public void Golden_packed_codes_unpack()
    {
        foreach (JsonElement golden in Operations("hf_unpack"))
        {
            (int rows, int columns) = (Integer(golden, "rows"), Integer(golden, "k"));
            using var sample = new SampleTensor(new PackedTernaryType(1, RowOrder.AsStored), golden.GetProperty("packed_u8").GetBytesFromBase64(), columns, rows);
            Assert.Equal(golden.GetProperty("trits_i8").GetBytesFromBase64().Select(b => (sbyte)b), Codes(sample));
        }
    }

    [SharedFact]
    public void Golden_masters_become_ternary()
    {
        foreach (JsonElement golden in Operations("absmean_ternarise"))
        {
            (int rows, int columns) = (Integer(golden, "rows"), Integer(golden, "k"));
            var type = new MasterTernaryType(TensorType.BF16, RowOrder.AsStored);
            using var sample = new SampleTensor(type, golden.GetProperty("w_bf16").GetBytesFromBase64(), columns, rows);
            Assert.Equal(golden.GetProperty("trits_i8").GetBytesFromBase64().Select(b => (sbyte)b), Codes(sample));
            double scale = double.Parse(golden.GetProperty("scale").ToString(), System.Globalization.CultureInfo.InvariantCulture);
            Assert.Equal((float)scale, type.ScaleOf(sample.Tensor, 0, 0));
        }
    }

    [Theory]
    [InlineData(1)]
    [InlineData(31)]
    [InlineData(32)]
    [InlineData(100)]
    public void Packed_codes_are_where_they_are_said_to_be(int columns)
    {
        const int rows = 16, headSize = 8;
        byte[] bytes = new byte[rows / 4 * columns];
        new Random(columns).NextBytes(bytes);
        foreach (RowOrder order in (RowOrder[])[RowOrder.AsStored, new RowOrder(headSize)])
        {
            var type = new PackedTernaryType(0.5f, order);
            using var sample = new SampleTensor(type, bytes, columns, rows);
            sbyte[] codes = Codes(sample);
            for (int row = 0; row < rows; row++)
            {
                for (int c = 0; c < columns; c++)
                {
                    // Row 2j of a head is row j of its first half, row 2j + 1 row j of its second.
                    int stored = order.IsAsStored ? row : (row / headSize * headSize) + (row % 2 * headSize / 2) + (row % headSize / 2);
                    int offset = (stored % (rows / 4) * columns) + c;
                    Assert.Equal(((bytes[offset] >> (2 * (stored / (rows / 4)))) & 3) - 1, codes[(row * columns) + c]);
                    Assert.Equal(offset, type.OffsetOf(sample.Tensor, row, c));
                }
            }
        }
    }

    /// <summary>Weights at, just below and just above half the scale, where a rounding error would show.</summary>
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void Master_codes_are_the_rounded_product(int seed)
    {
        const int columns = 96, rows = 64;
        var random = new Random(seed);
        float[] weights = new float[rows * columns];
        for (int i = 0; i < weights.Length; i++)
            weights[i] = (float)((random.NextDouble() - 0.5) * 0.1 * (1 + random.NextDouble()));

        var type = new MasterTernaryType(TensorType.F32, RowOrder.AsStored);
        using var sample = new SampleTensor(type, MemoryMarshal.AsBytes<float>(weights), columns, rows);
        float scale = type.ScaleOf(sample.Tensor, 0, 0);
        Assert.Equal((float)(weights.Sum(w => (double)MathF.Abs(w)) / weights.Length), scale, 1e-9f);
        Span<float> inPlace = MemoryMarshal.Cast<byte, float>(sample.Bytes);
        float half = scale / 2;
        List<float> near = [0, -0f, scale, 1e30f, -1e30f];
        for (int step = -4; step <= 4; step++)
            near.AddRange([BitConverter.Int32BitsToSingle(BitConverter.SingleToInt32Bits(half) + step), -BitConverter.Int32BitsToSingle(BitConverter.SingleToInt32Bits(half) + step)]);
        near.ToArray().CopyTo(inPlace); // the scale is known already and stays
        sbyte[] codes = Codes(sample);
        for (int i = 0; i < codes.Length; i++)
            Assert.Equal((sbyte)Math.Clamp(MathF.Round(inPlace[i] * (1 / scale), MidpointRounding.ToEven), -1, 1), codes[i]);
    }

    /// <summary>The cut against the definition, at scales of every size; quotient and product differ at some of them.</summary>
    [Fact]
    public void The_cut_is_where_the_product_with_the_inverse_passes_one_half()
    {
        var random = new Random(7);
        int differs = 0;
        for (int i = 0; i < 2_000; i++)
        {
            float scale = (float)Math.Pow(10, (random.NextDouble() * 12) - 5), inverse = 1 / scale;
            float cut = AbsMean.Cut(scale);
            Assert.True(cut * inverse <= 0.5f && MathF.BitIncrement(cut) * inverse > 0.5f, $"{scale:R}: {cut:R}");
            differs += cut == scale / 2 ? 0 : 1;
        }

        Assert.InRange(differs, 1, 1_999);
    }

    [Fact]
    public void Masters_of_zeros_have_the_least_scale()
    {
        var type = new MasterTernaryType(TensorType.BF16, RowOrder.AsStored);
        using var sample = new SampleTensor(type, new byte[2 * 64], 32, 2);
        Assert.Equal(1e-5f, type.ScaleOf(sample.Tensor, 0, 0));
        Assert.All(Codes(sample), code => Assert.Equal(0, code));
    }

    private static sbyte[] Codes(SampleTensor sample)
    {
        int columns = (int)sample.Tensor.Columns;
        sbyte[] codes = new sbyte[columns * (int)sample.Tensor.Rows];
        for (int row = 0; row < sample.Tensor.Rows; row++)
            sample.Tensor.Type.DecodeCodes(sample.Tensor, row, codes.AsSpan(row * columns, columns));
        return codes;
    }

    private static JsonElement[] Operations(string name)
    {
        JsonElement found = JsonDocument.Parse(File.ReadAllBytes(SharedData.File("goldens", "kernels.json"))).RootElement.GetProperty("ops").GetProperty(name);
        return found.ValueKind == JsonValueKind.Array ? [.. found.EnumerateArray()] : [found];
    }

    private static int Integer(JsonElement of, string name) => int.Parse(of.GetProperty(name).ToString(), System.Globalization.CultureInfo.InvariantCulture);
}
