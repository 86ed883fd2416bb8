using System.Globalization;
using Tern.Conversion;
using Tern.Files;
using Tern.Kernels;
using Tern.Models;
using Tern.Numerics;
using Tern.Tests.Files;

namespace Tern.Tests.Models;

/// <summary>A matrix that was repacked is in memory once: the pages of the file that it came from are dropped; those in use stay.</summary>
public sealed class LoadMemoryTests : IDisposable
{
    private static readonly DummyGeometry s_geometry = new("small", "bitnet-b1.58", 512, 2048, 4, 4, 2, 128, 600, 128, 10_000);

    private readonly TempFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("TQ2_0", false)]
    [InlineData("TQ1_0", false)]
    [InlineData("I2_S", true)]
    public void Repacked_tensors_leave_the_map(string name, bool isInPlace)
    {
        if (!OperatingSystem.IsLinux())
            return; // other systems drop nothing

        TensorType type = TensorType.All.First(t => t.Name == name);
        string path = _folder.File("model.gguf");
        DummyModel.Write(path, new DummyOptions(s_geometry, type, TensorType.F16, 1), _ => { }, CancellationToken.None);

        // The plain row reads what the file holds, or the working layout: no row has one of its own.
        using Model model = Model.Load(path, new ModelOptions { Threads = 2, Kernels = KernelChoice.Parse("scalar") });
        Linear[] linears = [.. model.Weights.Layers.SelectMany(l => l.Linears)];
        Assert.All(linears, l => Assert.Equal(isInPlace, l.Matrix.IsInPlace));
        long bytes = linears.Sum(l => l.Tensor.ByteCount), resident = ResidentBytes(path);
        if (isInPlace)
            Assert.InRange(resident, bytes, long.MaxValue);
        else
            Assert.InRange(resident, 0, (bytes / 4) + new FileInfo(path).Length - bytes);

        // Dropped is not lost.
        using GgufFile file = GgufFile.Open(path);
        foreach (Linear linear in linears)
        {
            Tensor other = file.Tensors[linear.Tensor.Name];
            Assert.True(linear.Tensor.Bytes(0, (int)other.ByteCount).SequenceEqual(other.Bytes(0, (int)other.ByteCount)));
        }
    }

    /// <summary>What the system says is in memory of the maps of a file.</summary>
    private static long ResidentBytes(string path)
    {
        long kilobytes = 0;
        bool inside = false;
        foreach (string line in File.ReadLines("/proc/self/smaps"))
        {
            if (line.Length > 0 && char.IsAsciiHexDigitLower(line[0]) && line.Contains('-', StringComparison.Ordinal))
                inside = line.EndsWith(path, StringComparison.Ordinal);
            else if (inside && line.StartsWith("Rss:", StringComparison.Ordinal))
                kilobytes += long.Parse(line.AsSpan(4).Trim().TrimEnd("kB"), NumberStyles.AllowTrailingWhite, CultureInfo.InvariantCulture);
        }

        return kilobytes << 10;
    }
}
