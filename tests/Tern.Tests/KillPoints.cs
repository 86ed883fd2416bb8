using System.Diagnostics;
using System.Globalization;
using System.Text.RegularExpressions;

namespace Tern.Tests;

/// <summary>A place where a program is killed: as it begins its <paramref name="Count"/>th call of a kind on any thread.</summary>
internal sealed record KillPoint(string Call, int Count);

/// <summary>
/// Kills a program with SIGKILL at chosen calls to the system, by strace: once it runs through while its calls that change files are written
/// down, then it runs once for each point and dies there. strace counts calls of a kind per thread, so the points are the different
/// (kind, count) pairs in the order in which they were first reached: from the first write to the last rename.
/// </summary>
internal static partial class KillPoints
{
    /// <summary>The calls that leave something behind.</summary>
    private static readonly string[] s_calls =
    [
        "write", "pwrite64", "writev", "pwritev", "fsync", "fdatasync", "ftruncate", "fallocate", "rename", "renameat", "renameat2",
        "link", "linkat", "symlink", "symlinkat", "unlink", "unlinkat", "rmdir", "mkdir", "mkdirat", "chmod", "fchmod", "fchmodat", "flock", "copy_file_range", "sendfile",
    ];

    // A program that never ends is to be found; one on a busy machine is not.
    private static readonly TimeSpan s_limit = TimeSpan.FromMinutes(5);

    /// <summary>Why this cannot be done here; null when it can.</summary>
    public static string? Unavailable { get; } = FindUnavailable();

    /// <summary>Runs the program to its end, and gives the points where it can be killed, evenly spread, the first and the last among them.</summary>
    /// <param name="start">The program, its arguments and variables.</param>
    /// <param name="count">How many at most.</param>
    public static IReadOnlyList<KillPoint> Find(ProcessStartInfo start, int count)
    {
        string log = Path.GetTempFileName();
        try
        {
            (int exitCode, string error) = Run(start, ["--seccomp-bpf", "-o", log, "-e", "trace=" + Calls]);
            Assert.True(exitCode == 0, $"the program must run through once: exit code {exitCode}, {error}");
            var counts = new Dictionary<(string Thread, string Call), int>();
            var points = new List<KillPoint>();
            foreach (string line in File.ReadLines(log))
            {
                if (CallLine().Match(line) is not { Success: true } match)
                    continue;
                (string Thread, string Call) key = (match.Groups["thread"].Value, match.Groups["call"].Value);
                counts[key] = counts.GetValueOrDefault(key) + 1;
                points.Add(new KillPoint(key.Call, counts[key]));
            }

            KillPoint[] distinct = [.. points.Distinct()];
            return distinct.Length <= count
                ? distinct
                : [.. Enumerable.Range(0, count).Select(i => distinct[(int)((long)i * (distinct.Length - 1) / (count - 1))])];
        }
        finally
        {
            File.Delete(log);
        }
    }

    /// <summary>Runs the program and kills it at a point. False when it ended before it came there.</summary>
    public static bool Kill(ProcessStartInfo start, KillPoint point) =>
        Inject(start, point.Call, string.Create(CultureInfo.InvariantCulture, $"signal=SIGKILL:when={point.Count}")).ExitCode is 137 or -9;

    /// <summary>Runs the program while something happens to its calls of a kind, in strace's words: <c>error=ENOSPC:when=3+</c>, <c>signal=SIGINT:when=2</c>.</summary>
    // Without --seccomp-bpf, with which strace 6.1 never gets beyond the first call of a kind.
    public static (int ExitCode, string Error) Inject(ProcessStartInfo start, string call, string what) =>
        Run(start, ["-o", "/dev/null", "-e", "trace=" + call, "-e", $"inject={call}:{what}"]);

    private static string Calls => string.Join(',', s_calls);

    /// <summary>Starts the program under strace; the log keeps calls of failing programs quiet.</summary>
    private static (int ExitCode, string Error) Run(ProcessStartInfo program, string[] options)
    {
        var start = new ProcessStartInfo("strace", ["-f", "-qqq", .. options, program.FileName, .. program.ArgumentList])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            RedirectStandardInput = true,
        };
        foreach ((string name, string? value) in program.Environment)
            start.Environment[name] = value;
        using Process process = Process.Start(start)!;
        process.StandardInput.Close();
        Task<string> output = process.StandardOutput.ReadToEndAsync();
        Task<string> error = process.StandardError.ReadToEndAsync();
        if (!process.WaitForExit(s_limit))
        {
            process.Kill(entireProcessTree: true);
            Assert.Fail($"{program.FileName} did not end within {s_limit.TotalSeconds} s under strace");
        }

        _ = output.Result;
        return (process.ExitCode, error.Result);
    }

    private static string? FindUnavailable()
    {
        const string loud = "KILL POINTS NOT TESTED: ";
        if (!OperatingSystem.IsLinux())
            return loud + "strace is a Linux program";
        try
        {
            (int exitCode, string error) = Run(new ProcessStartInfo("true"), ["-o", "/dev/null", "-e", "trace=write"]);
            return exitCode == 0 ? null : loud + "strace may not trace here: " + error.Trim();
        }
        catch (System.ComponentModel.Win32Exception)
        {
            return loud + "strace is not installed (apt-get install strace)";
        }
    }

    [GeneratedRegex(@"^(?<thread>\d+) +(?<call>[a-z0-9_]+)\(")]
    private static partial Regex CallLine();
}

/// <summary>A fact that kills programs with strace; where that cannot be done it is skipped aloud.</summary>
public sealed class KillPointFactAttribute : FactAttribute
{
    public KillPointFactAttribute() => Skip = KillPoints.Unavailable;
}

/// <summary>A theory that kills programs with strace; where that cannot be done it is skipped aloud.</summary>
public sealed class KillPointTheoryAttribute : TheoryAttribute
{
    public KillPointTheoryAttribute() => Skip = KillPoints.Unavailable;
}
