using Tern.Generation;
using Tern.Kernels;

namespace Tern.Tests.Generation;

public sealed class PageAllocatorTests
{
    private const int PageTokens = KvPages.PageTokens;

    [Fact]
    public void A_prefix_is_found_again_and_held()
    {
        var pages = new PageAllocator(4);
        int[] text = Text(1, 3);
        int[] held = [pages.Take(), pages.Take(), pages.Take()];
        RegisterAll(pages, held, text);
        pages.Release(held);
        Assert.Equal((1, 3, 0), (pages.FreeCount, pages.CachedCount, pages.UsedCount));
        pages.CheckIntegrity();

        int[] found = new int[4];
        Assert.Equal(2, pages.Match(text.AsSpan(0, 2 * PageTokens + 5), found, out _));
        Assert.Equal(held[..2], found[..2]);
        Assert.Equal((1, 1, 2), (pages.FreeCount, pages.CachedCount, pages.UsedCount));
        Assert.Equal(0, pages.Match(text.AsSpan(PageTokens), found, out _));
        pages.CheckIntegrity();
    }

    [Fact]
    public void The_same_tokens_after_another_prefix_are_another_page()
    {
        var pages = new PageAllocator(4);
        int[] a = [.. Text(1, 1), .. Text(2, 1)], b = [.. Text(3, 1), .. Text(2, 1)];
        int[] held = [pages.Take(), pages.Take()];
        RegisterAll(pages, held, a);
        Assert.Equal(0, pages.Match(b, new int[2], out _));
        int[] other = [pages.Take(), pages.Take()];
        RegisterAll(pages, other, b);
        int[] found = new int[2];
        Assert.Equal(2, pages.Match(b, found, out _));
        Assert.Equal(other, found);
    }

    [Fact]
    public void A_text_that_two_computed_at_once_is_registered_once()
    {
        var pages = new PageAllocator(4);
        int[] text = Text(1, 2);
        int[] first = [pages.Take(), pages.Take()], second = [pages.Take(), pages.Take()];
        RegisterAll(pages, first, text);
        RegisterAll(pages, second, text);
        Assert.All(first, page => Assert.True(pages.IsRegistered(page)));
        Assert.All(second, page => Assert.False(pages.IsRegistered(page)));
        pages.Release(second);
        pages.Release(first);
        Assert.Equal((2, 2), (pages.FreeCount, pages.CachedCount));
        pages.CheckIntegrity();
    }

    [Fact]
    public void The_page_released_longest_ago_is_evicted_and_its_text_forgotten()
    {
        var pages = new PageAllocator(3);
        int[] old = Text(1, 2), young = Text(2, 1);
        int[] held = [pages.Take(), pages.Take()];
        RegisterAll(pages, held, old);
        int[] other = [pages.Take()];
        RegisterAll(pages, other, young);
        pages.Release(held);
        pages.Release(other);

        // Of the two old pages the second goes first: the first is of use without it, not the other way round.
        int[] found = new int[2];
        Assert.Equal(held[1], pages.Take());
        Assert.Equal(1, pages.Match(old, found, out _));
        pages.Release(found.AsSpan(0, 1));
        Assert.Equal(other[0], pages.Take());
        Assert.Equal(held[0], pages.Take());
        Assert.Equal(0, pages.Match(old, found, out _));
        pages.CheckIntegrity();
    }

    [Fact]
    public void Misuse_is_refused()
    {
        var pages = new PageAllocator(1);
        int page = pages.Take();
        Assert.Throws<InvalidOperationException>(() => pages.Take());
        pages.Release([page]);
        Assert.Throws<InvalidOperationException>(() => pages.Release([page]));
    }

    private static void RegisterAll(PageAllocator pages, int[] held, int[] text)
    {
        long prefix = PageAllocator.Root;
        for (int i = 0; i < held.Length; i++)
            prefix = pages.Register(held[i], prefix, text.AsSpan(i * PageTokens, PageTokens));
    }

    private static int[] Text(int seed, int pages)
    {
        var random = new Random(seed);
        return [.. Enumerable.Range(0, pages * PageTokens).Select(_ => random.Next(1000))];
    }
}
