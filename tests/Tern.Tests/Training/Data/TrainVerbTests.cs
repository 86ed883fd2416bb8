using System.Diagnostics;
using System.Security.Cryptography;
using System.Text.Json;
using Tern.Files;
using Tern.Tests.Cli;
using Tern.Tests.Files;
using Tern.Training.Runs;

namespace Tern.Tests.Training.Data;

/// <summary>The verbs <c>train</c> and <c>train-tokenizer</c>, as the real program.</summary>
public sealed class TrainVerbTests : IDisposable
{
    private readonly TempFolder _folder = new();
    private readonly string _text;
    private readonly string _tokenizer;

    public TrainVerbTests() => (_text, _tokenizer) = TinyCorpus.Write(_folder);

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void A_run_leaves_log_curve_report_and_a_model_that_runs()
    {
        string run = _folder.File("run");
        TernResult result = TernProcess.Run(Arguments("run", steps: 6)).AssertSucceeds();

        Assert.EndsWith($"model: {run}/model.gguf", result.LastLine, StringComparison.Ordinal);
        Assert.DoesNotContain('\u001b', result.Output);
        Assert.Contains("bits per byte", result.Output, StringComparison.Ordinal);
        JsonElement[] log = [.. File.ReadLines(Path.Combine(run, "log.jsonl")).Select(line => JsonDocument.Parse(line).RootElement)];
        Assert.Equal(Enumerable.Range(1, 6), log.Select(step => step.GetProperty("step").GetInt32()));
        Assert.All(log, step => Assert.True(step.GetProperty("loss").GetDouble() > 0));
        Assert.True(log[5].GetProperty("bitsPerByte").GetDouble() > 0);
        Assert.Equal(1, log[5].GetProperty("minus").GetDouble() + log[5].GetProperty("zero").GetDouble() + log[5].GetProperty("plus").GetDouble(), 6);
        Assert.Contains("<polyline", File.ReadAllText(Path.Combine(run, "loss.svg")), StringComparison.Ordinal);
        Assert.StartsWith("# Training run", File.ReadAllText(Path.Combine(run, "report.md")), StringComparison.Ordinal);
        Assert.Equal(["step-00000004.tern", "step-00000006.tern"], Checkpoints(run));
        TernProcess.Run("run", Path.Combine(run, "model.gguf"), "the cat", "-n", "3", "--temp", "0", "--no-tune").AssertSucceeds();
    }

    [Fact]
    public void A_run_that_is_interrupted_ends_with_the_same_bytes()
    {
        if (OperatingSystem.IsWindows())
            return; // there is no kill -INT

        TernProcess.Run(Arguments("whole", steps: 24)).AssertSucceeds();
        using (Process process = TernProcess.Start(Arguments("cut", steps: 24)))
        {
            WaitFor(process, "step 1/");
            using (Process kill = Process.Start("kill", ["-INT", $"{process.Id}"]))
                kill.WaitForExit();
            string rest = process.StandardOutput.ReadToEnd();
            Assert.True(process.WaitForExit(TimeSpan.FromSeconds(60)));
            Assert.Equal(130, process.ExitCode);
            Assert.Contains("goes on from", rest, StringComparison.Ordinal);
        }

        TernResult second = TernProcess.Run("train", "--out", _folder.File("cut"), "--resume").AssertSucceeds();
        Assert.Contains("goes on behind step", second.Output, StringComparison.Ordinal);
        AssertSameEnd("whole", "cut", 24);
    }

    [Fact]
    public void A_run_that_is_killed_loses_at_most_the_steps_since_its_checkpoint()
    {
        TernProcess.Run(Arguments("whole", steps: 14)).AssertSucceeds();
        int kills = 0;
        foreach (string line in (string[])["reading the text", "step-00000000", "step 1/", "step-00000004", "step-00000008"])
        {
            string[] arguments = Arguments("killed", steps: 14);
            using Process process = TernProcess.Start(arguments);
            if (!WaitFor(process, line))
                break;
            process.Kill();
            process.WaitForExit();
            kills++;
        }

        Assert.True(kills >= 3);
        TernProcess.Run(Arguments("killed", steps: 14)).AssertSucceeds();
        AssertSameEnd("whole", "killed", 14);
        Assert.Equal(Enumerable.Range(1, 14), File.ReadLines(Path.Combine(_folder.File("killed"), "log.jsonl")).Select(line => JsonDocument.Parse(line).RootElement.GetProperty("step").GetInt32()));
        Assert.Empty(Directory.EnumerateFiles(_folder.File("killed"), "*.tern-partial", SearchOption.AllDirectories));
    }

