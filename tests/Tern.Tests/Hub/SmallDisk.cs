using System.Diagnostics;

namespace Tern.Tests.Hub;

/// <summary>Shell commands that may mount a small disk in memory, which nobody else sees and which is gone with them.</summary>
internal static class SmallDisk
{
    /// <summary>Why this cannot be done here; null when it can.</summary>
    public static string? Unavailable { get; } = FindUnavailable();

    public static (int ExitCode, string Output, string Error) Run(string script, params (string Name, string Value)[] variables)
    {
        var start = new ProcessStartInfo("unshare", ["-rm", "sh", "-c", script]) { RedirectStandardOutput = true, RedirectStandardError = true };
        foreach ((string name, string value) in variables)
            start.Environment[name] = value;
        using Process process = Process.Start(start)!;
        Task<string> output = process.StandardOutput.ReadToEndAsync();
        string error = process.StandardError.ReadToEnd();
        process.WaitForExit();
        return (process.ExitCode, output.Result, error);
    }

    private static string? FindUnavailable()
    {
        const string loud = "FULL DISK NOT TESTED: ";
        if (!OperatingSystem.IsLinux())
            return loud + "unshare is a Linux program";
        try
        {
            (int exitCode, _, string error) = Run("mount -t tmpfs -o size=1m none /mnt");
            return exitCode == 0 ? null : loud + "no disk may be mounted here: " + error.Trim();
        }
        catch (System.ComponentModel.Win32Exception)
        {
            return loud + "unshare is not installed";
        }
    }
}

/// <summary>A fact that needs a small disk; where there is none it is skipped aloud.</summary>
public sealed class SmallDiskFactAttribute : FactAttribute
{
    public SmallDiskFactAttribute() => Skip = SmallDisk.Unavailable;
}
