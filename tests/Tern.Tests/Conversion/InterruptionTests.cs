using System.Diagnostics;
using System.Globalization;
using Tern.Tests.Cli;
using Tern.Tests.Files;
using Tern.Tests.Hub;
using Xunit.Abstractions;

namespace Tern.Tests.Conversion;

/// <summary>
/// Conversions that are killed, interrupted, or whose disk is full: under the name of the output stands what stood there before, or the right
/// thing. TERN_KILL_POINTS sets how many points are tried in all; few by default, because each costs the start of a process.
/// </summary>
public sealed class InterruptionTests(ITestOutputHelper output) : IDisposable
{
    private const int PointsByDefault = 12;

    private readonly TempFolder _folder = new();

    /// <summary>The ways of writing a model, by what they read and write.</summary>
    public enum Way
    {
        /// <summary>A GGUF file from a GGUF file.</summary>
        Quantize,

        /// <summary>A GGUF file from a checkpoint.</summary>
        ToGguf,

        /// <summary>A checkpoint from a GGUF file.</summary>
        ToCheckpoint,
    }

    /// <summary>Every way, with and without something of the same name that is there already.</summary>
    public static TheoryData<Way, bool> Ways
    {
        get
        {
            var ways = new TheoryData<Way, bool>();
            foreach (Way way in Enum.GetValues<Way>())
                foreach (bool old in (bool[])[false, true])
                    ways.Add(way, old);
            return ways;
        }
    }

    public void Dispose() => _folder.Dispose();

    [KillPointTheory]
    [MemberData(nameof(Ways))]
    public void Whoever_is_killed_leaves_nothing_the_old_or_the_right(Way way, bool hasOld)
    {
        string right = Path.Combine(_folder.Path, "right"), target = Path.Combine(_folder.Path, "out");
        ProcessStartInfo start = Command(way, target);
        TernProcess.Run([.. Command(way, right).ArgumentList]).AssertSucceeds();
        Dictionary<string, byte[]> whole = Read(right);
        IReadOnlyList<KillPoint> points = KillPoints.Find(start, Math.Max(2, Wanted / (2 * Enum.GetValues<Way>().Length)));
        Assert.NotEmpty(points);
        int killed = 0;
        foreach (KillPoint point in points)
        {
            Delete(target);
            if (hasOld)
                WriteOld(way, target);
            Dictionary<string, byte[]> old = Read(target);
            if (KillPoints.Kill(start, point))
                killed++;
            Dictionary<string, byte[]> left = Read(target);
            Assert.True(AreEqual(left, old) || AreEqual(left, whole), $"killed at {point}: {string.Join(", ", left.Select(f => $"{f.Key} ({f.Value.Length})"))}");
        }

        output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{way}, {(hasOld ? "over an old one" : "a new one")}: {killed} of {points.Count} runs were killed"));
        Assert.True(killed >= points.Count / 2, $"only {killed} of {points.Count} runs were killed");
        TernProcess.Run([.. start.ArgumentList]).AssertSucceeds();
        Assert.True(AreEqual(Read(target), whole));
        AssertOnly(way, right, target);
    }

    /// <summary>The first write finds no room, or a later one, or the flush fails.</summary>
    [KillPointTheory]
    [InlineData(Way.Quantize, "pwrite64", "error=ENOSPC:when=1+")]
    [InlineData(Way.Quantize, "pwrite64", "error=ENOSPC:when=2+")]
    [InlineData(Way.Quantize, "fsync", "error=EIO:when=1+")]
    [InlineData(Way.ToCheckpoint, "pwrite64", "error=ENOSPC:when=1+")]
    [InlineData(Way.ToCheckpoint, "pwrite64", "error=ENOSPC:when=5+")]
    public void A_disk_that_fails_on_the_way_leaves_the_old_and_says_so(Way way, string call, string what)
    {
        string target = Path.Combine(_folder.Path, "out");
        WriteOld(way, target);
        Dictionary<string, byte[]> old = Read(target);
        (int exitCode, string error) = KillPoints.Inject(Command(way, target), call, what);
        Assert.Equal(66, exitCode);
        Assert.StartsWith("tern: error (file): ", error, StringComparison.Ordinal);
        Assert.Contains("cannot be written", error, StringComparison.Ordinal);
        Assert.True(AreEqual(Read(target), old));
        AssertOnly(way, target);
    }

    [SmallDiskFact]
    public void A_disk_without_room_is_seen_before_the_work()
    {
        (int exitCode, _, string error) = SmallDisk.Run(
            "mount -t tmpfs -o size=2m none /mnt && \"$TERN\" quantize \"$STORY\" /mnt/out.gguf tq2_0; code=$?; ls -A /mnt; exit $code",
            ("TERN", TernProcess.Executable),
            ("STORY", TernProcess.Storyteller));
        Assert.Equal(66, exitCode);
        Assert.Contains("make room", error, StringComparison.Ordinal);
    }

