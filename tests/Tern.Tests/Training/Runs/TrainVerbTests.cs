using System.Diagnostics;
using System.Security.Cryptography;
using System.Text.Json;
using System.Text.RegularExpressions;
using Tern.Files;
using Tern.Tests.Cli;
using Tern.Training.Runs;

namespace Tern.Tests.Training.Runs;

/// <summary>The verbs <c>train</c> and <c>train-tokenizer</c>, as the real program.</summary>
public sealed class TrainVerbTests : IDisposable
{
    private readonly TinyRun _run = new();

    public void Dispose() => _run.Dispose();

    [Fact]
    public void A_run_leaves_log_curve_report_and_a_model_that_runs()
    {
        string run = _run.In("run");
        TernResult result = _run.Run("run", 6).AssertSucceeds();

        Assert.EndsWith($"model: {run}/model.gguf", result.LastLine, StringComparison.Ordinal);
        Assert.DoesNotContain('\u001b', result.Output);
        Assert.Contains("bits per byte", result.Output, StringComparison.Ordinal);
        List<JsonElement> log = TinyRun.Log(run);
        Assert.Equal(Enumerable.Range(1, 6), TinyRun.StepsOf(run));
        Assert.All(log, step => Assert.True(step.GetProperty("loss").GetDouble() > 0));
        Assert.True(log[5].GetProperty("bitsPerByte").GetDouble() > 0);
        Assert.Equal(1, log[5].GetProperty("minus").GetDouble() + log[5].GetProperty("zero").GetDouble() + log[5].GetProperty("plus").GetDouble(), 6);
        Assert.Contains("<polyline", File.ReadAllText(Path.Combine(run, "loss.svg")), StringComparison.Ordinal);
        Assert.StartsWith("# Training run", File.ReadAllText(Path.Combine(run, "report.md")), StringComparison.Ordinal);
        Assert.Equal(["step-00000004.md", "step-00000004.tern", "step-00000006.md", "step-00000006.tern"], TinyRun.Checkpoints(run));
        TernProcess.Run("run", Path.Combine(run, "model.gguf"), "the cat", "-n", "3", "--temp", "0", "--no-tune").AssertSucceeds();
    }

    [Theory]
    [InlineData("-INT", 130)]
    [InlineData("-TERM", 143)]
    public void A_run_that_is_interrupted_ends_with_the_same_bytes(string signal, int exitCode)
    {
        if (OperatingSystem.IsWindows())
            return; // there is no kill -INT

        _run.Run("whole", 24).AssertSucceeds();
        using (Process process = TernProcess.Start(_run.Arguments("cut", 24)))
        {
            WaitFor(process, "step 1/");
            using (Process kill = Process.Start("kill", [signal, $"{process.Id}"]))
                kill.WaitForExit();
            string rest = process.StandardOutput.ReadToEnd();
            Assert.True(process.WaitForExit(TimeSpan.FromSeconds(60)));
            Assert.Equal(exitCode, process.ExitCode);
            Assert.Contains("saving behind this step; again to end at once", rest, StringComparison.Ordinal);
            Assert.Contains("goes on from", rest, StringComparison.Ordinal);
        }

        TernResult second = TernProcess.Run("train", "--out", _run.In("cut"), "--resume").AssertSucceeds();
        Assert.Contains("goes on behind step", second.Output, StringComparison.Ordinal);
        AssertSameEnd("whole", "cut", 24);
    }

    [Fact]
    public void A_run_that_is_killed_loses_at_most_the_steps_since_its_checkpoint()
    {
        _run.Run("whole", 14).AssertSucceeds();
        int kills = 0;
        foreach (string line in (string[])["reading the text", "step-00000000", "step 1/", "step-00000004", "step-00000008"])
        {
            string[] arguments = _run.Arguments("killed", 14);
            using Process process = TernProcess.Start(arguments);
            if (!WaitFor(process, line))
                break;
            process.Kill();
            process.WaitForExit();
            kills++;
        }

        Assert.True(kills >= 3);
        _run.Run("killed", 14).AssertSucceeds();
        AssertSameEnd("whole", "killed", 14);
        Assert.Equal(Enumerable.Range(1, 14), TinyRun.StepsOf(_run.In("killed")));
        Assert.Empty(Directory.EnumerateFiles(_run.In("killed"), "*.tern-partial", SearchOption.AllDirectories));
    }

    [Fact]
    public void A_run_that_goes_on_may_get_more_steps_or_end_where_it_stands()
    {
        _run.Run("run", 6).AssertSucceeds();
        string model = _run.In("run", "model.gguf");
        File.Delete(model);
        TernResult longer = _run.Run("run", 8).AssertSucceeds();
        Assert.Contains("the run ends at step 8 now, not 6", longer.Output, StringComparison.Ordinal);
        Assert.Contains("step 8/8", longer.Output, StringComparison.Ordinal);
        File.Delete(model);

        // The changed number is the run's own from here on, and a run that is done is exported again.
        TernProcess.Run("train", "--out", _run.In("run"), "--resume").AssertSucceeds();
        Assert.True(File.Exists(model));
        TernResult shorter = _run.Run("run", 5);
        shorter.AssertFails(1, "request");
        Assert.Contains("8 steps are done, more than the 5 of --steps", shorter.Error, StringComparison.Ordinal);
    }

