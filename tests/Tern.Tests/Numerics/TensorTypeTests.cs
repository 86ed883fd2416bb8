using Tern.Numerics;

namespace Tern.Tests.Numerics;

public sealed class TensorTypeTests
{
    public static TheoryData<string> Names => [.. Types.Select(type => type.Name)];

    /// <summary>The registry and the two arrangements of I2_S that a user may ask for.</summary>
    private static readonly TernaryType[] s_i2sLayouts = [TensorType.I2S, TensorType.I2SArm, TensorType.I2SFourRow];

    private static TensorType[] Types => [.. TensorType.All.Union(s_i2sLayouts)];

    [Fact]
    public void Names_are_unique_and_spans_tell_types_of_one_id_apart()
    {
        Assert.Equal(Types.Length, Types.Select(type => type.Name).Distinct().Count());
        foreach (IGrouping<int, TensorType> sameId in TensorType.All.GroupBy(type => type.GgufId))
            Assert.Equal(sameId.Count(), sameId.Select(type => type.ByteCount(2560, 640)).Distinct().Count());
    }

    [Theory]
    [InlineData("I2_S", 6912, 2560, 4_423_712)]
    [InlineData("I2_S", 2560, 640, 409_632)]
    [InlineData("TQ1_0", 256, 3, 162)]
    [InlineData("TQ2_0", 512, 3, 396)]
    [InlineData("Q1_0", 256, 2, 72)]
    [InlineData("Q2_0", 256, 2, 144)]
    [InlineData("Q2_0_G128", 256, 2, 136)]
    [InlineData("IQ1_BN", 128, 2, 56)]
    [InlineData("IQ2_BN", 128, 2, 72)]
    [InlineData("Q4_0", 64, 2, 72)]
    [InlineData("Q4_1", 64, 2, 80)]
    [InlineData("Q5_0", 64, 2, 88)]
    [InlineData("Q8_0", 64, 2, 136)]
    [InlineData("Q4_K", 512, 2, 576)]
    [InlineData("Q6_K", 512, 2, 840)]
    [InlineData("F32", 7, 3, 84)]
    [InlineData("F16", 7, 3, 42)]
    [InlineData("BF16", 7, 3, 42)]
    public void Byte_counts_are_those_of_the_format(string name, int columns, int rows, long bytes) =>
        Assert.Equal((UInt128)bytes, Named(name).ByteCount((UInt128)columns, (UInt128)rows));

