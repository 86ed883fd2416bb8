using System.Globalization;
using System.Text.Json;
using Tern.Machine;
using Tern.Tests.Cli;
using Tern.Training;
using Tern.Training.Reports;
using Tern.Training.Runs;

namespace Tern.Tests.Training.Runs;

/// <summary>What a run tells about itself: shares of every layer in the log and the report, and a report beside every checkpoint.</summary>
public sealed class RunReportTests : IDisposable
{
    private const int Linears = 7 * 2;

    private readonly TinyRun _run = new();

    public void Dispose() => _run.Dispose();

    [Fact]
    public void Every_checkpoint_is_measured_and_has_its_report()
    {
        TernResult result = _run.Run("run", 7, "--checkpoint-every", "3", "--evaluate-every", "5").AssertSucceeds();
        string run = _run.In("run");
        Assert.Equal(["step-00000006.md", "step-00000006.tern", "step-00000007.md", "step-00000007.tern"], TinyRun.Checkpoints(run));
        Assert.Contains("zeros 0.", result.Output, StringComparison.Ordinal);

        List<JsonElement> log = TinyRun.Log(run);
        Assert.Equal([3, 5, 6, 7], log.Where(step => step.TryGetProperty("heldOutLoss", out _)).Select(step => step.GetProperty("step").GetInt32()));
        JsonElement sixth = log[5];
        using WorkerPool pool = TinyModels.Pool(1);
        using Trainer trainer = Trainer.Load(_run.In("run", "checkpoints", "step-00000006.tern"), pool, null, out _);
        IReadOnlyList<CodeShares> shares = trainer.Shares();
        Assert.Equal(Linears, shares.Count);
        JsonElement logged = sixth.GetProperty("shares");
        Assert.Equal(shares.Select(layer => layer.Name), logged.EnumerateObject().Select(layer => layer.Name));
        foreach (CodeShares layer in shares)
        {
            JsonElement three = logged.GetProperty(layer.Name);
            Assert.Equal(layer.Minus, three[0].GetDouble(), 4);
            Assert.Equal(layer.Zero, three[1].GetDouble(), 4);
            Assert.Equal(layer.Plus, three[2].GetDouble(), 4);
        }

        string report = File.ReadAllText(_run.In("run", "checkpoints", "step-00000006.md"));
        Assert.StartsWith("# Step 6 of 7\n", report, StringComparison.Ordinal);
        Assert.Contains(Text($"| tokens trained on | {6 * 2 * 32} |"), report, StringComparison.Ordinal);
        Assert.Contains(Text($"loss {sixth.GetProperty("heldOutLoss").GetDouble():0.0000}, perplexity"), report, StringComparison.Ordinal);
        Assert.Contains(Text($"{sixth.GetProperty("bitsPerByte").GetDouble():0.0000} bits per byte"), report, StringComparison.Ordinal);
        Assert.Contains(Text($"| gradient norm | {sixth.GetProperty("gradientNorm").GetDouble():0.000} |"), report, StringComparison.Ordinal);
        Assert.Contains("| blk.1 | ", report, StringComparison.Ordinal);
        Assert.Contains(sixth.GetProperty("sample").GetString()!.Split('\n')[0], report, StringComparison.Ordinal);
        Assert.Contains($"most: {shares.Max(layer => layer.Zero).ToString("0.000", CultureInfo.InvariantCulture)} in {shares.MaxBy(layer => layer.Zero).Name}", report, StringComparison.Ordinal);

        string whole = File.ReadAllText(_run.In("run", "report.md"));
        Assert.Contains("| block | attn_q | attn_k | attn_v | attn_output | ffn_gate | ffn_up | ffn_down |", whole, StringComparison.Ordinal);
        Assert.Contains("Behind step 7.", whole, StringComparison.Ordinal);
    }

    [Fact]
    public void Shares_outlive_an_interruption()
    {
        _run.Run("run", 4).AssertSucceeds();
        string log = _run.In("run", "log.jsonl"), before = File.ReadAllText(log);
        Assert.Contains("\"shares\":{\"blk.0.attn_q\":[0.", before, StringComparison.Ordinal);

        // A finished run that is asked again reads its log and writes it anew.
        _run.Run("run", 4).AssertSucceeds();
        Assert.Equal(before, File.ReadAllText(log));
        Assert.Contains("| blk.0 | ", File.ReadAllText(_run.In("run", "report.md")), StringComparison.Ordinal);
    }

    [Fact]
    public void The_warning_about_the_middle_is_a_sentence_in_front_of_it_alone()
    {
        var recipe = new TrainingRecipe { Steps = 10 };
        Assert.StartsWith("The loss will fall faster", RunReport.HalfWay(recipe, 4), StringComparison.Ordinal);
        Assert.Equal("", RunReport.HalfWay(recipe, 5));
        Assert.Equal("", RunReport.HalfWay(recipe with { Schedule = LearningSchedule.Cosine }, 4));
    }

    [Fact]
    public void A_report_that_cannot_be_replaced_is_worth_a_line_and_not_the_run()
    {
        _run.Job(_run.Fields("run", 2));
        foreach (string name in (string[])["report.md", "loss.svg"])
        {
            File.Delete(_run.In("run", name));
            Directory.CreateDirectory(_run.In("run", name, "held"));
        }

        var observer = new RecordingObserver();
        RunResult result = _run.Job(_run.Fields("run", 4), observer);
        Assert.True(result.Finished);
        foreach (string name in (string[])["report.md", "loss.svg"])
            Assert.Contains(observer.Notes, note => note.StartsWith(_run.In("run", name), StringComparison.Ordinal) && note.EndsWith("; the run goes on without it", StringComparison.Ordinal));
    }

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
