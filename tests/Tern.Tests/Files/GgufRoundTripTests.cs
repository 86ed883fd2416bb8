using Tern.Files;
using Tern.Numerics;

namespace Tern.Tests.Files;

/// <summary>file → model → file is the identity, for metadata and for bytes.</summary>
public sealed class GgufRoundTripTests : IDisposable
{
    private static readonly string s_storyteller = Path.Combine(Repository.Root, "src", "Tern.Cli", "models", "storyteller.gguf");

    private readonly TempFolder _folder = new();

    public static TheoryData<string> Goldens =>
        SharedData.Root is null ? ["none"] : [.. Directory.EnumerateFiles(SharedData.File("goldens"), "*.gguf").Select(f => Path.GetFileName(f))];

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Storyteller_is_written_as_it_was_read() => AssertIdentity(s_storyteller);

    [Fact]
    public void Every_value_type_is_written_as_it_was_read() => AssertIdentity(_folder.Write("small.gguf", GgufImage.Small().Build()));

    [SharedTheory]
    [MemberData(nameof(Goldens))]
    public void Golden_is_written_as_it_was_read(string name)
    {
        string path = SharedData.File("goldens", name);
        AssertIdentity(path);
        using var file = GgufFile.Open(path);
        Assert.Empty(file.Warnings);
    }

    [Theory]
    [InlineData(1u)]
    [InlineData(64u)]
    [InlineData(8u)]
    public void Alignment_of_the_metadata_is_kept(uint alignment)
    {
        GgufImage image = GgufImage.Small().SetU32("general.alignment", alignment);
        image.Alignment = alignment;
        AssertIdentity(_folder.Write("aligned.gguf", image.Arrange().Build()));
    }

    [Fact]
    public void Version_2_reads_like_version_3()
    {
        GgufImage image = GgufImage.Small();
        byte[] third = image.Build();
        image.Version = 2;
        using var file = GgufFile.Open(_folder.Write("second.gguf", image.Build()));
        string copy = _folder.File("copy.gguf");
        GgufWriter.Write(copy, file.Metadata, [.. file.TensorsInOrder.Select(TensorSource.From)]);
        Assert.Equal(third, File.ReadAllBytes(copy));
    }

    [Fact]
    public void Set_derives_the_type_that_the_file_had()
    {
        using var file = GgufFile.Open(_folder.Write("small.gguf", GgufImage.Small().Build()));
        var copy = new Metadata("copy");
        foreach (MetadataEntry entry in file.Metadata.Entries)
            copy.Set(entry.Key, entry.Value);
        Assert.Equal(
            file.Metadata.Entries.Select(e => (e.Key, e.Type, e.ElementType, e.Value)),
            copy.Entries.Select(e => (e.Key, e.Type, e.ElementType, e.Value)));
    }

    [Fact]
    public void Writing_over_the_file_that_is_open_leaves_the_open_one_whole()
    {
        byte[] bytes = GgufImage.Small(seed: 1).Build();
        string path = _folder.Write("model.gguf", bytes);
        using var file = GgufFile.Open(path);
        using var other = GgufFile.Open(_folder.Write("other.gguf", GgufImage.Small(seed: 2).Build()));
        byte[] before = file.Tensors["up.weight"].Bytes(0, 288).ToArray();
        GgufWriter.Write(path, other.Metadata, [.. other.TensorsInOrder.Select(TensorSource.From)]);
        Assert.Equal(before, file.Tensors["up.weight"].Bytes(0, 288).ToArray());
        Assert.NotEqual(bytes, File.ReadAllBytes(path));
    }

    [Fact]
    public void Source_that_writes_too_little_leaves_no_file()
    {
        var metadata = new Metadata("new");
        metadata.Set("general.architecture", "llama");
        string path = _folder.File("short.gguf");
        Assert.Throws<ArgumentException>(() => GgufWriter.Write(path, metadata, [new TensorSource("a", TensorType.F32, [4], s => s.Write(new byte[15]))]));
        Assert.Empty(Directory.EnumerateFileSystemEntries(_folder.Path));
    }

    [Fact]
    public void Tensors_stream_one_after_the_other()
    {
        var metadata = new Metadata("new");
        metadata.Set("general.architecture", "llama");
        string path = _folder.File("streamed.gguf");
        var order = new List<string>();
        TensorSource Source(string name, byte value) => new(name, TensorType.F32, [8, 2], stream =>
        {
            order.Add(name);
            for (int i = 0; i < 64; i++)
                stream.WriteByte(value);
        });
        GgufWriter.Write(path, metadata, [Source("b", 2), Source("a", 1)]);
        Assert.Equal(["b", "a"], order);
        using var file = GgufFile.Open(path);
        Assert.Equal(["b", "a"], file.TensorsInOrder.Select(t => t.Name));
        Assert.Equal(Enumerable.Repeat((byte)1, 64), file.Tensors["a"].Bytes(0, 64).ToArray());
    }

    private void AssertIdentity(string path)
    {
        byte[] before = File.ReadAllBytes(path);
        string copy = _folder.File("copy of " + Path.GetFileName(path));
        using (var file = GgufFile.Open(path))
            GgufWriter.Write(copy, file.Metadata, [.. file.TensorsInOrder.Select(TensorSource.From)]);
        Assert.True(before.AsSpan().SequenceEqual(File.ReadAllBytes(copy)), path);
    }
}
