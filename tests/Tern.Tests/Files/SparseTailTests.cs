using System.Text;
using Tern.Files;

namespace Tern.Tests.Files;

/// <summary>A download that reserved its space and stopped is seen by what its zeros would mean.</summary>
public sealed class SparseTailTests : IDisposable
{
    private const int Columns = 1024;
    private const int Rows = 64;
    private const uint F32 = 0;
    private const uint F16 = 1;
    private const uint Q8 = 8;
    private const uint I2S = 36;
    private const uint Q2 = 42;

    private readonly TempFolder _folder = new();

    public static TheoryData<string> Goldens =>
        SharedData.Root is null ? ["none"] : [.. Directory.EnumerateFiles(SharedData.File("goldens"), "*.gguf").Select(f => Path.GetFileName(f))];

    public void Dispose() => _folder.Dispose();

    [SharedTheory]
    [MemberData(nameof(Goldens))]
    public void Golden_with_a_hole_at_its_end_is_refused(string name)
    {
        byte[] file = File.ReadAllBytes(SharedData.File("goldens", name));
        foreach (int hole in (int[])[5000, 100_000, file.Length / 2])
        {
            byte[] sparse = [.. file];
            sparse.AsSpan(file.Length - hole).Clear();
            AssertHole(_folder.Write("sparse.gguf", sparse));
        }
    }

    [Theory]
    [InlineData("x.weight", F16, 5000)]
    [InlineData("x.weight", F32, 5000)]
    [InlineData("x.weight", Q8, 5000)]
    [InlineData("x.weight", I2S, 4096)]
    [InlineData("x.weight", Q2, 4096)]
    [InlineData("x.weight", F16, int.MaxValue)]
    [InlineData("x.bias", I2S, 0)]
    public void Zeros_that_no_weights_are_mean_a_hole(string name, uint type, int zeros)
    {
        // A bias of zeros is honest; the weights in front of it are looked at instead.
        string path = name == "x.weight" ? Write((name, type, zeros)) : Write(("y.weight", type, int.MaxValue), (name, F32, int.MaxValue));
        AssertHole(path);
    }

    [Theory]
    [InlineData("x.weight", F16, 3 * Columns * 2)]
    [InlineData("x.weight", F32, 3 * Columns * 4)]
    [InlineData("x.weight", Q8, 4 * Columns / 32 * 34)]
    public void Whole_rows_of_zeros_may_be_padding_and_warn(string name, uint type, int zeros)
    {
        using var file = GgufFile.Open(Write((name, type, zeros)));
        Assert.Contains("as padding is", Assert.Single(file.Warnings), StringComparison.Ordinal);
    }

    [Fact]
    public void Rows_that_all_end_in_zeros_may_be_padded_and_warn()
    {
        string path = Write(("x.weight", F32, 0));
        byte[] file = File.ReadAllBytes(path);
        for (int row = 1; row <= Rows; row++)
            file.AsSpan(file.Length - (row * Columns * 4) + 60, (Columns * 4) - 60).Clear();
        file.AsSpan(file.Length - 4096).Clear();
        using var padded = GgufFile.Open(_folder.Write("padded.gguf", file));
        Assert.Contains("as padding is", Assert.Single(padded.Warnings), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("x.weight", F16, 4000)]
    [InlineData("x.weight", I2S, 28)]
    [InlineData("x.bias", F32, int.MaxValue)]
    public void Zeros_that_weights_can_have_pass(string name, uint type, int zeros)
    {
        using var file = GgufFile.Open(Write(("y.weight", F16, 0), (name, type, zeros)));
        Assert.Empty(file.Warnings);
    }

    private static void AssertHole(string path)
    {
        TernException error = Assert.Throws<TernException>(() => GgufFile.Open(path));
        Assert.Equal(ErrorKind.Format, error.Kind);
        Assert.Contains("reserved its space", error.Message, StringComparison.Ordinal);
        Assert.Contains("at offset", error.Message, StringComparison.Ordinal);
    }

    /// <summary>Matrices of ones, but for so many zero bytes at the end.</summary>
    private string Write(params (string Name, uint Type, int Zeros)[] tensors)
    {
        var image = new GgufImage();
        image.SetString("general.architecture", "llama");
        foreach ((string name, uint type, int zeros) in tensors)
        {
            int bytes = type switch { F32 => Columns * Rows * 4, F16 => Columns * Rows * 2, Q8 => Columns * Rows / 32 * 34, I2S => (Columns * Rows / 4) + 32, _ => Columns * Rows / 64 * 18 };
            byte[] data = new byte[bytes];
            data.AsSpan(0, bytes - Math.Min(bytes, zeros)).Fill(1);
            image.Infos.Add(new GgufImage.Info { Name = Encoding.UTF8.GetBytes(name), Type = type, Dimensions = [Columns, Rows], Offset = 0, Data = data });
        }

        return _folder.Write("tail.gguf", image.Arrange().Build());
    }
}
