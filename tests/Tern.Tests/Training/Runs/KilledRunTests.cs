using System.Diagnostics;
using System.Globalization;
using Tern.Files;
using Tern.Machine;
using Tern.Models;
using Tern.Tests.Cli;
using Tern.Tests.Hub;
using Tern.Training.Checkpoints;
using Tern.Training.Data;
using Tern.Training.Runs;
using Xunit.Abstractions;

namespace Tern.Tests.Training.Runs;

/// <summary>
/// <c>tern train</c>, killed all over its run, and out of room: whatever has its final name is whole, no more is lost than the steps since the last
/// checkpoint, and the same command ends with the model of a run that nobody touched. TERN_KILL_POINTS sets how often it is killed in all.
/// </summary>
public sealed class KilledRunTests(ITestOutputHelper output) : IDisposable
{
    private const int KillsByDefault = 8, Steps = 9, Every = 2, Keep = 2;

    private readonly TinyRun _run = new();

    public void Dispose() => _run.Dispose();

    [KillPointFact]
    public void Who_is_killed_at_any_call_comes_to_the_same_end()
    {
        byte[] model = Whole();
        IReadOnlyList<KillPoint> points = KillPoints.Find(Command("traced"), Math.Max(2, Wanted * 3 / 4));
        int killed = 0;
        foreach (KillPoint point in points)
        {
            Delete("killed");
            killed += KillPoints.Kill(Command("killed"), point) ? 1 : 0;
            CheckLeft("killed", model, $"killed at {point}");
            AssertEnd("killed", model, $"killed at {point}");
        }

        output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{killed} of {points.Count} runs were killed at a call"));
        Assert.True(killed >= points.Count / 2, $"only {killed} of {points.Count} runs were killed");
    }

    [Fact]
    public void Who_is_killed_at_any_time_comes_to_the_same_end()
    {
        const int longestMs = 1500;
        byte[] model = Whole();
        var random = new Random(7);
        int wanted = Math.Max(2, Wanted / 4), killed = 0, started = 0;
        while (killed < wanted)
        {
            Assert.True(started++ < 20 * wanted, $"only {killed} of {started} runs were killed");
            using Process process = TernProcess.Start(Arguments("timed"));
            process.StandardInput.Close();
            Task<string> said = process.StandardOutput.ReadToEndAsync();
            if (process.WaitForExit(random.Next(longestMs)))
            {
                AssertEnd("timed", model, "not killed");
                Delete("timed");
                continue;
            }

            process.Kill();
            process.WaitForExit();
            killed++;
            CheckLeft("timed", model, $"kill {killed}, behind: {TextOf(said)}");
        }

        AssertEnd("timed", model, "killed again and again");
        output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{killed} of {started} runs were killed at some time"));
    }

    [SmallDiskFact]
    public void A_full_disk_stops_the_run_in_one_sentence_and_room_lets_it_go_on()
    {
        const int steps = 40;
        _run.Run("whole", steps, "--keep", "1").AssertSucceeds();
        string saved = _run.Folder.File("saved");
        Directory.CreateDirectory(saved);

        // Something else fills the disk as soon as there is a checkpoint; the disk goes when the script ends, so what is looked at is copied.
        (int exitCode, _, string error) = SmallDisk.Run(
            """
            mount -t tmpfs -o size=24m none /mnt || exit 90
            "$TERN" $RUN > /dev/null 2> "$SAVED/error" & pid=$!
            while [ ! -e /mnt/run/checkpoints/step-00000002.tern ]; do kill -0 $pid || exit 91; sleep 0.01; done
            head -c 100000000 /dev/zero > /mnt/filler 2> /dev/null
            wait $pid; echo $? > "$SAVED/code"
            cp -r /mnt/run/checkpoints "$SAVED/checkpoints"
            find /mnt/run -name '*.tern-partial' > "$SAVED/partial"
            rm /mnt/filler
            "$TERN" $RUN || exit 92
            cp /mnt/run/model.gguf "$SAVED/model.gguf"
            """,
            ("TERN", TernProcess.Executable),
            ("SAVED", saved),
            ("RUN", string.Join(' ', _run.Arguments("/mnt/run", steps, "--keep", "1"))));

        Assert.True(exitCode == 0, $"{exitCode}: {error}");
        string said = File.ReadAllText(Path.Combine(saved, "error"));
        Assert.Equal("66", File.ReadAllText(Path.Combine(saved, "code")).Trim());
        Assert.StartsWith("tern: error (file): /mnt/run/", said, StringComparison.Ordinal);
        Assert.Contains("cannot be written", said, StringComparison.Ordinal);
        Assert.Equal(said.Length - 1, said.IndexOf('\n', StringComparison.Ordinal));
        Assert.Equal("", File.ReadAllText(Path.Combine(saved, "partial")));
        Assert.NotEmpty(ReadCheckpoints(saved));
        Assert.Equal(File.ReadAllBytes(_run.In("whole", "model.gguf")), File.ReadAllBytes(Path.Combine(saved, "model.gguf")));
    }

    [SmallDiskFact]
    public void A_disk_that_is_too_small_is_seen_before_the_first_step()
    {
        (int exitCode, string said, string error) = SmallDisk.Run(
            "mount -t tmpfs -o size=6m none /mnt && \"$TERN\" $RUN",
            ("TERN", TernProcess.Executable),
            ("RUN", string.Join(' ', _run.Arguments("/mnt/run", Steps))));
        Assert.Equal(65, exitCode);
        Assert.Contains("make room", error, StringComparison.Ordinal);
        Assert.DoesNotContain("step 1/", said, StringComparison.Ordinal);
    }