    [KillPointTheory]
    [InlineData(Way.Quantize, "pwrite64", "signal=SIGINT:when=1")]
    [InlineData(Way.ToGguf, "pwrite64", "signal=SIGINT:when=1")]
    [InlineData(Way.ToCheckpoint, "pwrite64", "signal=SIGINT:when=1")]
    public void Ctrl_C_ends_with_130_and_leaves_nothing(Way way, string call, string what)
    {
        string target = Path.Combine(_folder.Path, "out");
        (int exitCode, string error) = KillPoints.Inject(Command(way, target), call, what);
        Assert.Equal(130, exitCode);
        Assert.DoesNotContain("error", error, StringComparison.Ordinal);
        AssertOnly(way);
    }

    /// <summary>The disk takes longer to flush than Ctrl+C waits.</summary>
    [KillPointFact]
    public void Ctrl_C_does_not_wait_for_a_slow_disk_and_leaves_nothing()
    {
        string right = Path.Combine(_folder.Path, "right"), target = Path.Combine(_folder.Path, "out");
        TernProcess.Run([.. Command(Way.Quantize, right).ArgumentList]).AssertSucceeds();
        long whole = new FileInfo(right).Length;
        using Process strace = Process.Start(new ProcessStartInfo("strace", ["-f", "-qqq", "-o", "/dev/null", "-e", "trace=fsync", "-e", "inject=fsync:delay_enter=4000000", TernProcess.Executable, .. Command(Way.Quantize, target).ArgumentList])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        })!;
        var partial = new FileInfo(target + ".tern-partial");
        while (!strace.HasExited && (!partial.Exists || partial.Length < whole))
        {
            Thread.Sleep(10);
            partial.Refresh();
        }

        string child = File.ReadAllText(string.Create(CultureInfo.InvariantCulture, $"/proc/{strace.Id}/task/{strace.Id}/children")).Trim();
        using (Process kill = Process.Start("kill", ["-INT", child]))
            kill.WaitForExit();
        // It does not run on to its end when the disk is done; strace holds what it delays.
        Assert.True(strace.WaitForExit(TimeSpan.FromSeconds(60)));
        Assert.Equal(130, strace.ExitCode);
        AssertOnly(Way.Quantize, right);
    }

    private static int Wanted =>
        int.TryParse(Environment.GetEnvironmentVariable("TERN_KILL_POINTS"), NumberStyles.None, CultureInfo.InvariantCulture, out int wanted) ? wanted : PointsByDefault;

    private ProcessStartInfo Command(Way way, string target) => new(TernProcess.Executable, way switch
    {
        Way.Quantize => ["quantize", TernProcess.Storyteller, target, "tq2_0", "--force"],
        Way.ToGguf => ["convert", Checkpoint(), "-o", target, "--force"],
        _ => ["convert", TernProcess.Storyteller, "--to", "huggingface", "-o", target, "--force"],
    });

    private string Checkpoint()
    {
        string checkpoint = Path.Combine(_folder.Path, "checkpoint");
        if (!Directory.Exists(checkpoint))
            TernProcess.Run("convert", TernProcess.Storyteller, "--to", "huggingface", "-o", checkpoint).AssertSucceeds();
        return checkpoint;
    }

    private static void WriteOld(Way way, string target)
    {
        if (way != Way.ToCheckpoint)
        {
            File.WriteAllBytes(target, [1, 2, 3]);
            return;
        }

        Directory.CreateDirectory(target);
        File.WriteAllText(Path.Combine(target, "config.json"), "{}");
        File.WriteAllText(Path.Combine(target, "old.bin"), "old");
    }

    /// <summary>Files of a folder by name, or the one file; nothing where there is neither.</summary>
    private static Dictionary<string, byte[]> Read(string path) =>
        Directory.Exists(path) ? Directory.EnumerateFiles(path).ToDictionary(f => Path.GetFileName(f), File.ReadAllBytes)
        : File.Exists(path) ? new() { [""] = File.ReadAllBytes(path) }
        : [];

    private static bool AreEqual(Dictionary<string, byte[]> one, Dictionary<string, byte[]> other) =>
        one.Count == other.Count && one.All(f => other.TryGetValue(f.Key, out byte[]? bytes) && bytes.AsSpan().SequenceEqual(f.Value));

    private static void Delete(string path)
    {
        if (Directory.Exists(path))
            Directory.Delete(path, recursive: true);
        else
            File.Delete(path);
    }

    private void AssertOnly(Way way, params string[] paths)
    {
        IEnumerable<string> expected = way == Way.ToGguf ? [Path.Combine(_folder.Path, "checkpoint"), .. paths] : paths;
        Assert.Equal(expected.Order(StringComparer.Ordinal), Directory.EnumerateFileSystemEntries(_folder.Path).Order(StringComparer.Ordinal));
    }
}
