using System.Text;

namespace Tern.Tests.Cli;

/// <summary>Command lines that are wrong, help, and exit codes: what holds before any model is read.</summary>
public sealed class CommandLineTests
{
    [Theory]
    [InlineData("--bogus", "--bogus")]
    [InlineData("run --tmep 0.5 hello", "did you mean '--temp'?")]
    [InlineData("inspect --tensor", "did you mean '--tensors'?")]
    [InlineData("logits --chunks=7", "did you mean '--chunk'?")]
    [InlineData("rnu hello", "did you mean 'run'?")]
    [InlineData("run --threads many hello", "'many' is not a value of --threads")]
    [InlineData("run --i2s-layout zigzag", "canonical, arm or 4row")]
    [InlineData("run --temp", "--temp")]
    [InlineData("inspect one two", "one argument too many")]
    [InlineData("run --logit-bias 7 hello", "ID=VALUE")]
    public void A_wrong_command_line_gets_one_line_that_says_what_is_wrong(string line, string expected)
    {
        TernResult result = TernProcess.Run(line.Split(' '));

        result.AssertFails(64, "usage");
        Assert.Contains(expected, result.Error, StringComparison.Ordinal);
    }

    [Fact]
    public void Every_verb_has_help_in_plain_text()
    {
        string help = TernProcess.Run("--help").AssertSucceeds().Output;
        string[] verbs =
        [
            .. help[help.IndexOf("Commands:", StringComparison.Ordinal)..].Split('\n')
                .Skip(1)
                .Where(l => l.StartsWith("  ", StringComparison.Ordinal) && l[2] != ' ')
                .Select(l => l.Trim().Split(' ')[0]),
        ];

        Assert.Contains("run", verbs);
        foreach (string verb in verbs)
        {
            string text = TernProcess.Run(verb, "--help").AssertSucceeds().Output;
            Assert.Contains($"tern {verb}", text, StringComparison.Ordinal);
            Assert.DoesNotContain('\u001b', text);
        }
    }

    [Fact]
    public void No_arguments_show_the_help() =>
        Assert.Contains("Usage:", TernProcess.Run().AssertSucceeds().Output, StringComparison.Ordinal);

    [Fact]
    public void Version_is_a_version() =>
        Assert.Matches(@"^\d+\.\d+\.\d+", TernProcess.Run("--version").AssertSucceeds().Output);

    [Theory]
    [InlineData("inspect absent.gguf")]
    [InlineData("run models/absent")]
    [InlineData("run absent hello")]
    [InlineData("tokenize absent.gguf --json")]
    [InlineData("perplexity absent.gguf -f absent.txt")]
    public void A_missing_file_is_named(string line)
    {
        TernResult result = TernProcess.Run(line.Split(' '));

        result.AssertFails(66, "file");
        Assert.Contains("absent", result.Error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("inspect")]
    [InlineData("tokenize")]
    [InlineData("run")]
    public void A_file_that_is_no_model_is_a_data_error(string verb)
    {
        string path = Path.Combine(Path.GetTempPath(), $"tern-test-{Guid.NewGuid():N}.gguf");
        File.WriteAllText(path, "this is not a model file, whatever its name says, and it is long enough to be one");
        try
        {
            TernResult result = TernProcess.Run(verb, path, "hello");
            if (verb == "inspect")
                result = TernProcess.Run(verb, path);

            result.AssertFails(65, "format");
            Assert.Contains(path, result.Error, StringComparison.Ordinal);
        }
        finally
        {
            File.Delete(path);
        }
    }

    [Theory]
    [InlineData("tokenize")]
    [InlineData("run")]
    public void Invalid_utf8_is_refused_with_its_offset(string verb)
    {
        TernResult result = TernProcess.Run([.. "héllo "u8, 0xC3, (byte)'!'], [verb, "storyteller"]);

        result.AssertFails(65, "format");
        Assert.Contains("byte 0xc3 at offset 7", result.Error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("{", "is not JSON")]
    [InlineData("{\"a\":1}", "an object, must be an array")]
    [InlineData("[3]", "item 0 is 3")]
    [InlineData("[\"\\ud800\"]", "item 0 is not valid Unicode")]
    public void Wrong_json_is_refused_with_its_place(string json, string expected)
    {
        TernResult result = TernProcess.Run(Encoding.UTF8.GetBytes(json), ["tokenize", "storyteller", "--json"]);

        result.AssertFails(65, "format");
        Assert.Contains(expected, result.Error, StringComparison.Ordinal);
    }

    [Fact]
    public void An_empty_standard_input_is_no_prompt() => TernProcess.Run("run").AssertFails(64, "usage");
}
