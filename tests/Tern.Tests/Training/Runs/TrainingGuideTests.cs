using System.Text.RegularExpressions;
using Tern.Tests.Cli;
using Tern.Tests.Files;
using Tern.Tests.Training.Data;
using Tern.Training;
using Tern.Training.Runs;

namespace Tern.Tests.Training.Runs;

/// <summary>What docs/training.md shows is run, and its table of sizes is the program's.</summary>
public sealed partial class TrainingGuideTests
{
    private static readonly string s_text = File.ReadAllText(Path.Combine(Repository.Root, "docs", "training.md")).ReplaceLineEndings("\n");

    [Fact]
    public void The_commands_work_as_written()
    {
        using var folder = new TempFolder();
        folder.Write("tales.txt", System.Text.Encoding.UTF8.GetBytes(TinyCorpus.Documents(40, 60)));
        string[] lines = Block().Match(s_text).Groups["commands"].Value.Trim().Split('\n');

        Assert.Equal(3, lines.Length);
        foreach (string line in lines)
        {
            Assert.StartsWith("tern ", line, StringComparison.Ordinal);
            string[] words = [.. Word().Matches(line["tern ".Length..]).Select(word => word.Value.Trim('"')).Select(word => IsFile(word) ? folder.File(word) : word)];
            Assert.Equal(0, TernProcess.Run(words).ExitCode);
        }
    }

    [Fact]
    public void The_table_of_sizes_is_that_of_the_program()
    {
        foreach (SizePreset preset in SizePreset.All)
        {
            ModelShape shape = (new RunSettings { Size = preset.Name }).ShapeFor(4096);
            string row = string.Create(
                System.Globalization.CultureInfo.InvariantCulture,
                $"| `{preset.Name}` | {shape.Parameters / 1e6:0.0} million | {preset.Layers} | {preset.Hidden} | {preset.Heads} | {preset.FeedForward} | {preset.LearningRate} |");
            Assert.Contains(row, s_text, StringComparison.Ordinal);
        }
    }

    /// <summary>Names of files stand for themselves in a folder of the test.</summary>
    private static bool IsFile(string word) => word.StartsWith("tales", StringComparison.Ordinal) || word.EndsWith(".gguf", StringComparison.Ordinal);

    [GeneratedRegex(@"<!-- run -->\n```sh\n(?<commands>.*?)```", RegexOptions.Singleline)]
    private static partial Regex Block();

    [GeneratedRegex("\"[^\"]*\"|\\S+")]
    private static partial Regex Word();
}
