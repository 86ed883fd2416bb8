using System.Globalization;
using System.Text.RegularExpressions;
using Tern.Tests.Cli;

namespace Tern.Tests.Documents;

/// <summary>What docs/storyteller.md shows of the model that comes with Tern is what the model does.</summary>
public sealed partial class StorytellerTests
{
    private static readonly string s_text = File.ReadAllText(Path.Combine(Repository.Root, "docs", "storyteller.md")).ReplaceLineEndings("\n");

    [Fact]
    public void The_samples_are_what_it_tells_and_none_of_them_loops()
    {
        MatchCollection samples = Sample().Matches(s_text);
        Assert.Equal(20, samples.Count);
        foreach (Match sample in samples)
        {
            TernResult result = TernProcess.Run("run", "storyteller", "Once upon a time", "--temp", "0.8", "-n", "160", "--seed", sample.Groups["seed"].Value);
            string told = result.AssertSucceeds().Output.ReplaceLineEndings("\n").Trim('\n');
            Assert.Equal(sample.Groups["text"].Value, "Once upon a time" + told);
            Assert.False(Loops(told), $"seed {sample.Groups["seed"].Value} repeats itself: {told}");
        }
    }

    [Fact]
    public void A_loop_is_found()
    {
        Assert.True(Loops("and so it was, and so it was, and so it was, and so it was, and so it was, and then"));
        Assert.True(Loops("no no no no no no no no no no no no"));
        Assert.False(Loops("He went to the house, and to the garden, and to the sea, and there he sat down and was glad of it, and to the sea he sang."));
    }

    [SharedFact]
    public void The_bits_per_byte_of_a_held_out_book_are_those_of_the_table()
    {
        // One book of the held-out ones, as the table names it: document n of a file, cut at blank lines.
        Match row = HeldOut().Match(s_text);
        Assert.True(row.Success);
        string[] documents = BlankLine().Split(File.ReadAllText(SharedData.File("data", "text", row.Groups["file"].Value)).ReplaceLineEndings("\n"));
        string book = documents.Where(d => d.Trim().Length > 0).ElementAt(int.Parse(row.Groups["number"].Value, CultureInfo.InvariantCulture) - 1);
        using var folder = new Files.TempFolder();
        string path = folder.File("book.txt");
        File.WriteAllText(path, book);
        string output = TernProcess.Run("perplexity", "storyteller", "--file", path).AssertSucceeds().Output;
        Assert.Contains(row.Groups["bits"].Value + " bits per byte", output, StringComparison.Ordinal);
    }

    /// <summary>Whether the same one to twelve words come five times in a row.</summary>
    private static bool Loops(string text)
    {
        const int repetitions = 5, wordsMax = 12;
        string[] words = text.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries);
        for (int length = 1; length <= wordsMax; length++)
        {
            int same = 0;
            for (int i = length; i < words.Length; i++)
            {
                same = string.Equals(words[i], words[i - length], StringComparison.OrdinalIgnoreCase) ? same + 1 : 0;
                if (same >= length * (repetitions - 1))
                    return true;
            }
        }

        return false;
    }

    [GeneratedRegex(@"^Seed (?<seed>\d+):\n\n```\n(?<text>.*?)\n```$", RegexOptions.Multiline | RegexOptions.Singleline)]
    private static partial Regex Sample();

    [GeneratedRegex(@"^\| [^|]*\((?<file>\w+\.txt)#(?<number>\d+), checked\) \|[^|]*\| (?<bits>\d\.\d{4}) \|", RegexOptions.Multiline)]
    private static partial Regex HeldOut();

    [GeneratedRegex(@"\n\s*\n")]
    private static partial Regex BlankLine();
}
