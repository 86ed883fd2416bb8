using Tern.Kernels;
using Tern.Machine;

namespace Tern.Tests.Kernels;

/// <summary>Where keys and values of a position lie in a page, and how far they are from what was given.</summary>
public sealed unsafe class KvPagesTests
{
    public static TheoryData<string, int, int> Layouts
    {
        get
        {
            var layouts = new TheoryData<string, int, int>();
            foreach (KvType type in Enum.GetValues<KvType>())
                foreach ((int kvHeads, int headDim) in ((int, int)[])[(1, 64), (3, 100), (2, 128), (5, 80), (1, 2)])
                    layouts.Add(type.ToString(), kvHeads, headDim);
            return layouts;
        }
    }

    [Theory]
    [MemberData(nameof(Layouts))]
    public void Every_number_of_a_page_lies_where_the_drawing_says(string name, int kvHeads, int headDim)
    {
        KvType type = Enum.Parse<KvType>(name);
        var pages = new KvPages(type, kvHeads, headDim);
        Assert.Equal(0, pages.LayerPageBytes % 64);
        Assert.Equal(0, pages.KeyTileBytes % 64);

        using var page = new NativeBuffer<byte>(pages.LayerPageBytes);
        page.Span.Fill(0xA5);
        int width = kvHeads * headDim;
        float[] keys = FloatTestData.Uniform(1, KvPages.PageTokens * width, 100);
        float[] values = FloatTestData.Mixed(2, KvPages.PageTokens * width);
        for (int i = 0; i < values.Length; i++)
            values[i] = Math.Clamp(values[i], -65504f, 65504f);
        fixed (float* k = keys, v = values)
        {
            foreach (int slot in Enumerable.Range(0, KvPages.PageTokens).Reverse())
                pages.Append(page.Pointer, slot, k + (slot * width), v + (slot * width));
        }

        for (int slot = 0; slot < KvPages.PageTokens; slot++)
            for (int head = 0; head < kvHeads; head++)
                for (int d = 0; d < headDim; d++)
                {
                    byte* keySquare = pages.KeyTile(page.Pointer, head) + (d / 32 * pages.SquareBytes);
                    byte* valueSquare = pages.ValueTile(page.Pointer, head) + (d / 32 * pages.SquareBytes);
                    int first = (slot * width) + (head * headDim) + (d / 32 * 32);
                    int count = Math.Min(32, headDim - (d / 32 * 32));
                    AssertStored(type, keys.AsSpan(first, count), d % 32, At(pages, keySquare, d % 32, slot, slot));
                    AssertStored(type, values.AsSpan(first, count), d % 32, At(pages, valueSquare, slot, d % 32, slot));
                }
    }

    [Fact]
    public void Bytes_per_token_are_those_of_the_types()
    {
        // BitNet b1.58 2B-4T: 5 KV heads of 128, 30 layers.
        Assert.Equal(153_600, PerToken(KvType.F32));
        Assert.Equal(76_800, PerToken(KvType.F16));
        Assert.Equal(76_800 * 34 / 64, PerToken(KvType.Q8_0));
        Assert.Equal(76_800 * 18 / 64, PerToken(KvType.Q4_0));

        static long PerToken(KvType type) => new KvPages(type, 5, 128).LayerPageBytes * 30 / KvPages.PageTokens;
    }