    [Fact]
    public void A_folder_with_another_run_is_refused_with_the_field()
    {
        _run.Run("run", 2).AssertSucceeds();
        TernResult other = _run.Run("run", 2, "--hidden", "256");

        Assert.Contains("for 'hidden'", other.Error, StringComparison.Ordinal);
        Assert.Equal(1, other.ExitCode);
    }

    [Fact]
    public void A_model_in_full_precision_is_tuned_to_ternary()
    {
        _run.Run("full", 4, "--precision", "full", "--export", "f32").AssertSucceeds();
        TernResult result = _run.Run("tuned", 4, "--from", _run.In("full", "model.gguf"), "--quantization-warm-up-steps", "3");

        result.AssertSucceeds();
        Assert.Contains("I2_S", TernProcess.Run("inspect", _run.In("tuned", "model.gguf")).Output, StringComparison.Ordinal);
    }

    [Fact]
    public void A_loss_that_is_no_number_stops_the_run_and_names_the_place()
    {
        _run.Run("full", 2, "--precision", "full", "--export", "f32").AssertSucceeds();
        string path = _run.In("full", "model.gguf");
        long offset;
        using (GgufFile file = GgufFile.Open(path))
            offset = file.Tensors["output_norm.weight"].FileOffset;
        byte[] bytes = File.ReadAllBytes(path);
        BitConverter.TryWriteBytes(bytes.AsSpan((int)offset), float.MaxValue);
        File.WriteAllBytes(path, bytes);

        string run = _run.In("broken");
        TernResult result = _run.Run("broken", 4, "--from", path);

        Assert.StartsWith("tern: error (engine): step 1: the loss is no number any more; the first place that is not finite is ", result.Error, StringComparison.Ordinal);
        Assert.Contains("step-00000000.tern", result.Error, StringComparison.Ordinal);
        Assert.Equal(1, result.ExitCode);
        Assert.Equal(["step-00000000.md", "step-00000000.tern"], TinyRun.Checkpoints(run));
    }

