using System.Diagnostics;
using System.Globalization;
using System.Text;
using Tern.Files;
using Tern.Numerics;

namespace Tern.Tests.Files;

/// <summary>Opening: what is not a model says what it is, parts find each other, limits are named, large vocabularies are quick.</summary>
public sealed class GgufFileTests : IDisposable
{
    private readonly TempFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("GGJT....", ErrorKind.Unsupported, "GGJT")]
    [InlineData("tjgg....", ErrorKind.Unsupported, "GGJT")]
    [InlineData("lmgg....", ErrorKind.Unsupported, "GGML")]
    [InlineData("fmgg....", ErrorKind.Unsupported, "GGMF")]
    [InlineData("ggla....", ErrorKind.Unsupported, "GGLA")]
    [InlineData("PK\x03\x04....", ErrorKind.Unsupported, "zip")]
    [InlineData("\u0080\u0002}q\u0001.", ErrorKind.Unsupported, "pickle")]
    [InlineData("\u0002\0\0\0\0\0\0\0{}", ErrorKind.Unsupported, "safetensors")]
    [InlineData("version https://git-lfs.github.com/spec/v1", ErrorKind.Format, "Git LFS")]
    [InlineData("<!DOCTYPE html><html>", ErrorKind.Format, "web page")]
    [InlineData("\0\0\0\0\0\0\0\0", ErrorKind.Format, "reserved")]
    [InlineData("GG", ErrorKind.Format, "2 bytes")]
    [InlineData("GGUF", ErrorKind.Format, "version")]
    [InlineData("GGUF\u0004\0\0\0", ErrorKind.Unsupported, "is 4")]
    [InlineData("hello", ErrorKind.Format, "68656C6C")]
    public void Foreign_file_says_what_it_is(string text, ErrorKind kind, string says)
    {
        string path = _folder.Write("model.gguf", Encoding.Latin1.GetBytes(text));
        TernException error = Assert.Throws<TernException>(() => GgufFile.Open(path));
        Assert.Equal(kind, error.Kind);
        Assert.Contains(says, error.Message, StringComparison.Ordinal);
        Assert.Contains(path, error.Message, StringComparison.Ordinal);
        Assert.Contains("at offset", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Path_that_is_no_readable_file_says_why()
    {
        string Message(string path)
        {
            TernException error = Assert.Throws<TernException>(() => GgufFile.Open(path));
            Assert.Equal(ErrorKind.File, error.Kind);
            return error.Message;
        }

        Assert.Contains("does not exist", Message(_folder.File("absent.gguf")), StringComparison.Ordinal);
        Assert.Contains("does not exist", Message(_folder.File("absent/model.gguf")), StringComparison.Ordinal);
        Assert.Contains("is a folder", Message(_folder.Path), StringComparison.Ordinal);
        Assert.Contains("cannot be opened", Message("a\0b"), StringComparison.Ordinal);
        Assert.Contains("cannot be opened", Message(""), StringComparison.Ordinal);
        if (!OperatingSystem.IsWindows() && !Environment.IsPrivilegedProcess)
        {
            string secret = _folder.Write("secret.gguf", GgufImage.Small().Build());
            File.SetUnixFileMode(secret, UnixFileMode.None);
            Assert.Contains("may not be read", Message(secret), StringComparison.Ordinal);
        }
    }

    [Fact]
    public void Rotated_weights_are_refused()
    {
        string path = _folder.Write("rotated.gguf", GgufImage.Small().SetU32("prism.hadamard.version", 1).Build());
        TernException error = Assert.Throws<TernException>(() => GgufFile.Open(path));
        Assert.Equal(ErrorKind.Unsupported, error.Kind);
        Assert.Contains("prism.hadamard.version", error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(nameof(GgufLimits.MetadataEntries))]
    [InlineData(nameof(GgufLimits.KeyBytes))]
    [InlineData(nameof(GgufLimits.StringBytes))]
    [InlineData(nameof(GgufLimits.ArrayStringBytes))]
    [InlineData(nameof(GgufLimits.ArrayBytes))]
    [InlineData(nameof(GgufLimits.Tensors))]
    [InlineData(nameof(GgufLimits.NameBytes))]
    public void Limit_is_named_and_can_be_set(string name)
    {
        string path = _folder.Write("small.gguf", GgufImage.Small().Build());
        var generous = new GgufLimits { MetadataEntries = 28, KeyBytes = 20, StringBytes = 12, ArrayStringBytes = 12, ArrayBytes = 40, Tensors = 7, NameBytes = 13 };
        GgufFile.Open(path, limits: generous).Dispose();
        GgufLimits tight = name switch
        {
            nameof(GgufLimits.MetadataEntries) => generous with { MetadataEntries = 5 },
            nameof(GgufLimits.KeyBytes) => generous with { KeyBytes = 5 },
            nameof(GgufLimits.StringBytes) => generous with { StringBytes = 4 },
            nameof(GgufLimits.ArrayStringBytes) => generous with { ArrayStringBytes = 4 },
            nameof(GgufLimits.ArrayBytes) => generous with { ArrayBytes = 16 },
            nameof(GgufLimits.Tensors) => generous with { Tensors = 5 },
            _ => generous with { NameBytes = 5 },
        };
        TernException error = Assert.Throws<TernException>(() => GgufFile.Open(path, limits: tight));
        Assert.Equal(ErrorKind.Limit, error.Kind);
        Assert.Contains($"GgufLimits.{name} of ", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Names_in_messages_cannot_command_a_terminal()
    {
        GgufImage image = GgufImage.Small();
        image.Entries.Add(new GgufImage.Entry { Key = Encoding.UTF8.GetBytes("a\u001b[31m\u202e" + new string('x', 500)), Type = 13, Value = [0] });
        TernException error = Assert.Throws<TernException>(() => GgufFile.Open(_folder.Write("evil.gguf", image.Build())));
        Assert.DoesNotContain(error.Message, c => char.IsControl(c) || c == '\u202e');
        Assert.Contains("a\\u001b[31m\\u202e", error.Message, StringComparison.Ordinal);
        Assert.True(error.Message.Length < 500 + _folder.Path.Length);
    }

    [Fact]
    public void Last_tensor_may_end_the_file_without_padding()
    {
        byte[] padded = GgufImage.Small().Build();
        using var file = GgufFile.Open(_folder.Write("unpadded.gguf", padded[..^4]));
        Assert.Equal(28, file.Tensors["last.bias"].ByteCount);
        Assert.Empty(file.Warnings);
        Assert.Equal(ErrorKind.Format, Assert.Throws<TernException>(() => GgufFile.Open(_folder.Write("cut.gguf", padded[..^5]))).Kind);
    }

    [Fact]
    public void Strings_that_are_not_utf8_are_kept_in_tables_and_repaired_in_values()
    {
        GgufImage image = GgufImage.Small().Set("x.text", 8, [2, 0, 0, 0, 0, 0, 0, 0, 0x61, 0xff]);
        using var file = GgufFile.Open(_folder.Write("odd.gguf", image.Build()));
        Assert.Contains("UTF-8", Assert.Single(file.Warnings), StringComparison.Ordinal);
        Assert.Equal("a\ufffd", file.Metadata.String("x.text"));
        StringTable table = file.Metadata.Strings("array.strings")!;
        Assert.Equal([0xff, 0xfe], table[3].ToArray());
        Assert.Equal("größer ☃", table.Text(2));
        Assert.Equal("", table.Text(1));
    }

    [Fact]
    public void Large_vocabulary_is_read_quickly_and_in_little_memory()
    {
        IEnumerable<string> tokens = Enumerable.Range(0, 128_256).Select(i => string.Create(CultureInfo.InvariantCulture, $"tok{i:x}"));
        IEnumerable<string> merges = Enumerable.Range(0, 280_147).Select(i => string.Create(CultureInfo.InvariantCulture, $"me{i % 999} rge{i:x}"));
        var metadata = new Metadata("vocabulary");
        metadata.Set("general.architecture", "llama");
        metadata.Set("tokenizer.ggml.tokens", StringTable.From(tokens));
        metadata.Set("tokenizer.ggml.merges", StringTable.From(merges));
        metadata.Set("tokenizer.ggml.token_type", new int[128_256]);
        string path = _folder.File("vocabulary.gguf");
        GgufWriter.Write(path, metadata, []);

        double best = double.MaxValue;
        long allocated = 0;
        for (int run = 0; run < 5; run++)
        {
            long before = GC.GetAllocatedBytesForCurrentThread();
            long start = Stopwatch.GetTimestamp();
            using var file = GgufFile.Open(path);
            best = Math.Min(best, Stopwatch.GetElapsedTime(start).TotalMilliseconds);
            allocated = GC.GetAllocatedBytesForCurrentThread() - before;
            Assert.Equal(280_147, file.Metadata.Strings("tokenizer.ggml.merges")!.Count);
        }

        Assert.True(best < 200, $"{best} ms");
        Assert.True(allocated < 8 * new FileInfo(path).Length, $"{allocated} bytes allocated for a file of {new FileInfo(path).Length}");
    }

    [Fact]
    public void Metadata_array_of_another_type_is_refused_although_the_runtime_would_cast_it()
    {
        using var file = GgufFile.Open(_folder.Write("small.gguf", GgufImage.Small().Build()));
        Assert.Equal(5, file.Metadata.Array<int>("array.5")!.Length);
        TernException error = Assert.Throws<TernException>(() => file.Metadata.Array<uint>("array.5"));
        Assert.Equal(ErrorKind.Semantic, error.Kind);
        Assert.Contains("key 'array.5'", error.Message, StringComparison.Ordinal);
        Assert.Null(file.Metadata.Array<uint>("absent"));
    }

    [Fact]
    public void Metadata_integers_are_read_in_any_width_and_kept_in_range()
    {
        var metadata = new Metadata("model.gguf");
        metadata.Set("big", ulong.MaxValue);
        metadata.Set("small", (sbyte)-3);
        metadata.Set("text", "3");
        metadata.Set("not a number", float.NaN);
        Assert.Equal(-3, metadata.Integer("small"));
        Assert.Null(metadata.Integer("absent"));
        foreach (Action refused in (Action[])[() => metadata.Integer("big"), () => metadata.Integer("small", 0), () => metadata.Integer("text"), () => metadata.Number("not a number"), () => metadata.Boolean("text"), () => metadata.Strings("text")])
            Assert.Equal(ErrorKind.Semantic, Assert.Throws<TernException>(refused).Kind);
    }

    [Fact]
    public void Tensors_may_not_be_touched_outside_their_bytes()
    {
        using var file = GgufFile.Open(_folder.Write("small.gguf", GgufImage.Small().Build()));
        Tensor tensor = file.Tensors["up.weight"];
        Assert.Equal(288, tensor.Bytes(0, 288).Length);
        Assert.Throws<ArgumentOutOfRangeException>(() => tensor.Bytes(1, 288).Length);
    }
}
