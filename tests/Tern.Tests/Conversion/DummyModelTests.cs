using Tern.Conversion;
using Tern.Conversion.HuggingFace;
using Tern.Kernels;
using Tern.Measure;
using Tern.Models;
using Tern.Numerics;
using Tern.Tests.Files;

namespace Tern.Tests.Conversion;

/// <summary>Dummy models of every architecture and tensor type that is written load, compute finite numbers, and are the same bytes for a seed.</summary>
public sealed class DummyModelTests : IDisposable
{
    private static readonly DummyGeometry[] s_geometries =
    [
        new("small", "bitnet-b1.58", 256, 512, 2, 4, 2, 64, 600, 128, 10_000),
        new("small", "bitnet", 256, 512, 2, 4, 4, 64, 600, 128, 10_000),
        new("small", "qwen3", 256, 768, 2, 4, 2, 128, 600, 128, 1_000_000),
    ];

    private readonly TempFolder _folder = new();

    public static TheoryData<string> Types => [.. TensorType.All.Where(t => t.CanEncode).Select(t => t.Name)];

    public static TheoryData<string> Geometries => [.. DummyGeometry.All.Select(g => g.Name)];

    public void Dispose() => _folder.Dispose();

    [Theory]
    [MemberData(nameof(Types))]
    public void Every_type_loads_and_computes(string name)
    {
        TensorType type = TensorType.All.First(t => t.Name == name);
        foreach (DummyGeometry geometry in s_geometries)
        {
            string path = Write(geometry, type, seed: 7);
            using Model model = Model.Load(path, new ModelOptions { Threads = 2 });
            using var probe = new LogitProbe(model, 16, SequenceRunner.ChunkMax, KvType.F16);
            LogitReport report = probe.Run([1, 2, 3], 4, CancellationToken.None);
            Assert.All(report.Logits, logit => Assert.True(float.IsFinite(logit)));
            Assert.True(report.Logits.Distinct().Count() > 100, "random weights give different logits");
        }
    }

    [Fact]
    public void A_seed_gives_the_same_bytes_and_another_seed_others()
    {
        byte[] first = File.ReadAllBytes(Write(s_geometries[0], TensorType.I2S, seed: 1));
        Assert.Equal(first, File.ReadAllBytes(Write(s_geometries[0], TensorType.I2S, seed: 1)));
        Assert.NotEqual(first, File.ReadAllBytes(Write(s_geometries[0], TensorType.I2S, seed: 2)));
    }

    [Theory]
    [MemberData(nameof(Geometries))]
    public void Published_dimensions_fit_the_canonical_type(string name)
    {
        DummyGeometry geometry = DummyGeometry.Find(name);
        int queryWidth = geometry.Heads * geometry.HeadDim;
        foreach (int columns in (int[])[geometry.HiddenSize, queryWidth, geometry.FeedForwardSize])
            Assert.True(TensorType.I2S.FitsShape((UInt128)columns, (UInt128)geometry.HiddenSize), $"{columns} columns");
        Assert.Equal(0, geometry.Heads % geometry.KvHeads);
    }

    [Fact]
    public void A_checkpoint_of_every_architecture_converts_and_computes()
    {
        foreach (DummyGeometry geometry in s_geometries)
        {
            string folder = Path.Combine(_folder.Path, "checkpoint"), path = Path.Combine(_folder.Path, "converted.gguf");
            DummyCheckpoint.Write(folder, geometry, seed: 3, _ => { }, CancellationToken.None);
            RecodingTests.Recode(folder, path, new ConversionOptions { Threads = 2 });
            using Model converted = Model.Load(path, new ModelOptions { Threads = 2 });
            using Model original = Model.Load(folder, new ModelOptions { Threads = 2 });
            using var probe = new LogitProbe(converted, 16, SequenceRunner.ChunkMax, KvType.F16);
            using var expected = new LogitProbe(original, 16, SequenceRunner.ChunkMax, KvType.F16);
            Assert.Equal(expected.Run([1, 2, 3], 4, CancellationToken.None).Logits, probe.Run([1, 2, 3], 4, CancellationToken.None).Logits);
        }
    }

    [Fact]
    public void A_cancelled_write_leaves_nothing()
    {
        using var cancelled = new CancellationTokenSource();
        cancelled.Cancel();
        string path = Path.Combine(_folder.Path, "cancelled.gguf");
        var options = new DummyOptions(s_geometries[0], TensorType.I2S, TensorType.F16, 1);
        Assert.Throws<OperationCanceledException>(() => DummyModel.Write(path, options, _ => { }, cancelled.Token));
        Assert.Empty(Directory.EnumerateFileSystemEntries(_folder.Path));
    }

    [Fact]
    public void Dimensions_that_are_no_whole_blocks_are_refused_with_the_remedy()
    {
        DummyGeometry odd = s_geometries[0] with { FeedForwardSize = 320 };
        TernException e = Assert.Throws<TernException>(() => Write(odd, TensorType.TQ1_0, seed: 1));
        Assert.Contains("TQ1_0", e.Message, StringComparison.Ordinal);
        Assert.Contains("--type", e.Message, StringComparison.Ordinal);
    }

    private string Write(DummyGeometry geometry, TensorType type, ulong seed)
    {
        string path = Path.Combine(_folder.Path, "dummy.gguf");
        DummyModel.Write(path, new DummyOptions(geometry, type, TensorType.F16, seed), _ => { }, CancellationToken.None);
        return path;
    }
}