    [Fact]
    public void A_run_that_goes_on_may_get_more_steps_or_end_where_it_stands()
    {
        TernProcess.Run(Arguments("run", steps: 6)).AssertSucceeds();
        string model = Path.Combine(_folder.File("run"), "model.gguf");
        File.Delete(model);
        TernResult longer = TernProcess.Run(Arguments("run", steps: 8)).AssertSucceeds();
        Assert.Contains("the run ends at step 8 now, not 6", longer.Output, StringComparison.Ordinal);
        Assert.Contains("step 8/8", longer.Output, StringComparison.Ordinal);
        File.Delete(model);

        // The changed number is the run's own from here on, and a run that is done is exported again.
        TernProcess.Run("train", "--out", _folder.File("run"), "--resume").AssertSucceeds();
        Assert.True(File.Exists(model));
        TernResult shorter = TernProcess.Run(Arguments("run", steps: 5));
        shorter.AssertFails(1, "request");
        Assert.Contains("8 steps are done, more than the 5 of --steps", shorter.Error, StringComparison.Ordinal);
    }

    [Fact]
    public void A_folder_with_another_run_is_refused_with_the_field()
    {
        TernProcess.Run(Arguments("run", steps: 2)).AssertSucceeds();
        TernResult other = TernProcess.Run([.. Arguments("run", steps: 2), "--hidden", "256"]);

        Assert.Contains("for 'hidden'", other.Error, StringComparison.Ordinal);
        Assert.Equal(1, other.ExitCode);
    }

    [Fact]
    public void A_model_in_full_precision_is_tuned_to_ternary()
    {
        TernProcess.Run([.. Arguments("full", steps: 4), "--precision", "full", "--export", "f32"]).AssertSucceeds();
        TernResult result = TernProcess.Run(
            "train", "--data", _text, "--separator", "blank", "--from", Path.Combine(_folder.File("full"), "model.gguf"), "--quantization-warm-up-steps", "3",
            "--context", "32", "--batch", "2", "--steps", "4", "--threads", "1", "--held-out-share", "0.2", "--sample-tokens", "4", "--out", _folder.File("tuned"));

        result.AssertSucceeds();
        Assert.Contains("I2_S", TernProcess.Run("inspect", Path.Combine(_folder.File("tuned"), "model.gguf")).Output, StringComparison.Ordinal);
    }

    [Fact]
    public void A_loss_that_is_no_number_stops_the_run_and_names_the_place()
    {
        TernProcess.Run([.. Arguments("full", steps: 2), "--precision", "full", "--export", "f32"]).AssertSucceeds();
        string path = Path.Combine(_folder.File("full"), "model.gguf");
        long offset;
        using (GgufFile file = GgufFile.Open(path))
            offset = file.Tensors["output_norm.weight"].FileOffset;
        byte[] bytes = File.ReadAllBytes(path);
        BitConverter.TryWriteBytes(bytes.AsSpan((int)offset), float.MaxValue);
        File.WriteAllBytes(path, bytes);

        string run = _folder.File("broken");
        TernResult result = TernProcess.Run(
            "train", "--data", _text, "--separator", "blank", "--from", path, "--context", "32", "--batch", "2", "--steps", "4", "--threads", "1", "--held-out-share", "0.2", "--out", run);

        Assert.StartsWith("tern: error (engine): step 1: the loss is no number any more; the first place that is not finite is ", result.Error, StringComparison.Ordinal);
        Assert.Contains("step-00000000.tern", result.Error, StringComparison.Ordinal);
        Assert.Equal(1, result.ExitCode);
        Assert.Equal(["step-00000000.tern"], Checkpoints(run));
    }