    [Theory]
    [InlineData(nameof(KvType.F16))]
    [InlineData(nameof(KvType.Q8_0))]
    [InlineData(nameof(KvType.Q4_0))]
    public void Appending_a_slot_leaves_the_others_alone(string name)
    {
        var pages = new KvPages(Enum.Parse<KvType>(name), 2, 36);
        using var page = new NativeBuffer<byte>(pages.LayerPageBytes);
        float[] numbers = FloatTestData.Uniform(1, KvPages.PageTokens * 72);
        float[] others = FloatTestData.Uniform(2, 72);
        fixed (float* k = numbers, other = others)
        {
            for (int slot = 0; slot < KvPages.PageTokens; slot++)
                pages.Append(page.Pointer, slot, k + (slot * 72), k + (slot * 72));
            byte[] before = page.Span.ToArray();
            foreach (int slot in (int[])[7, 16, 31])
            {
                pages.Append(page.Pointer, slot, other, other);
                Assert.NotEqual(before, page.Span.ToArray());
                pages.Append(page.Pointer, slot, k + (slot * 72), k + (slot * 72));
                Assert.Equal(before, page.Span.ToArray());
            }
        }

        Assert.Throws<ArgumentOutOfRangeException>(() => pages.Append(page.Pointer, KvPages.PageTokens, null, null));
    }

    [Theory]
    [InlineData(1e6f, 65536f)]
    [InlineData(-65520f, -65536f)]
    [InlineData(65519.99f, 65504f)]
    [InlineData(6.1e-5f, 6.1e-5f)]
    [InlineData(6e-8f, 5.9604645e-8f)]
    [InlineData(-2e-8f, 0f)]
    public void Halves_saturate_and_have_subnormals(float given, float stored)
    {
        var pages = new KvPages(KvType.F16, 1, 1);
        using var page = new NativeBuffer<byte>(pages.LayerPageBytes);
        pages.Append(page.Pointer, 20, &given, &given);
        Assert.Equal(stored == 6.1e-5f ? (float)(Half)stored : stored, At(pages, page.Pointer, 0, 20, 20));
    }

    /// <summary>Number <paramref name="index"/> of row <paramref name="row"/> of a square, times its scale; what a kernel makes of it.</summary>
    private static float At(KvPages pages, byte* square, int row, int index, int slot)
    {
        byte* at = square + pages.ScaleBytes + (row * pages.RowBytes);
        switch (pages.Type)
        {
            case KvType.F32:
                return ((float*)at)[index];
            case KvType.F16:
                float* lanes = stackalloc float[2 * Lanes.Count];
                LanesScalar.Store(KvRows.F16.First<LanesScalar>(at), lanes);
                LanesScalar.Store(KvRows.F16.Second<LanesScalar>(at), lanes + Lanes.Count);
                int word = ((int*)at)[index % 16];
                Assert.Equal((float)BitConverter.UInt16BitsToHalf((ushort)(index < 16 ? word : word >> 16)) is var half && float.IsInfinity(half) ? MathF.CopySign(65536, half) : half, lanes[index]);
                return lanes[index];
            default:
                float scale = (float)BitConverter.UInt16BitsToHalf(((ushort*)square)[slot]);
                return scale * (pages.Type == KvType.Q8_0 ? (sbyte)at[index] : ((at[index % 16] >> (index < 16 ? 0 : 4)) & 15) - 8);
        }
    }

    /// <summary>
    /// Within half a step of the given number: F16 rounds as Half, Q8_0 has 254 steps over twice the largest magnitude, Q4_0 has 15 of an
    /// eighth of it (its far end is one step short). The scale itself is a half: relative 2^-11, absolute 2^-25, times the code.
    /// </summary>
    private static void AssertStored(KvType type, ReadOnlySpan<float> block, int index, float stored)
    {
        float given = block[index];
        float largest = 0;
        foreach (float x in block)
            largest = Math.Max(largest, Math.Abs(x));
        switch (type)
        {
            case KvType.F32:
                Assert.Equal(given, stored);
                break;
            case KvType.F16:
                Assert.Equal((float)(Half)given, stored);
                break;
            default:
                (double step, double codes) = type == KvType.Q8_0 ? (largest / 127.0, 127) : (largest / 8.0, 8);
                double rounding = (type == KvType.Q8_0 ? 0.5 : 1.0) * step * (1 + 1e-6);
                double scaleError = codes * ((step * Math.ScaleB(1, -11)) + Math.ScaleB(1, -25));
                Assert.InRange(stored, given - rounding - scaleError, given + rounding + scaleError);
                break;
        }
    }
}
