using System.Text;
using Tern.Files;
using Tern.Numerics;

namespace Tern.Tests.Files;

/// <summary>Colliding type ids are told apart by the bytes between tensors, and refused where that does not tell.</summary>
public sealed class TypeBySpanTests : IDisposable
{
    private readonly TempFolder _folder = new();

    public static TheoryData<string> Types => [.. TensorType.All.Select(t => t.Name)];

    public static TheoryData<int, string> Refused
    {
        get
        {
            var data = new TheoryData<int, string>();
            foreach (RefusedType type in RefusedTypes.All)
                data.Add(type.Id, type.Name);
            return data;
        }
    }

    public void Dispose() => _folder.Dispose();

    [Theory]
    [MemberData(nameof(Types))]
    public void Every_type_is_recognised_by_its_own_span(string name)
    {
        TensorType type = TensorType.All.First(t => t.Name == name);
        using GgufFile file = Open(Image((uint)type.GgufId, [256, 64], (int)type.ByteCount(256, 64)));
        Assert.Same(type, file.Tensors["x.weight"].Type);
        Assert.Equal((long)type.ByteCount(256, 64), file.Tensors["x.weight"].ByteCount);
        Assert.Empty(file.Warnings);
    }

    [Theory]
    [MemberData(nameof(Refused))]
    public void Every_refused_type_says_its_name_and_what_to_do(int id, string name)
    {
        RefusedType type = RefusedTypes.All.First(r => r.Id == id && r.Name == name);
        int bytes = (int)(type.ByteCount(new TensorExtent(256, 64)) ?? 20_000);
        TernException error = Assert.Throws<TernException>(() => Open(Image((uint)id, [256, 64], bytes)));
        Assert.Equal(ErrorKind.Unsupported, error.Kind);
        Assert.Contains(name, error.Message, StringComparison.Ordinal);
        Assert.Contains($"type id {id} ", error.Message, StringComparison.Ordinal);
        Assert.Contains(type.Advice, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Span_separates_refused_meanings_of_one_id()
    {
        string Message(int bytes) => Assert.Throws<TernException>(() => Open(Image(39, [256, 64], bytes))).Message;
        Assert.DoesNotContain("TL2", Message(256 * 64 / 32 * 17), StringComparison.Ordinal);
        Assert.DoesNotContain("MXFP4", Message(7000), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("Canonical", "I2_S")]
    [InlineData("Arm", "I2_S_ARM")]
    [InlineData("FourRow", "I2_S_FOUR_ROW")]
    public void Layout_of_i2s_is_the_callers_choice(string layout, string type)
    {
        using var file = GgufFile.Open(_folder.Write("model.gguf", Image(36, [128, 8], 288).Build()), Enum.Parse<I2sLayout>(layout));
        Assert.Equal(type, file.Tensors["x.weight"].Type.Name);
    }

    [Fact]
    public void Id_of_two_types_that_take_the_same_padded_bytes_is_refused()
    {
        // 128 weights are 36 bytes in groups of 64 and 34 in groups of 128: both pad to 64.
        TernException error = Assert.Throws<TernException>(() => Open(Image(42, [128], 36)));
        Assert.Equal(ErrorKind.Unsupported, error.Kind);
        Assert.Contains("Q2_0 (36 bytes) or Q2_0_G128 (34 bytes)", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Gap_behind_a_type_of_one_meaning_is_a_warning()
    {
        GgufImage image = Image(8, [64, 4], 272);
        image["last.weight"].Offset += 320;
        using GgufFile file = Open(image);
        Assert.Same(TensorType.Q8_0, file.Tensors["x.weight"].Type);
        Assert.Contains("320 bytes", Assert.Single(file.Warnings), StringComparison.Ordinal);
    }

    [Fact]
    public void Gap_in_front_of_all_tensors_and_bytes_behind_them_are_a_warning()
    {
        GgufImage image = Image(8, [64, 4], 272);
        foreach (GgufImage.Info info in image.Infos)
            info.Offset += 96;
        using var file = GgufFile.Open(_folder.Write("model.gguf", [.. image.Build(), .. new byte[64]]));
        Assert.Contains("160 bytes", Assert.Single(file.Warnings), StringComparison.Ordinal);
    }

    [Fact]
    public void Gap_behind_i2s_is_accepted_only_while_it_cannot_be_the_other_meaning()
    {
        // 128 x 64: I2_S takes 2080 bytes, IQ4_NL_4_4 would take 4608.
        GgufImage image = Image(36, [128, 64], 2080);
        image["last.weight"].Offset += 64;
        using (GgufFile file = Open(image))
            Assert.Same(TensorType.I2S, file.Tensors["x.weight"].Type);
        image["last.weight"].Offset += 4096;
        Assert.Equal(ErrorKind.Unsupported, Assert.Throws<TernException>(() => Open(image)).Kind);
    }

    [Fact]
    public void Partial_overlap_is_refused()
    {
        GgufImage image = Image(36, [128, 64], 2080);
        image["last.weight"].Offset -= 32;
        TernException error = Assert.Throws<TernException>(() => Open(image));
        Assert.Equal(ErrorKind.Format, error.Kind);
        Assert.Contains("overlap", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Width_that_is_not_whole_blocks_is_refused()
    {
        TernException error = Assert.Throws<TernException>(() => Open(Image(8, [65, 4], 272)));
        Assert.Equal(ErrorKind.Format, error.Kind);
        Assert.Contains("blocks of 32", error.Message, StringComparison.Ordinal);
    }

    private GgufFile Open(GgufImage image) => GgufFile.Open(_folder.Write("model.gguf", image.Build()));

    /// <summary>A tensor of these bytes and another one behind it.</summary>
    private static GgufImage Image(uint type, ulong[] dimensions, int bytes)
    {
        var image = new GgufImage();
        image.SetString("general.architecture", "llama");
        byte[] data = new byte[bytes];
        Array.Fill(data, (byte)0x55);
        image.Infos.Add(new GgufImage.Info { Name = Encoding.UTF8.GetBytes("x.weight"), Type = type, Dimensions = dimensions, Offset = 0, Data = data });
        image.Infos.Add(new GgufImage.Info { Name = Encoding.UTF8.GetBytes("last.weight"), Type = 0, Dimensions = [8], Offset = 0, Data = [.. Enumerable.Repeat((byte)1, 32)] });
        return image.Arrange();
    }
}
