using System.Diagnostics;
using System.Text;
using Tern.Tests.Files;

namespace Tern.Tests.Cli;

/// <summary>What a run of the program left behind.</summary>
internal sealed record TernResult(int ExitCode, string Output, string Error)
{
    /// <summary>The last line of standard output.</summary>
    public string LastLine => Output.TrimEnd().Split('\n')[^1];

    /// <summary>Asserts the contract of every failure: nothing on standard output, one line on standard error, the exit code.</summary>
    public void AssertFails(int exitCode, string kind)
    {
        Assert.Equal("", Output);
        Assert.StartsWith($"tern: error ({kind}): ", Error, StringComparison.Ordinal);
        Assert.Equal(Error.Length - 1, Error.IndexOf('\n', StringComparison.Ordinal));
        Assert.Equal(exitCode, ExitCode);
    }

    /// <summary>Asserts success without a word on standard error.</summary>
    public TernResult AssertSucceeds()
    {
        Assert.Equal(("", 0), (Error, ExitCode));
        return this;
    }
}

/// <summary>Runs the built program as a child process, the way people and scripts do.</summary>
internal static class TernProcess
{
    private static readonly TimeSpan s_limit = TimeSpan.FromSeconds(120);

    /// <summary>What the program remembers belongs to the tests of this run.</summary>
    private static readonly TempFolder s_cache = TempFolder.UntilExit();

    public static string Executable { get; } = Path.Combine(
        Repository.Root,
        "artifacts",
        "bin",
        "Tern.Cli",
        Path.GetFileName(AppContext.BaseDirectory.TrimEnd(Path.DirectorySeparatorChar)),
        OperatingSystem.IsWindows() ? "tern.exe" : "tern");

    /// <summary>The default model, as the program itself finds it.</summary>
    public static string Storyteller { get; } = Path.Combine(Repository.Root, "src", "Tern.Cli", "models", "storyteller.gguf");

    public static TernResult Run(params string[] arguments) => Run([], arguments);

    public static TernResult Run(string input, string[] arguments) => Run(Encoding.UTF8.GetBytes(input), arguments);

    public static TernResult Run(byte[] input, string[] arguments, params (string Name, string Value)[] variables)
    {
        using Process process = Start(arguments, variables);
        Task<string> output = process.StandardOutput.ReadToEndAsync();
        Task<string> error = process.StandardError.ReadToEndAsync();
        try
        {
            process.StandardInput.BaseStream.Write(input);
            process.StandardInput.Close();
        }
        catch (IOException)
        {
            // It ended without reading; its exit code says why.
        }

        if (!process.WaitForExit(s_limit))
        {
            process.Kill(entireProcessTree: true);
            Assert.Fail($"tern {string.Join(' ', arguments)} did not end within {s_limit.TotalSeconds} s");
        }

        return new TernResult(process.ExitCode, output.Result, error.Result);
    }

    public static Process Start(string[] arguments, params (string Name, string Value)[] variables)
    {
        var start = new ProcessStartInfo(Executable, arguments)
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            StandardOutputEncoding = Encoding.UTF8,
            StandardErrorEncoding = Encoding.UTF8,
        };
        start.Environment.Remove("TERN_DEBUG");
        start.Environment.Remove("TERN_KERNEL");
        start.Environment["TERN_CACHE"] = s_cache.Path;
        start.Environment["TERN_MODELS"] = s_cache.File("models");
        start.Environment["TERN_OFFLINE"] = "1";
        foreach ((string name, string value) in variables)
            start.Environment[name] = value;
        return Process.Start(start)!;
    }
}