    [Theory]
    [MemberData(nameof(Names))]
    public void Round_trip_stays_within_the_types_tolerance(string name)
    {
        TensorType type = Named(name);
        Assert.True(type.CanEncode);
        float[] values = [.. Enumerable.Range(0, 4096).Select(i => 0.1f + (2 * MathF.Cos(i)))];
        using SampleTensor sample = SampleTensor.Encode(type, values, 512);
        double error = Math.Sqrt(sample.Decode().Zip(values, (a, b) => Math.Pow(a - b, 2)).Average());
        Assert.True(error <= type.RoundTripTolerance, $"{name}: {error} > {type.RoundTripTolerance}");

        // The field's own tests hold sqrt(Σ error²) / n to 0.025 for binary, 0.01 for ternary and 0.002 for other types.
        double peers = name == "Q1_0" ? 0.025 : type.IsTernary || name.StartsWith("Q2_0", StringComparison.Ordinal) ? 0.01 : 0.002;
        Assert.True(type.RoundTripTolerance <= peers * 64);
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void Encoding_what_was_decoded_changes_nothing(string name)
    {
        TensorType type = Named(name);
        using SampleTensor first = SampleTensor.Encode(type, Noise(4 * 768, 3), 768);
        float[] decoded = first.Decode();
        using SampleTensor second = SampleTensor.Encode(type, decoded, 768);
        float largest = decoded.Max(MathF.Abs);
        float[] again = second.Decode();
        for (int i = 0; i < decoded.Length; i++)
            Assert.True(MathF.Abs(decoded[i] - again[i]) <= 2e-3f * largest, $"{name} [{i}]: {decoded[i]} became {again[i]}");
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void Zeros_stay_zeros(string name)
    {
        using SampleTensor sample = SampleTensor.Encode(Named(name), new float[4 * 512], 512);
        Assert.All(sample.Decode(), value => Assert.Equal(0f, value));
        Assert.Equal(-1, sample.Tensor.Type.FindBadScale(sample.Tensor));
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void Rows_decode_alone_as_together(string name)
    {
        TensorType type = Named(name);
        float[] weights = Noise(8 * 768, 4);
        using SampleTensor sample = SampleTensor.Encode(type, weights, 768);
        using SampleTensor flat = new(type, sample.Bytes, 768, 2, 4);
        Assert.Equal(8, flat.Tensor.Rows);
        Assert.Equal(sample.Decode(), flat.Decode());
        if (type is BlockType)
        {
            using SampleTensor oneRow = new(type, sample.Bytes[^(sample.Bytes.Length / 8)..], 768, 1);
            Assert.Equal(sample.Decode()[^768..], oneRow.Decode());
        }
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void Not_a_number_shows_in_a_scale(string name)
    {
        TensorType type = Named(name);
        float[] weights = Noise(4 * 512, 5);
        weights[1300] = float.NaN;
        using SampleTensor sample = SampleTensor.Encode(type, weights, 512);
        Assert.True(type.BlockSize == 1 || type.FindBadScale(sample.Tensor) >= 0, name);
    }

    [Fact]
    public void Every_scale_of_a_block_is_looked_at()
    {
        foreach (BlockType type in Types.OfType<BlockType>())
        {
            foreach (int offset in type.ScaleOffsets)
            {
                foreach (ushort bad in new ushort[] { 0x7C00, 0xFC00, 0x7E01, 0x7C01 })
                {
                    using SampleTensor sample = SampleTensor.Encode(type, Noise(3 * 512, 6), 512);
                    Assert.Equal(-1, type.FindBadScale(sample.Tensor));
                    int at = sample.Bytes.Length - type.BlockBytes + offset;
                    BitConverter.TryWriteBytes(sample.Bytes[at..], bad);
                    Assert.Equal(at, type.FindBadScale(sample.Tensor));
                }
            }
        }
    }

    [Theory]
    [InlineData("I2_S", 512 * 4 / 4)]
    [InlineData("TQ1_0", (7 * 54) + 52)]
    [InlineData("TQ2_0", (7 * 66) + 64)]
    [InlineData("IQ1_BN", 3 * ((8 * 13) + 2))]
    [InlineData("IQ2_BN", 3 * ((8 * 16) + 4))]
    public void Ternary_scales_are_looked_at(string name, int offset)
    {
        using SampleTensor sample = SampleTensor.Encode(Named(name), Noise(4 * 512, 7), 512);
        Assert.Equal(-1, sample.Tensor.Type.FindBadScale(sample.Tensor));
        if (name is "I2_S" or "IQ2_BN")
            BitConverter.TryWriteBytes(sample.Bytes[offset..], float.PositiveInfinity);
        else
            BitConverter.TryWriteBytes(sample.Bytes[offset..], (ushort)0x7C01);
        Assert.Equal(offset, sample.Tensor.Type.FindBadScale(sample.Tensor));
    }

    [Fact]
    public void Codes_times_scales_are_the_weights()
    {
        foreach (TernaryType type in Types.OfType<TernaryType>())
        {
            Assert.True(type.IsTernary);
            float[] weights = Noise(4 * 768, 8);
            using SampleTensor sample = SampleTensor.Encode(type, weights, 768);
            Tensor tensor = sample.Tensor;
            float[] decoded = sample.Decode();
            sbyte[] codes = new sbyte[768];
            int group = (int)type.ScaleColumns(tensor);
            Assert.Equal(name(type).StartsWith("TQ", StringComparison.Ordinal) ? 256 : 768, group);
            for (int row = 0; row < 4; row++)
            {
                type.DecodeCodes(tensor, row, codes);
                for (int i = 0; i < 768; i++)
                {
                    Assert.InRange(codes[i], -1, 1);
                    Assert.Equal(codes[i] * type.ScaleOf(tensor, row, i / group), decoded[(row * 768) + i]);
                }
            }
        }

        static string name(TensorType type) => type.Name;
    }

    [Fact]
    public void Rows_of_I2S_may_straddle_groups()
    {
        float[] weights = [.. Noise(8 * 48, 9).Select(w => MathF.Round(Math.Clamp(w, -1, 1)) * 0.25f)];
        foreach (TernaryType type in s_i2sLayouts)
        {
            Assert.True(type.FitsShape(48, 8));
            using SampleTensor sample = SampleTensor.Encode(type, weights, 48);
            Assert.Equal(weights, sample.Decode());
        }

        Assert.False(TensorType.I2S.FitsShape(48, 7));
        Assert.False(TensorType.I2SFourRow.FitsShape(128, 7));
    }

    [Fact]
    public void The_forbidden_code_is_reported_as_two()
    {
        (TernaryType Type, int Byte, int Value)[] cases =
        [
            (TensorType.I2S, 0, 0b11_01_01_01), (TensorType.I2SArm, 0, 0b11_01_01_01), (TensorType.I2SFourRow, 0, 0b11_01_01_01),
            (TensorType.TQ2_0, 0, 0b01_01_01_11), (TensorType.IQ2_BN, 4, 0b01_01_01_11),
        ];
        foreach ((TernaryType type, int at, int value) in cases)
        {
            using SampleTensor sample = SampleTensor.Encode(type, new float[4 * 256], 256);
            sample.Bytes[at] = (byte)value;
            sbyte[] codes = new sbyte[256];
            type.DecodeCodes(sample.Tensor, 0, codes);
            Assert.Equal(2, codes[0]);
            Assert.All(codes[1..], code => Assert.Equal(0, code));
        }
    }

    [Fact]
    public void Wrong_lengths_are_refused()
    {
        foreach (TensorType type in Types)
        {
            byte[] bytes = new byte[(int)type.ByteCount(512, 4)];
            Assert.Throws<ArgumentException>(() => type.Encode(new float[4 * 512], 512, bytes.AsSpan(1)));
            Assert.ThrowsAny<ArgumentException>(() => type.Encode(new float[(4 * 512) - 1], 512, bytes));
            using SampleTensor sample = new(type, bytes, 512, 4);
            Assert.ThrowsAny<ArgumentException>(() => sample.Tensor.DecodeRow(4, new float[512]));
            Assert.ThrowsAny<ArgumentException>(() => sample.Tensor.DecodeRow(0, new float[511]));
        }
    }

    internal static TensorType Named(string name) => Types.Single(type => type.Name == name);

    internal static float[] Noise(int count, int seed)
    {
        var random = new Random(seed);
        return [.. Enumerable.Range(0, count).Select(_ => (float)(random.NextDouble() + random.NextDouble() + random.NextDouble() - 1.5))];
    }

    /// <summary>llama-quantize's rule: 4 and 5 bits round halves up, 8 bits away from zero, so that its files and ours are the same bytes.</summary>
    [Theory]
    [InlineData("Q4_0", -8f)]
    [InlineData("Q5_0", -16f)]
    [InlineData("Q8_0", 127f)]
    public void Ties_fall_as_in_files_of_others(string name, float largest)
    {
        TensorType type = TensorType.All.First(t => t.Name == name);
        float[] weights = new float[32], decoded = new float[32];
        weights[0] = largest; // the step is 1
        for (int i = 1; i < 12; i++)
            weights[i] = i - 6 + 0.5f;
        using SampleTensor sample = SampleTensor.Encode(type, weights, columns: 32);
        sample.Tensor.DecodeRow(0, decoded);
        for (int i = 1; i < 12; i++)
            Assert.Equal(name == "Q8_0" ? MathF.Round(weights[i], MidpointRounding.AwayFromZero) : MathF.Floor(weights[i] + 0.5f), decoded[i]);
    }
}
