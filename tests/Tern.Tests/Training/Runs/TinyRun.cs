using System.Text.Json;
using Tern.Tests.Cli;
using Tern.Tests.Files;
using Tern.Tests.Training.Data;
using Tern.Training.Runs;

namespace Tern.Tests.Training.Runs;

/// <summary>A folder with a small text and its tokenizer, and command lines of <c>tern train</c> over them.</summary>
internal sealed class TinyRun : IDisposable
{
    public TinyRun() => (Text, Tokenizer) = TinyCorpus.Write(Folder);

    public TempFolder Folder { get; } = new();

    public string Text { get; }

    public string Tokenizer { get; }

    /// <summary>A run into a folder of that name, or of that path; 0 steps leave them to others.</summary>
    public string[] Arguments(string run, int steps, params string[] more) =>
    [
        "train", .. more.Contains("--data") ? (string[])[] : ["--data", Text], "--separator", "blank",
        .. more.Contains("--from") ? (string[])[] : ["--tokenizer", Tokenizer, "--size", "tiny"], "--context", "32", "--batch", "2",
        .. steps > 0 ? (string[])["--steps", $"{steps}"] : [], "--threads", "1", "--checkpoint-every", "2", "--evaluate-every", "5", "--sample-tokens", "4", "--held-out-share", "0.2",
        "--out", Path.Combine(Folder.Path, run), .. more,
    ];

    /// <summary>The fields of such a run, for one within this process; a value of null leaves a field out.</summary>
    public RunConfiguration Fields(string run, int steps, params (string Name, string? Value)[] more)
    {
        var values = new Dictionary<string, string?>
        {
            ["data"] = Text,
            ["separator"] = "blank",
            ["tokenizer"] = Tokenizer,
            ["size"] = "tiny",
            ["context"] = "32",
            ["batch"] = "2",
            ["steps"] = $"{steps}",
            ["threads"] = "1",
            ["checkpointEvery"] = "2",
            ["evaluateEvery"] = "5",
            ["sampleTokens"] = "0",
            ["heldOutShare"] = "0.2",
            ["out"] = In(run),
        };
        foreach ((string name, string? value) in more)
            values[name] = value;
        var configuration = new RunConfiguration();
        foreach ((string name, string? value) in values)
            if (value is not null)
                configuration.Set(name, [value]);
        return configuration;
    }

    /// <summary>A run within this process.</summary>
    public RunResult Job(RunConfiguration fields, RecordingObserver? observer = null) =>
        TrainingJob.Run(fields, field => field.Flag, resume: false, observer ?? new RecordingObserver(), CancellationToken.None);

    public TernResult Run(string run, int steps, params string[] more) => TernProcess.Run(Arguments(run, steps, more));

    /// <summary>The path of a file of a run.</summary>
    public string In(string run, params string[] names) => Path.Combine([Folder.Path, run, .. names]);

    /// <summary>The log of a run; lines that are not whole are left out, as the program itself does.</summary>
    public static List<JsonElement> Log(string run)
    {
        var steps = new List<JsonElement>();
        string path = Path.Combine(run, "log.jsonl");
        if (!File.Exists(path))
            return steps;
        foreach (string line in File.ReadLines(path))
        {
            try
            {
                steps.Add(JsonDocument.Parse(line).RootElement);
            }
            catch (JsonException)
            {
                // A line that the end of the process cut off.
            }
        }

        return steps;
    }

    public static IEnumerable<int> StepsOf(string run) => Log(run).Select(step => step.GetProperty("step").GetInt32());

    /// <summary>The names of a run's checkpoints, reports among them, in order.</summary>
    public static string[] Checkpoints(string run) =>
        Directory.Exists(Path.Combine(run, "checkpoints")) ? [.. Directory.EnumerateFiles(Path.Combine(run, "checkpoints")).Select(path => Path.GetFileName(path)).Order(StringComparer.Ordinal)] : [];

    public void Dispose() => Folder.Dispose();
}
