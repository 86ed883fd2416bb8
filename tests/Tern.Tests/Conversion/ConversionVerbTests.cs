using Tern.Tests.Cli;
using Tern.Tests.Files;

namespace Tern.Tests.Conversion;

/// <summary>The verbs convert and quantize of the real program.</summary>
public sealed class ConversionVerbTests : IDisposable
{
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

    [Theory]
    [InlineData("is a folder", "convert", "STORY", "-o", "FOLDER", "--force")]
    [InlineData("is a folder", "quantize", "STORY", "FOLDER", "i2_s", "--force")]
    [InlineData("is empty", "quantize", "STORY", "", "i2_s")]
    [InlineData("is a device", "quantize", "STORY", "/dev/null", "i2_s", "--force")]
    [InlineData("is a device", "fix", "STORY", "/dev/null", "--force")]
    [InlineData("is a file", "convert", "STORY", "--to", "huggingface", "-o", "STORY", "--force")]
    public void An_output_that_cannot_be_is_refused_before_the_work(string words, params string[] arguments)
    {
        string folder = Path.Combine(_folder.Path, "there");
        Directory.CreateDirectory(folder);
        TernResult result = TernProcess.Run([.. arguments.Select(a => a.Replace("FOLDER", folder, StringComparison.Ordinal).Replace("STORY", TernProcess.Storyteller, StringComparison.Ordinal))]);
        result.AssertFails(1, "request");
        Assert.Contains(words, result.Error, StringComparison.Ordinal);
        Assert.Empty(Directory.EnumerateFileSystemEntries(folder));
    }

    [Fact]
    public void Types_are_not_for_checkpoints_and_are_not_ignored() =>
        TernProcess.Run("convert", TernProcess.Storyteller, "--to", "huggingface", "-o", Path.Combine(_folder.Path, "x"), "--type", "q8_0").AssertFails(64, "usage");

    [SharedFact]
    public void Damage_is_measured_without_being_asked_for()
    {
        string path = _folder.File("ruined.gguf");
        TernResult result = TernProcess.Run("quantize", Goldens.File("m10a-llama-f16"), path, "TQ2_0", "--ptq", "absmean");
        Assert.Equal(0, result.ExitCode);
        Assert.Contains("NOT trained to be ternary", result.Error, StringComparison.Ordinal);
        Assert.Matches("perplexity [0-9.]+ ± [0-9.]+ before, [0-9.]+ ± [0-9.]+ after", result.Output);
        Assert.DoesNotContain("carried over exactly", result.Output, StringComparison.Ordinal);
    }
}
