using Tern.Kernels;
using Tern.Tests.Files;

namespace Tern.Tests.Kernels;

public sealed class TuningCacheTests : IDisposable
{
    private const string Key = "tern 1 | a processor | 2 threads";

    private static readonly TunedRow[] s_measured = [new("Q6_K", "q6_k-avx2", 90, 0), new("I2_S", "ternary-avx512", 20, 3), new("I2_S", "ternary-avx2", 21, 4)];

    private static readonly Dictionary<string, string> s_rows = new() { ["I2_S"] = "ternary-avx512", ["Q6_K"] = "q6_k-avx2" };

    private readonly TempFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void What_is_remembered_is_found_by_its_key_only()
    {
        var cache = new TuningCache(_folder.File("made/on/demand"));
        Assert.Null(cache.Find(Key));
        cache.Remember(Key, s_measured);
        Assert.Equal(s_rows, cache.Find(Key));
        Assert.Null(cache.Find(Key + " more"));
        cache.Remember(Key, [new("I2_S", "ternary-avx2", 1, 1)]);
        Assert.Equal("ternary-avx2", Assert.Single(cache.Find(Key)!).Value);
        Assert.Single(Directory.EnumerateFileSystemEntries(_folder.File("made/on/demand")));
    }

    [Theory]
    [InlineData("")]
    [InlineData("{")]
    [InlineData("[]")]
    [InlineData("null")]
    [InlineData("{\"key\":1,\"rows\":{}}")]
    [InlineData("{\"key\":\"another\",\"rows\":{}}")]
    [InlineData("{\"key\":\"tern 1 | a processor | 2 threads\"}")]
    [InlineData("{\"key\":\"tern 1 | a processor | 2 threads\",\"rows\":[]}")]
    [InlineData("{\"key\":\"tern 1 | a processor | 2 threads\",\"rows\":{\"I2_S\":7}}")]
    [InlineData("{\"key\":\"tern 1 | a processor | 2 threads\",\"rows\":{\"I2_S\":\"a\",\"I2_S\":\"b\"}}")]
    public void A_damaged_file_counts_as_not_remembered(string content)
    {
        var cache = new TuningCache(_folder.Path);
        cache.Remember(Key, s_measured);
        string file = Assert.Single(Directory.GetFiles(_folder.Path));
        File.WriteAllText(file, content);
        Assert.Null(cache.Find(Key));
        cache.Remember(Key, s_measured);
        Assert.Equal(s_rows, cache.Find(Key));
    }

    [Fact]
    public void A_huge_file_is_not_read()
    {
        var cache = new TuningCache(_folder.Path);
        cache.Remember(Key, s_measured);
        File.AppendAllText(Assert.Single(Directory.GetFiles(_folder.Path)), new string(' ', 1 << 20));
        Assert.Null(cache.Find(Key));
    }

    [Fact]
    public void A_folder_that_cannot_be_written_is_no_error()
    {
        string file = _folder.Write("file", [1]);
        foreach (string? folder in new[] { file, file + "/below", _folder.File("a\0b"), null })
        {
            var cache = new TuningCache(folder);
            cache.Remember(Key, s_measured);
            Assert.Null(cache.Find(Key));
        }
    }

    [Fact]
    public void Writers_and_readers_at_the_same_time_see_whole_files()
    {
        var cache = new TuningCache(_folder.Path);
        Parallel.For(0, 200, i =>
        {
            if (i % 2 == 0)
                cache.Remember(Key, s_measured);
            else if (cache.Find(Key) is { } found)
                Assert.Equal(s_rows, found);
        });
        Assert.Equal(s_rows, cache.Find(Key));
        Assert.Single(Directory.GetFiles(_folder.Path));
    }
}
