using System.Text.Json;
using Tern.Tests.Cli;
using Tern.Tests.Files;
using Tern.Tests.Training.Data;

namespace Tern.Tests.Training.Runs;

/// <summary>A folder with a small text and its tokenizer, and command lines of <c>tern train</c> over them.</summary>
internal sealed class TinyRun : IDisposable
{
    public TinyRun() => (Text, Tokenizer) = TinyCorpus.Write(Folder);

    public TempFolder Folder { get; } = new();

    public string Text { get; }

    public string Tokenizer { get; }

    /// <summary>A run into a folder of that name, or of that path.</summary>
    public string[] Arguments(string run, int steps, params string[] more) =>
    [
        "train", .. more.Contains("--data") ? (string[])[] : ["--data", Text], "--separator", "blank", "--tokenizer", Tokenizer, "--size", "tiny", "--context", "32", "--batch", "2", "--steps", $"{steps}",
        "--threads", "1", "--checkpoint-every", "2", "--evaluate-every", "5", "--sample-tokens", "4", "--held-out-share", "0.2", "--out", Path.Combine(Folder.Path, run), .. more,
    ];

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