    [Fact]
    public void A_disk_without_room_is_refused_before_the_work()
    {
        using RunFolder folder = RunFolder.Open(_run.In("full-disk"));
        var error = Assert.Throws<TernException>(() => folder.CheckSpace(long.MaxValue));
        Assert.Contains("free", error.Message, StringComparison.Ordinal);
        Assert.Contains("no other run", Assert.Throws<TernException>(() => RunFolder.Open(folder.Path)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Precisions_are_compared_in_one_table()
    {
        TernResult result = _run.Run("compare", 3, "--compare", "--export", "none").AssertSucceeds();

        string[] names = ["full precision", "int8 afterwards", "int4 afterwards", "ternary afterwards ", "ternary afterwards, by rows", "ternary, trained so", "binary, trained so", "ternary, taught"];
        string[] table = result.Output.TrimEnd().Split('\n')[^(names.Length + 1)..];
        for (int i = 0; i < names.Length; i++)
            Assert.StartsWith(names[i], table[i + 1], StringComparison.Ordinal);
        string report = File.ReadAllText(_run.In("compare", "report.md"));
        Assert.All(names, name => Assert.Contains($"| {name}", report, StringComparison.Ordinal));
    }

    [Fact]
    public void A_tokenizer_is_learned_as_both_kinds_of_file()
    {
        TernResult result = TernProcess.Run("train-tokenizer", _run.Text, "--vocabulary", "384", "-o", _run.Folder.File("t.gguf"), "--chat-template", "chatml").AssertSucceeds();
        TernProcess.Run("train-tokenizer", _run.Text, "--vocabulary", "384", "-o", _run.Folder.File("t.json")).AssertSucceeds();

        Assert.Contains("384 tokens", result.LastLine, StringComparison.Ordinal);
        Assert.Contains("cat", TernProcess.Run("tokenize", _run.Folder.File("t.gguf"), "the cat").Output, StringComparison.Ordinal);
        Assert.Contains("<|im_start|>user", TernProcess.Run("{\"messages\": [{\"role\": \"user\", \"content\": \"x\"}]}", ["template", _run.Folder.File("t.gguf")]).Output, StringComparison.Ordinal);
        using JsonDocument json = JsonDocument.Parse(File.ReadAllBytes(_run.Folder.File("t.json")));
        Assert.Equal("BPE", json.RootElement.GetProperty("model").GetProperty("type").GetString());
    }

    [Fact]
    public void A_chat_template_that_a_file_has_no_place_for_is_refused()
    {
        TernResult result = TernProcess.Run("train-tokenizer", _run.Text, "--vocabulary", "384", "-o", _run.Folder.File("t.json"), "--chat-template", "chatml");
        result.AssertFails(64, "usage");
        Assert.Contains("t.json", result.Error, StringComparison.Ordinal);
        Assert.False(File.Exists(_run.Folder.File("t.json")));
    }

    [Fact]
    public void The_help_has_the_defaults()
    {
        string help = Regex.Replace(TernProcess.Run("train", "--help").AssertSucceeds().Output, @"\s+", " ");
        Assert.Contains("--context <N> Tokens of a sequence. [default: 256]", help, StringComparison.Ordinal);
        Assert.Contains("[default: ternary]", help, StringComparison.Ordinal);
        Assert.Contains("with 'train' training", Regex.Replace(TernProcess.Run("bench", "--help").AssertSucceeds().Output, @"\s+", " "), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(64, "usage", "--out FOLDER is needed", "--steps", "3")]
    [InlineData(64, "usage", "--out: '' is wrong: it takes the name of a folder", "--out", "")]
    [InlineData(1, "request", "--hidden does nothing beside --from: the model has its own; leave it out", "--out", "OUT", "--from", "model.gguf", "--hidden", "64")]
    [InlineData(1, "request", "the configuration lies in the run folder", "CONFIG", "--out", "OUT")]
    [InlineData(64, "usage", "--steps: '0' is wrong", "--out", "OUT", "--steps", "0")]
    [InlineData(64, "usage", "contradict", "--out", "OUT", "--steps", "3", "--hours", "1")]
    [InlineData(64, "usage", "did you mean '--learning-rate'", "--out", "OUT", "--lerning-rate", "3")]
    [InlineData(1, "request", "no data is named", "--out", "OUT")]
    [InlineData(1, "request", "no tokenizer is named", "--out", "OUT", "--data", "TEXT")]
    [InlineData(66, "file", "no such file or folder", "--out", "OUT", "--data", "nothing.txt", "--tokenizer", "TOKENIZER")]
    [InlineData(66, "file", "there is no run to go on with", "--out", "OUT", "--resume")]
    [InlineData(66, "file", "cannot be read", "missing.json", "--out", "OUT")]
    [InlineData(1, "request", "there is no text to train on; every file is empty", "--out", "OUT", "--data", "EMPTY", "--tokenizer", "TOKENIZER")]
    [InlineData(66, "file", "has no file that ends in", "--out", "OUT", "--data", "FOLDER", "--tokenizer", "TOKENIZER")]
    [InlineData(1, "request", "single document", "--out", "OUT", "--data", "TEXT", "--tokenizer", "TOKENIZER")]
    [InlineData(1, "request", "less than two sequences", "--out", "OUT", "--data", "TEXT", "--tokenizer", "TOKENIZER", "--separator", "blank", "--context", "60000")]
    [InlineData(65, "limit", "of memory", "--out", "OUT", "--data", "TEXT", "--tokenizer", "TOKENIZER", "--separator", "blank", "--context", "32", "--hidden", "16384", "--layers", "200")]
    public void Mistakes_are_one_line(int exitCode, string kind, string says, params string[] arguments)
    {
        string[] real = [.. arguments.Select(argument => argument switch
        {
            "OUT" => _run.In("out"),
            "CONFIG" => WriteConfiguration(),
            "TEXT" => _run.Text,
            "EMPTY" => _run.Folder.Write("empty.txt", []),
            "FOLDER" => Directory.CreateDirectory(_run.Folder.File("folder")).FullName,
            "TOKENIZER" => _run.Tokenizer,
            _ => argument,
        })];
        TernResult result = TernProcess.Run(["train", .. real]);

        Assert.StartsWith($"tern: error ({kind}): ", result.Error, StringComparison.Ordinal);
        Assert.Equal(result.Error.Length - 1, result.Error.IndexOf('\n', StringComparison.Ordinal));
        Assert.Contains(says, result.Error, StringComparison.Ordinal);
        Assert.Equal(exitCode, result.ExitCode);
    }

    /// <summary>A configuration where the run writes its own.</summary>
    private string WriteConfiguration()
    {
        Directory.CreateDirectory(_run.In("out"));
        return _run.Folder.Write("out/config.json", "{}"u8.ToArray());
    }

    /// <summary>Reads lines until one holds the text; false when the program ended before.</summary>
    private static bool WaitFor(Process process, string text)
    {
        while (process.StandardOutput.ReadLine() is { } line)
            if (line.Contains(text, StringComparison.Ordinal))
                return true;
        return false;
    }

    private void AssertSameEnd(string one, string other, int step)
    {
        Assert.Equal(Hash(one), Hash(other));

        string Hash(string run) => Convert.ToHexString(SHA256.HashData(File.ReadAllBytes(_run.In(run, "checkpoints", $"step-{step:00000000}.tern"))));
    }
}