    [Fact]
    public void A_disk_without_room_is_refused_before_the_work()
    {
        using RunFolder folder = RunFolder.Open(_folder.File("full-disk"));
        var error = Assert.Throws<TernException>(() => folder.CheckSpace(long.MaxValue));
        Assert.Contains("free", error.Message, StringComparison.Ordinal);
        Assert.Contains("no other run", Assert.Throws<TernException>(() => RunFolder.Open(folder.Path)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Precisions_are_compared_in_one_table()
    {
        TernResult result = TernProcess.Run([.. Arguments("compare", steps: 3), "--compare", "--export", "none"]).AssertSucceeds();

        string[] names = ["full precision", "int8 afterwards", "int4 afterwards", "ternary afterwards ", "ternary afterwards, by rows", "ternary, trained so", "binary, trained so", "ternary, taught"];
        string[] table = result.Output.TrimEnd().Split('\n')[^(names.Length + 1)..];
        for (int i = 0; i < names.Length; i++)
            Assert.StartsWith(names[i], table[i + 1], StringComparison.Ordinal);
        string report = File.ReadAllText(Path.Combine(_folder.File("compare"), "report.md"));
        Assert.All(names, name => Assert.Contains($"| {name}", report, StringComparison.Ordinal));
    }

    [Fact]
    public void A_tokenizer_is_learned_as_both_kinds_of_file()
    {
        TernResult result = TernProcess.Run("train-tokenizer", _text, "--vocabulary", "384", "-o", _folder.File("t.gguf"), "-o", _folder.File("t.json"), "--chat-template", "chatml").AssertSucceeds();

        Assert.Contains("384 tokens", result.LastLine, StringComparison.Ordinal);
        Assert.Contains("cat", TernProcess.Run("tokenize", _folder.File("t.gguf"), "the cat").Output, StringComparison.Ordinal);
        Assert.Contains("<|im_start|>user", TernProcess.Run("{\"messages\": [{\"role\": \"user\", \"content\": \"x\"}]}", ["template", _folder.File("t.gguf")]).Output, StringComparison.Ordinal);
        using JsonDocument json = JsonDocument.Parse(File.ReadAllBytes(_folder.File("t.json")));
        Assert.Equal("BPE", json.RootElement.GetProperty("model").GetProperty("type").GetString());
    }

    [Theory]
    [InlineData(64, "usage", "--out FOLDER is needed", "--steps", "3")]
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
            "OUT" => _folder.File("out"),
            "TEXT" => _text,
            "EMPTY" => _folder.Write("empty.txt", []),
            "FOLDER" => Directory.CreateDirectory(_folder.File("folder")).FullName,
            "TOKENIZER" => _tokenizer,
            _ => argument,
        })];
        TernResult result = TernProcess.Run(["train", .. real]);

        Assert.StartsWith($"tern: error ({kind}): ", result.Error, StringComparison.Ordinal);
        Assert.Equal(result.Error.Length - 1, result.Error.IndexOf('\n', StringComparison.Ordinal));
        Assert.Contains(says, result.Error, StringComparison.Ordinal);
        Assert.Equal(exitCode, result.ExitCode);
    }

    private string[] Arguments(string run, int steps) =>
    [
        "train", "--data", _text, "--separator", "blank", "--tokenizer", _tokenizer, "--size", "tiny", "--context", "32", "--batch", "2", "--steps", $"{steps}",
        "--threads", "1", "--checkpoint-every", "4", "--evaluate-every", "6", "--sample-tokens", "4", "--held-out-share", "0.2", "--out", _folder.File(run),
    ];

    /// <summary>Reads lines until one holds the text; false when the program ended before.</summary>
    private static bool WaitFor(Process process, string text)
    {
        while (process.StandardOutput.ReadLine() is { } line)
            if (line.Contains(text, StringComparison.Ordinal))
                return true;
        return false;
    }

    private static string[] Checkpoints(string run) => [.. Directory.EnumerateFiles(Path.Combine(run, "checkpoints"), "*.tern").Select(path => Path.GetFileName(path)).Order()];

    private void AssertSameEnd(string one, string other, int step)
    {
        Assert.Equal(Hash(one), Hash(other));

        string Hash(string run) => Convert.ToHexString(SHA256.HashData(File.ReadAllBytes(Path.Combine(_folder.File(run), "checkpoints", $"step-{step:00000000}.tern"))));
    }
}
