using System.Globalization;
using Tern.Files;
using Tern.Numerics;

namespace Tern.Tests.Files;

/// <summary>A model in several files is one model, and files that do not belong together are not.</summary>
public sealed class SplitGgufTests : IDisposable
{
    private readonly TempFolder _folder = new();
    private readonly GgufImage _whole = GgufImage.Small();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Parts_are_joined()
    {
        string first = Write(3);
        using var file = GgufFile.Open(first);
        Assert.Equal(_whole.Infos.Select(i => i.Text), file.TensorsInOrder.Select(t => t.Name));
        foreach (Tensor tensor in file.TensorsInOrder)
            Assert.Equal(_whole[tensor.Name].Data, tensor.Bytes(0, (int)tensor.ByteCount).ToArray());

        // Written as one file it is the model that was never split.
        string joined = _folder.File("joined.gguf");
        GgufWriter.Write(joined, file.Metadata, [.. file.TensorsInOrder.Select(TensorSource.From)]);
        Assert.Equal(_whole.Build(), File.ReadAllBytes(joined));
    }

    [Fact]
    public void Part_that_is_not_the_first_names_the_first()
    {
        string first = Write(3);
        TernException error = Assert.Throws<TernException>(() => GgufFile.Open(Name(2, 3)));
        Assert.Equal(ErrorKind.Semantic, error.Kind);
        Assert.Contains(first, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Missing_part_is_named()
    {
        string first = Write(3);
        File.Delete(Name(3, 3));
        TernException error = Assert.Throws<TernException>(() => GgufFile.Open(first));
        Assert.Equal(ErrorKind.File, error.Kind);
        Assert.Contains(Name(3, 3), error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Parts_in_the_wrong_places_are_refused()
    {
        string first = Write(3);
        File.Move(Name(2, 3), _folder.File("aside"));
        File.Move(Name(3, 3), Name(2, 3));
        File.Move(_folder.File("aside"), Name(3, 3));
        AssertSemantic(first, "split.no");
    }

    [Fact]
    public void Tensor_count_of_all_parts_must_be_right()
    {
        string first = Write(3, tensors: 8);
        AssertSemantic(first, "split.tensors.count");
    }

    [Fact]
    public void Tensor_in_two_parts_is_refused()
    {
        string first = Write(2, tensors: 8, repeated: true);
        TernException error = Assert.Throws<TernException>(() => GgufFile.Open(first));
        Assert.Equal(ErrorKind.Format, error.Kind);
        Assert.Contains("is there already", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Renamed_part_and_part_without_keys_are_refused()
    {
        string first = Write(2);
        File.Copy(first, _folder.File("model.gguf"));
        AssertSemantic(_folder.File("model.gguf"), "split.count");
        File.WriteAllBytes(first, _whole.Build());
        AssertSemantic(first, "split.count");
    }

    [Fact]
    public void Number_of_parts_has_a_limit()
    {
        string path = _folder.Write("model-00001-of-02000.gguf", GgufImage.Small().Set("split.count", 2, [0xd0, 0x07]).Build());
        TernException error = Assert.Throws<TernException>(() => GgufFile.Open(path));
        Assert.Equal(ErrorKind.Limit, error.Kind);
        Assert.Contains("GgufLimits.SplitParts of 1024", error.Message, StringComparison.Ordinal);
    }

    private static void AssertSemantic(string path, string key)
    {
        TernException error = Assert.Throws<TernException>(() => GgufFile.Open(path));
        Assert.Equal(ErrorKind.Semantic, error.Kind);
        Assert.Contains($"key '{key}'", error.Message, StringComparison.Ordinal);
    }

    private string Name(int part, int count) => _folder.File(string.Create(CultureInfo.InvariantCulture, $"model-{part:D5}-of-{count:D5}.gguf"));

    /// <summary>Writes the whole model in parts, as llama.cpp's splitter does: all metadata in the first, numbers in each.</summary>
    private string Write(int count, int? tensors = null, bool repeated = false)
    {
        int each = (_whole.Infos.Count + count - 1) / count;
        for (int part = 0; part < count; part++)
        {
            var image = new GgufImage();
            if (part == 0)
                image.Entries.AddRange(_whole.Entries);
            image.Set("split.no", 2, BitConverter.GetBytes((ushort)part));
            image.Set("split.count", 2, BitConverter.GetBytes((ushort)count));
            image.Set("split.tensors.count", 5, BitConverter.GetBytes(tensors ?? _whole.Infos.Count));
            image.Infos.AddRange(_whole.Infos.Skip(part * each).Take(each).Select(i => i.Copy()));
            if (repeated && part == 1)
                image.Infos.Add(_whole.Infos[0].Copy());
            _folder.Write(Path.GetFileName(Name(part + 1, count)), image.Arrange().Build());
        }

        return Name(1, count);
    }
}
