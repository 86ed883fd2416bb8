using Tern.Numerics;

namespace Tern.Tests.Numerics;

/// <summary>The vector decoders of ternary types against one line of plain code for each, on every byte there is.</summary>
public sealed class DecodeCodesTests
{
    private const int Columns = 512, Rows = 96;

    /// <summary>Byte of a row and code of that byte which hold a column, by the drawings in the types' files.</summary>
    private static readonly (TernaryType Type, Func<int, (int At, int Digit)> Place, Func<byte, int, int> Digit)[] s_plain =
    [
        (TensorType.I2S, c => ((c / 128 * 32) + (c % 32), c % 128 / 32), (b, d) => b >> (6 - (2 * d)) & 3),
        (TensorType.I2SArm, c => ((c / 64 * 16) + (c % 16), c % 64 / 16), (b, d) => b >> (6 - (2 * d)) & 3),
        (TensorType.TQ2_0, c => ((c / 256 * 66) + (c % 256 / 128 * 32) + (c % 32), c % 128 / 32), (b, d) => b >> (2 * d) & 3),
        (TensorType.TQ1_0, PlaceOfTQ1_0, Trit),
    ];

    public static TheoryData<string> Types => [.. s_plain.Select(p => p.Type.Name)];

    [Theory]
    [MemberData(nameof(Types))]
    public void Codes_are_those_of_the_drawing(string name)
    {
        (TernaryType type, Func<int, (int At, int Digit)> place, Func<byte, int, int> digit) = s_plain.Single(p => p.Type.Name == name);
        byte[] bytes = new byte[(int)type.ByteCount(Columns, Rows)];
        new Random(3).NextBytes(bytes);
        using var sample = new SampleTensor(type, bytes, Columns, Rows);
        int rowBytes = (int)(type.ByteCount(Columns, 2) - type.ByteCount(Columns, 1));
        sbyte[] codes = new sbyte[Columns];
        for (int row = 0; row < Rows; row++)
        {
            type.DecodeCodes(sample.Tensor, row, codes);
            for (int c = 0; c < Columns; c++)
            {
                (int at, int d) = place(c);
                Assert.Equal(digit(bytes[(row * rowBytes) + at], d) - 1, codes[c]);
            }
        }
    }

    [Fact]
    public void Scales_of_all_rows_are_those_of_each_group()
    {
        foreach (TernaryType type in TensorType.All.OfType<TernaryType>())
        {
            byte[] bytes = new byte[(int)type.ByteCount(Columns, Rows)];
            new Random(4).NextBytes(bytes);
            using var sample = new SampleTensor(type, bytes, Columns, Rows);
            int groups = (int)(Columns / type.ScaleColumns(sample.Tensor));
            float[] scales = new float[Rows * groups];
            type.ReadScales(sample.Tensor, scales);
            for (int i = 0; i < scales.Length; i++)
                Assert.Equal(BitConverter.SingleToUInt32Bits(type.ScaleOf(sample.Tensor, i / groups, i % groups)), BitConverter.SingleToUInt32Bits(scales[i]));
        }
    }

    private static (int At, int Digit) PlaceOfTQ1_0(int column)
    {
        (int block, int c) = Math.DivRem(column, 256);
        (int at, int digit) = c < 160 ? (c % 32, c / 32) : c < 240 ? (32 + (c % 16), (c - 160) / 16) : (48 + (c % 4), (c - 240) / 4);
        return ((block * 54) + at, digit);
    }

    private static int Trit(byte value, int digit)
    {
        for (int n = 0; n < digit; n++)
            value *= 3;
        return value * 3 >> 8;
    }
}
