using System.Diagnostics;
using System.Text.RegularExpressions;
using Tern.Tests.Cli;

namespace Tern.Tests.Documents;

/// <summary>What the README shows is run: its commands, its transcript to the letter, and its code, which is a sample that compiles.</summary>
public sealed partial class ReadmeTests
{
    private static readonly string s_text = File.ReadAllText(Path.Combine(Repository.Root, "README.md")).ReplaceLineEndings("\n");

    [Fact]
    public void The_main_command_works_as_written()
    {
        const string prefix = "dotnet run -c Release ";
        string command = Block("<!-- run -->").Trim();
        Assert.StartsWith(prefix, command, StringComparison.Ordinal);

        // As written but for the build, which has been done, in the configuration of these tests.
        string[] arguments = ["run", "--no-build", "-c", Configuration, .. Words(command[prefix.Length..])];
        using Process process = Process.Start(new ProcessStartInfo("dotnet", arguments) { RedirectStandardOutput = true, WorkingDirectory = Repository.Root })!;
        Assert.NotEmpty(process.StandardOutput.ReadToEnd());
        process.WaitForExit();
        Assert.Equal(0, process.ExitCode);
    }

    [Fact]
    public void The_transcript_is_what_the_program_prints()
    {
        MatchCollection steps = Step().Matches(Block("<!-- transcript -->"));
        Assert.NotEmpty(steps);
        foreach (Match step in steps)
        {
            TernResult result = TernProcess.Run(step.Groups["input"].Value, Words(step.Groups["arguments"].Value));
            Assert.Equal(step.Groups["output"].Value, result.AssertSucceeds().Output.ReplaceLineEndings("\n"));
        }
    }

    [Fact]
    public void The_code_is_the_sample_and_the_sample_runs()
    {
        string path = SampleMarker().Match(s_text).Groups[1].Value;
        string sample = Path.Combine(Repository.Root, path);
        Assert.Equal(File.ReadAllText(sample).ReplaceLineEndings("\n"), Block(SampleMarker().Match(s_text).Value));

        string built = Path.Combine(Repository.Root, "artifacts", "bin", "Complete", Path.GetFileName(AppContext.BaseDirectory.TrimEnd(Path.DirectorySeparatorChar)), "Complete.dll");
        using Process process = Process.Start(new ProcessStartInfo("dotnet", [built, TernProcess.Storyteller]) { RedirectStandardOutput = true })!;
        Assert.NotEmpty(process.StandardOutput.ReadToEnd());
        process.WaitForExit();
        Assert.Equal(0, process.ExitCode);
    }

    [Fact]
    public void Every_link_to_a_file_leads_somewhere()
    {
        foreach (Match link in Link().Matches(s_text))
            Assert.True(Path.Exists(Path.Combine(Repository.Root, link.Groups[1].Value)), link.Value);
    }

    /// <summary>Release or Debug, whichever these tests were built in.</summary>
    private static string Configuration =>
        Path.GetFileName(AppContext.BaseDirectory.TrimEnd(Path.DirectorySeparatorChar)).Equals("debug", StringComparison.OrdinalIgnoreCase) ? "Debug" : "Release";

    private static string Block(string marker)
    {
        int start = s_text.IndexOf("```", s_text.IndexOf(marker, StringComparison.Ordinal), StringComparison.Ordinal);
        start = s_text.IndexOf('\n', start) + 1;
        return s_text[start..s_text.IndexOf("```", start, StringComparison.Ordinal)];
    }

    private static string[] Words(string command) => [.. Word().Matches(command).Select(m => m.Value.Trim('"'))];

    [GeneratedRegex("\"[^\"]*\"|\\S+")]
    private static partial Regex Word();

    [GeneratedRegex(@"^\$ (?:echo '(?<input>[^']*)' \| )?tern (?<arguments>.*)\n(?<output>(?:(?!\$ ).*\n)*)", RegexOptions.Multiline)]
    private static partial Regex Step();

    [GeneratedRegex("<!-- sample: (\\S+) -->")]
    private static partial Regex SampleMarker();

    [GeneratedRegex(@"\]\((?!https?:)([^)]+)\)")]
    private static partial Regex Link();
}
