using System.Diagnostics;

namespace Tern.Tests.Hub;

/// <summary>Runs a command as if a person sat before it, by script(1).</summary>
internal static class PseudoTerminal
{
    /// <summary>Why this cannot be done here; null when it can.</summary>
    public static string? Unavailable { get; } = FindUnavailable();

    public static (int ExitCode, string Output) Run(string command, params (string Name, string Value)[] variables)
    {
        var start = new ProcessStartInfo("script", ["-qec", "stty cols 120 rows 30; " + command, "/dev/null"]) { RedirectStandardOutput = true, RedirectStandardInput = true };
        foreach ((string name, string value) in variables)
            start.Environment[name] = value;
        start.Environment["TERM"] = "xterm-256color";
        start.Environment.Remove("NO_COLOR");
        using Process process = Process.Start(start)!;
        process.StandardInput.Close();
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return (process.ExitCode, output);
    }

    private static string? FindUnavailable()
    {
        const string loud = "TERMINAL NOT TESTED: ";
        if (!OperatingSystem.IsLinux())
            return loud + "script has other options here";
        try
        {
            return Run("test -t 1").ExitCode == 0 ? null : loud + "script gives no terminal here";
        }
        catch (System.ComponentModel.Win32Exception)
        {
            return loud + "script is not installed (util-linux)";
        }
    }
}

/// <summary>A fact that needs a terminal; where there is none it is skipped aloud.</summary>
public sealed class TerminalFactAttribute : FactAttribute
{
    public TerminalFactAttribute() => Skip = PseudoTerminal.Unavailable;
}
