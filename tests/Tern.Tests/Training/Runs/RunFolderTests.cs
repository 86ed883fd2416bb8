using Tern.Training.Runs;

namespace Tern.Tests.Training.Runs;

/// <summary>A run folder takes nothing that is somebody else's.</summary>
public sealed class RunFolderTests : IDisposable
{
    private readonly TinyRun _run = new();

    public void Dispose() => _run.Dispose();

    [Theory]
    [InlineData("config.json")]
    [InlineData("model.gguf")]
    [InlineData("report.md")]
    [InlineData("tokenizer.gguf")]
    [InlineData("huggingface/model.safetensors")]
    [InlineData("checkpoints/epoch-1.pt")]
    [InlineData("lock")]
    public void A_folder_of_somebody_else_is_refused_and_stays_as_it_was(string name)
    {
        string file = _run.In("theirs", name);
        Directory.CreateDirectory(Path.GetDirectoryName(file)!);
        File.WriteAllText(file, """{ "architectures": ["LlamaForCausalLM"] }""");

        TernException error = Assert.Throws<TernException>(() => _run.Job(_run.Fields("theirs", 2)));
        Assert.Contains($"the folder holds '{name.Split('/')[0]}'", error.Message, StringComparison.Ordinal);
        Assert.Equal([file], Directory.GetFiles(_run.In("theirs"), "*", SearchOption.AllDirectories));
    }

    [Fact]
    public void Files_of_others_beside_a_run_stay()
    {
        string[] theirs = [_run.In("run", "notes.md"), _run.In("run", "download.gguf.tern-partial"), _run.In("run", "store", "blob.tern-lock"), _run.In("run", "checkpoints", "mine.tern-partial")];
        Directory.CreateDirectory(_run.In("run", "store"));
        foreach (string file in theirs[..3])
            File.WriteAllText(file, "x");
        using (RunFolder.Open(_run.In("run")))
        {
            _run.Fields("run", 2).Write(_run.In("run", "config.json"));
            string[] own = [_run.In("run", "model.gguf.tern-partial"), _run.In("run", "huggingface.tern-lock"), _run.In("run", "checkpoints", "step-00000002.tern.tern-partial")];
            foreach (string file in (string[])[.. own, theirs[3]])
                File.WriteAllText(file, "x");
        }

        RunFolder.Open(_run.In("run")).Dispose();
        Assert.Equal(theirs.Append(_run.In("run", "lock")).Append(_run.In("run", "config.json")).Order(), Directory.GetFiles(_run.In("run"), "*", SearchOption.AllDirectories).Order());
    }

    [Fact]
    public void A_run_that_failed_before_its_first_step_begins_again()
    {
        Assert.Throws<TernException>(() => _run.Job(_run.Fields("run", 2, ("context", "60000"))));
        Assert.True(File.Exists(_run.In("run", "tokens.bin")));
        Assert.True(_run.Job(_run.Fields("run", 2)).Finished);
    }

    [Theory]
    [InlineData("tokenizer", "tokenizer.gguf")]
    [InlineData("from", "model.gguf")]
    [InlineData("teacher", "checkpoints/step-00000002.tern")]
    public void An_input_that_the_run_would_replace_is_refused(string field, string name)
    {
        string input = _run.In("run", name);
        TernException error = Assert.Throws<TernException>(() => _run.Job(_run.Fields("run", 2, (field, input), ("size", field == "from" ? null : "tiny"))));
        Assert.StartsWith($"{input}: ", error.Message, StringComparison.Ordinal);
        Assert.Contains("a name that the run itself writes", error.Message, StringComparison.Ordinal);
        Assert.False(Directory.Exists(_run.In("run")));
    }

    [Fact]
    public void A_single_run_is_not_begun_in_a_comparison()
    {
        Directory.CreateDirectory(_run.In("compared", "full", "checkpoints"));
        File.WriteAllText(_run.In("compared", "full", "checkpoints", "step-00000002.tern"), "");
        _run.Fields("compared", 2).Write(_run.In("compared", "config.json"));

        TernException error = Assert.Throws<TernException>(() => _run.Job(_run.Fields("compared", 2)));
        Assert.Contains("holds a comparison; add --compare", error.Message, StringComparison.Ordinal);
        Assert.False(File.Exists(_run.In("compared", "lock")));
    }

    [Fact]
    public void A_comparison_without_held_out_text_is_refused_before_anything_is_trained()
    {
        TernException error = Assert.Throws<TernException>(() =>
            ComparisonJob.Run(_run.Fields("compared", 2, ("heldOutShare", "0")), field => field.Flag, resume: false, new RecordingObserver(), CancellationToken.None));
        Assert.Contains("a comparison needs held-out text", error.Message, StringComparison.Ordinal);
        Assert.Empty(Directory.GetFiles(_run.In("compared"), "*.tern", SearchOption.AllDirectories));
    }

    [Fact]
    public void A_disk_of_which_nothing_is_known_is_no_error()
    {
        Assert.Null(RunFolder.FreeBytes("\0"));
        Assert.True(RunFolder.FreeBytes(_run.Folder.Path) > 0);
    }
}
