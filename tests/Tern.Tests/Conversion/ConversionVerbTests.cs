using System.Diagnostics;
using System.Globalization;
using Tern.Tests.Cli;
using Tern.Tests.Files;

namespace Tern.Tests.Conversion;

/// <summary>The verbs convert and quantize of the real program.</summary>
public sealed class ConversionVerbTests : IDisposable
{
    /// <summary>How many points a run of the tests takes; TERN_KILL_POINTS asks for more.</summary>
    private const int KillPointsDefault = 4;

    private readonly TempFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Quantize_and_back_is_the_same_model()
    {
        string there = _folder.File("there.gguf"), back = _folder.File("back.gguf");
        TernProcess.Run("quantize", TernProcess.Storyteller, there, "iq2_bn").AssertSucceeds();
        TernProcess.Run("quantize", there, back, "i2_s").AssertSucceeds();
        string[] arguments = ["run", back, "Once upon a time", "--temp", "0", "-n", "8"];
        Assert.Equal(
            TernProcess.Run("run", "storyteller", "Once upon a time", "--temp", "0", "-n", "8").AssertSucceeds().Output,
            TernProcess.Run(arguments).AssertSucceeds().Output);
    }

    [Fact]
    public void A_checkpoint_and_back_is_the_same_model()
    {
        string checkpoint = Path.Combine(_folder.Path, "story"), back = _folder.File("back.gguf");
        TernProcess.Run("convert", TernProcess.Storyteller, "--to", "huggingface", "-o", checkpoint).AssertSucceeds();
        TernProcess.Run("convert", checkpoint, "-o", back).AssertSucceeds();
        Assert.Equal(
            TernProcess.Run("run", "storyteller", "Once upon a time", "--temp", "0", "-n", "8").AssertSucceeds().Output,
            TernProcess.Run("run", back, "Once upon a time", "--temp", "0", "-n", "8").AssertSucceeds().Output);
    }

    [Fact]
    public void An_output_that_is_there_is_replaced_only_by_force()
    {
        string path = _folder.Write("there.gguf", [1, 2, 3]);
        TernProcess.Run("quantize", TernProcess.Storyteller, path, "tq2_0").AssertFails(1, "request");
        Assert.Equal([1, 2, 3], File.ReadAllBytes(path));
        TernProcess.Run("quantize", TernProcess.Storyteller, path, "tq2_0", "--force").AssertSucceeds();
        string folder = Path.Combine(_folder.Path, "papers");
        Directory.CreateDirectory(folder);
        File.WriteAllText(Path.Combine(folder, "letter.txt"), "dear");
        TernProcess.Run("convert", TernProcess.Storyteller, "--to", "huggingface", "-o", folder, "--force").AssertFails(1, "request");
        Assert.True(File.Exists(Path.Combine(folder, "letter.txt")));
    }

    [Fact]
    public void Wrong_words_are_named()
    {
        TernProcess.Run("quantize", TernProcess.Storyteller, _folder.File("x.gguf"), "q9_9").AssertFails(64, "usage");
        TernProcess.Run("convert", TernProcess.Storyteller).AssertFails(64, "usage");
        TernProcess.Run("fix", TernProcess.Storyteller).AssertFails(64, "usage");
        TernProcess.Run("quantize", TernProcess.Storyteller, Path.Combine(_folder.Path, "no", "x.gguf"), "i2_s").AssertFails(66, "file");
    }

    [KillPointFact]
    public void Whoever_is_killed_leaves_no_file_the_old_one_or_the_right_one()
    {
        string right = _folder.File("right.gguf"), path = _folder.File("out.gguf");
        TernProcess.Run("quantize", TernProcess.Storyteller, right, "tq2_0").AssertSucceeds();
        byte[] whole = File.ReadAllBytes(right);
        ProcessStartInfo start = Program("quantize", TernProcess.Storyteller, path, "tq2_0", "--force");
        IReadOnlyList<KillPoint> points = KillPoints.Find(start, Wanted);
        Assert.NotEmpty(points);
        byte[] old = [1, 2, 3];
        foreach (KillPoint point in points)
        {
            File.WriteAllBytes(path, old);
            KillPoints.Kill(start, point);
            byte[] left = File.ReadAllBytes(path);
            Assert.True(left.AsSpan().SequenceEqual(old) || left.AsSpan().SequenceEqual(whole), $"killed at {point}");
        }

        TernProcess.Run("quantize", TernProcess.Storyteller, path, "tq2_0", "--force").AssertSucceeds();
        Assert.Equal([path, right], Directory.EnumerateFiles(_folder.Path).Order(StringComparer.Ordinal));
    }

    [KillPointFact]
    public void Whoever_is_killed_leaves_no_folder_or_a_whole_one()
    {
        string right = Path.Combine(_folder.Path, "right"), path = Path.Combine(_folder.Path, "out");
        TernProcess.Run("convert", TernProcess.Storyteller, "--to", "huggingface", "-o", right).AssertSucceeds();
        ProcessStartInfo start = Program("convert", TernProcess.Storyteller, "--to", "huggingface", "-o", path, "--force");
        IReadOnlyList<KillPoint> points = KillPoints.Find(start, Wanted);
        Assert.NotEmpty(points);
        foreach (KillPoint point in points)
        {
            if (Directory.Exists(path))
                Directory.Delete(path, recursive: true);
            KillPoints.Kill(start, point);
            if (Directory.Exists(path))
                foreach (string file in Directory.EnumerateFiles(right))
                    Assert.True(File.ReadAllBytes(file).AsSpan().SequenceEqual(File.ReadAllBytes(Path.Combine(path, Path.GetFileName(file)))), $"killed at {point}: {file}");
        }

        TernProcess.Run("convert", TernProcess.Storyteller, "--to", "huggingface", "-o", path, "--force").AssertSucceeds();
        Assert.Equal([path, right], Directory.EnumerateFileSystemEntries(_folder.Path).Order(StringComparer.Ordinal));
    }

    private static int Wanted =>
        int.TryParse(Environment.GetEnvironmentVariable("TERN_KILL_POINTS"), CultureInfo.InvariantCulture, out int wanted) ? wanted : KillPointsDefault;

    private static ProcessStartInfo Program(params string[] arguments)
    {
        using Process process = TernProcess.Start(["--help"]);
        var start = new ProcessStartInfo(process.StartInfo.FileName, arguments);
        process.WaitForExit();
        return start;
    }
}
