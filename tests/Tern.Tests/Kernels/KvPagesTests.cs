using Tern.Kernels;
using Tern.Machine;

namespace Tern.Tests.Kernels;

/// <summary>Where keys and values of a position lie in a page.</summary>
public sealed unsafe class KvPagesTests
{
    [Theory]
    [InlineData(false, 1, 64)]
    [InlineData(false, 3, 100)]
    [InlineData(true, 2, 128)]
    [InlineData(true, 5, 100)]
    [InlineData(true, 1, 2)]
    public void Every_number_of_a_page_lies_where_the_drawing_says(bool half, int kvHeads, int headDim)
    {
        KvType type = half ? KvType.F16 : KvType.F32;
        var pages = new KvPages(type, kvHeads, headDim);
        Assert.Equal(0, pages.LayerPageBytes % 64);
        Assert.Equal(2L * kvHeads * headDim * KvPages.PageTokens * pages.ElementBytes, pages.LayerPageBytes);

        using var page = new NativeBuffer<byte>(pages.LayerPageBytes);
        int width = kvHeads * headDim;
        float[] keys = FloatTestData.Uniform(1, KvPages.PageTokens * width, 100);
        float[] values = FloatTestData.Mixed(2, KvPages.PageTokens * width);
        fixed (float* k = keys, v = values)
        {
            foreach (int slot in Enumerable.Range(0, KvPages.PageTokens).Reverse())
                pages.Append(page.Pointer, slot, k + (slot * width), v + (slot * width));
        }

        for (int slot = 0; slot < KvPages.PageTokens; slot++)
            for (int head = 0; head < kvHeads; head++)
                for (int d = 0; d < headDim; d++)
                {
                    int source = (slot * width) + (head * headDim) + d;
                    Assert.Equal(Stored(type, keys[source]), At(type, pages.KeyTile(page.Pointer, head), (d * KvPages.PageTokens) + slot));
                    Assert.Equal(Stored(type, values[source]), At(type, pages.ValueTile(page.Pointer, head), (slot * headDim) + d));
                }
    }

    [Fact]
    public void Appending_a_slot_leaves_the_others_alone()
    {
        var pages = new KvPages(KvType.F16, 2, 36);
        using var page = new NativeBuffer<byte>(pages.LayerPageBytes);
        float[] ones = [.. Enumerable.Repeat(1f, 72)];
        fixed (float* k = ones)
            pages.Append(page.Pointer, 7, k, k);
        Assert.Equal(2 * 72, page.Span.ToArray().Chunk(2).Count(pair => pair[1] != 0));
        Assert.Throws<ArgumentOutOfRangeException>(() => pages.Append(page.Pointer, KvPages.PageTokens, null, null));
    }

    private static float Stored(KvType type, float value) => type == KvType.F16 ? (float)(Half)value : value;

    private static float At(KvType type, byte* tile, int index) =>
        type == KvType.F16 ? (float)BitConverter.UInt16BitsToHalf(((ushort*)tile)[index]) : ((float*)tile)[index];
}