    [Fact]
    public void A_damaged_checkpoint_is_refused_and_the_one_before_it_goes_on()
    {
        byte[] model = Whole();
        string last = _run.In("whole", "checkpoints", $"step-{Steps:00000000}.tern");
        byte[] bytes = File.ReadAllBytes(last);
        bytes[bytes.Length / 2] ^= 4;
        File.WriteAllBytes(last, bytes);
        TernResult refused = TernProcess.Run(Arguments("whole"));
        Assert.Equal(65, refused.ExitCode);
        Assert.Contains(last, refused.Error, StringComparison.Ordinal);
        Assert.Contains("SHA-256", refused.Error, StringComparison.Ordinal);

        File.Delete(last);
        TernResult result = TernProcess.Run(Arguments("whole")).AssertSucceeds();
        Assert.Contains($"goes on behind step {Steps - 1}", result.Output, StringComparison.Ordinal);
        Assert.Equal(model, File.ReadAllBytes(_run.In("whole", "model.gguf")));
    }

    private static int Wanted =>
        int.TryParse(Environment.GetEnvironmentVariable("TERN_KILL_POINTS"), NumberStyles.None, CultureInfo.InvariantCulture, out int wanted) ? wanted : KillsByDefault;

    /// <summary>The model of a run that nobody touched.</summary>
    private byte[] Whole()
    {
        TernProcess.Run(Arguments("whole")).AssertSucceeds();
        return File.ReadAllBytes(_run.In("whole", "model.gguf"));
    }

    /// <summary>What a program that has ended said.</summary>
    private static string TextOf(Task<string> said) => said.Result;

    private string[] Arguments(string run) => _run.Arguments(run, Steps, "--keep", $"{Keep}", "--export-huggingface", "true");

    private ProcessStartInfo Command(string run) => new(TernProcess.Executable, Arguments(run));

    private void Delete(string run)
    {
        if (Directory.Exists(_run.In(run)))
            Directory.Delete(_run.In(run), recursive: true);
    }

    /// <summary>Reads everything that has its final name.</summary>
    private void CheckLeft(string run, byte[] model, string when)
    {
        string path = _run.In(run);
        if (File.Exists(_run.In(run, "tokenizer.gguf")))
            GgufFile.Open(_run.In(run, "tokenizer.gguf")).Dispose();
        if (File.Exists(_run.In(run, "tokens.bin")))
            TokenCache.Open(_run.In(run, "tokens.bin"), vocabulary: 320).Dispose();
        if (File.Exists(_run.In(run, "config.json")))
            RunConfiguration.Read(_run.In(run, "config.json"));
        if (File.Exists(_run.In(run, "loss.svg")))
            Assert.EndsWith("</svg>\n", File.ReadAllText(_run.In(run, "loss.svg")), StringComparison.Ordinal);
        if (File.Exists(_run.In(run, "model.gguf")))
            Assert.True(File.ReadAllBytes(_run.In(run, "model.gguf")).AsSpan().SequenceEqual(model), when);
        if (Directory.Exists(_run.In(run, "huggingface")))
            Model.Open(_run.In(run, "huggingface"), new ModelOptions()).Dispose();

        List<int> saved = ReadCheckpoints(path);
        Assert.True(saved.Count <= Keep + 1, $"{when}: {saved.Count} checkpoints");
        Assert.All(saved, step => Assert.True(File.Exists(_run.In(run, "checkpoints", $"step-{step:00000000}.md")), $"{when}: no report of step {step}"));
        int done = TinyRun.StepsOf(path).LastOrDefault();
        Assert.True(done <= saved.LastOrDefault() + Every, $"{when}: {done} steps were done, the last checkpoint is of {saved.LastOrDefault()}");
    }

    /// <summary>Reads all checkpoints with their hashes, and gives their steps.</summary>
    private static List<int> ReadCheckpoints(string run)
    {
        var steps = new List<int>();
        foreach (string name in TinyRun.Checkpoints(run).Where(name => name.EndsWith(".tern", StringComparison.Ordinal)))
        {
            var arrays = new List<NativeBuffer<float>>();
            try
            {
                CheckpointHeader header = Checkpoint.Read(
                    Path.Combine(run, "checkpoints", name),
                    head =>
                    {
                        for (int i = 0; i < head.Arrays; i++)
                            arrays.Add(new NativeBuffer<float>(head.Floats));
                        return arrays;
                    },
                    out _);
                steps.Add(header.StepsDone);
            }
            finally
            {
                arrays.ForEach(array => array.Dispose());
            }
        }

        return steps;
    }

    /// <summary>Goes on with the same command, to the end of the run that nobody touched.</summary>
    private void AssertEnd(string run, byte[] model, string when)
    {
        TernResult result = TernProcess.Run(Arguments(run));
        Assert.True(result.ExitCode == 0 && result.Error.Length == 0, $"{when}: {result.Error}");
        Assert.True(File.ReadAllBytes(_run.In(run, "model.gguf")).AsSpan().SequenceEqual(model), $"{when}: another model");
        foreach (string file in (string[])["huggingface/model.safetensors", $"checkpoints/step-{Steps:00000000}.tern", $"checkpoints/step-{Steps:00000000}.md"])
            Assert.True(File.ReadAllBytes(_run.In(run, file)).AsSpan().SequenceEqual(File.ReadAllBytes(_run.In("whole", file))), $"{when}: another {file}");
        Assert.Equal(Enumerable.Range(1, Steps), TinyRun.StepsOf(_run.In(run)));
        Assert.Equal(TinyRun.Checkpoints(_run.In("whole")), TinyRun.Checkpoints(_run.In(run)));
        Assert.Empty(Directory.EnumerateFileSystemEntries(_run.In(run), "*.tern-*", SearchOption.AllDirectories));
    }
}
