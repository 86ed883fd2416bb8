using System.Globalization;
using System.Security.Cryptography;
using System.Text.Json;
using System.Text.RegularExpressions;
using Tern.Machine;
using Tern.Models;
using Tern.Numerics;
using Tern.Tests.Cli;
using Tern.Tests.Models;
using Tern.Tests.Training.Data;
using Tern.Training;
using Tern.Training.Data;
using Tern.Training.Runs;

namespace Tern.Tests.Training.Runs;

/// <summary>Runs of the real program with a teacher, from another model, with averages and short masters: they end as they should, also in two parts.</summary>
public sealed partial class TeachingRunTests : IDisposable
{
    private readonly TinyRun _run = new();

    public void Dispose() => _run.Dispose();

    [Theory]
    [InlineData("cosine")]
    [InlineData("dot")]
    public void A_run_with_a_teacher_says_which_term_leads_and_goes_on_bit_for_bit(string relation)
    {
        string[] teaching = ["--teacher", Teacher(), "--attention-weight", "0.5", "--attention-relation", relation, "--relation-heads", "4"];
        Train("taught", 6, teaching).AssertSucceeds();
        string run = _run.In("taught");
        foreach (JsonElement step in TinyRun.Log(run))
        {
            JsonElement terms = step.GetProperty("teacher");
            double other = terms.GetProperty("otherGradient").GetDouble(), attention = terms.GetProperty("attentionGradient").GetDouble();
            Assert.True(terms.GetProperty("textGradient").GetDouble() > 0 && terms.GetProperty("logitGradient").GetDouble() > 0 && terms.GetProperty("logitDivergence").GetDouble() > 0);
            // Balanced unless told: the attention term's gradient is half of the rest's.
            Assert.Equal(0.5 * other, attention, 1e-3 * other);
        }

        string report = File.ReadAllText(Path.Combine(run, "report.md"));
        Assert.Contains("## What the teacher gave", report, StringComparison.Ordinal);
        Assert.Contains(relation == "dot" ? "scaled products" : "cosines", report, StringComparison.Ordinal);
        AssertGoesOnAlike("taught", 6, teaching);
        Assert.Equal(6, TinyRun.Log(run).Count(step => step.TryGetProperty("teacher", out _)));
    }

    [Fact]
    public void The_moving_average_is_what_is_measured_and_exported()
    {
        const float decay = 0.75f;
        string[] average = ["--average-decay", "0.75", "--precision", "full", "--export", "f32", "--export-embeddings", "f32", "--keep", "10"];
        TernResult result = Train("average", 5, [.. average, "--checkpoint-every", "1"]).AssertSucceeds();
        string run = _run.In("average"), model = Path.Combine(run, "model.gguf");
        using var pool = new WorkerPool(1);
        float[] expected = [];
        for (int step = 1; step <= 5; step++)
        {
            using var then = Trainer.Load(CheckpointOf(run, step), pool, null, out _);
            float[] weights = then.EditWeights().Span.ToArray();
            expected = step == 1 ? weights : [.. expected.Zip(weights, (a, w) => (decay * a) + ((1 - decay) * w))];
        }

        using var exported = Trainer.From(model, Trainer.ShapeOf(model, 32, subNorms: null), new TrainingRecipe { Linear = new Quantizer { Precision = LinearPrecision.Full } }, 1, pool, null);
        float[] actual = exported.EditWeights().Span.ToArray();
        Assert.Equal(expected.Length, actual.Length);
        Assert.All(expected.Zip(actual), pair => Assert.Equal(pair.First, pair.Second, 1e-6f));

        using RunFolder folder = RunFolder.Open(run);
        using RunData data = RunData.Open(folder, new RunSettings { Context = 32, HeldOutShare = 0.2 });
        HeldOutScore score = data.HeldOut.Score(batch => exported.Loss(batch), int.MaxValue, 2);
        Assert.Contains(string.Create(CultureInfo.InvariantCulture, $"loss {score.Loss:0.0000}"), result.Output, StringComparison.Ordinal);
    }

    [Fact]
    public void An_average_goes_on_bit_for_bit()
    {
        string[] average = ["--average-decay", "0.9"];
        Train("average", 6, average).AssertSucceeds();
        AssertGoesOnAlike("average", 6, average);
    }

    [Fact]
    public void Short_masters_stay_short_and_go_on_bit_for_bit()
    {
        string[] masters = ["--masters", "bf16"];
        Train("short", 6, masters).AssertSucceeds();
        AssertGoesOnAlike("short", 6, masters);
        using var pool = new WorkerPool(1);
        using var trainer = Trainer.Load(CheckpointOf(_run.In("short"), 6), pool, null, out _);
        Assert.All(trainer.EditWeights().Span.ToArray(), weight => Assert.Equal(0u, BitConverter.SingleToUInt32Bits(weight) & 0xFFFF));
    }

    [Fact]
    public void Hours_become_steps_at_the_speed_of_the_machine()
    {
        string[] arguments = [.. _run.Arguments("hours", 0), "--hours", "0.001", "--evaluate-every", "1000000", "--checkpoint-every", "1000000"];
        TernResult result = TernProcess.Run(arguments).AssertSucceeds();
        int steps = int.Parse(StepsInHours().Match(result.Output).Groups["steps"].Value, CultureInfo.InvariantCulture);

        string run = _run.In("hours");
        Assert.Equal(Enumerable.Range(1, steps), TinyRun.Log(run).Select(step => step.GetProperty("step").GetInt32()));
        Assert.True(File.Exists(Path.Combine(run, "model.gguf")));
        TernResult again = TernProcess.Run(arguments).AssertSucceeds();
        Assert.DoesNotContain("in 0.001 hours", again.Output, StringComparison.Ordinal);
        Assert.Equal(steps, TinyRun.Log(run).Count);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_plain_model_gets_sub_norms_and_is_blended_into_ternary(bool asFolder)
    {
        var checkpoint = new TinyCheckpoint("llama", LinearForm.Dense, TensorType.F32);
        string model = _run.Folder.File(asFolder ? "tiny" : "tiny.gguf");
        if (asFolder)
            checkpoint.WriteFolder(model);
        else
            checkpoint.WriteGguf(model);
        string[] from = _run.Arguments("from", 5, "--from", model, "--sub-norms", "true", "--quantization-warm-up-steps", "3", "--keep", "10");
        TernProcess.Run(from).AssertSucceeds();
        using (Model exported = Model.Load(Path.Combine(_run.In("from"), "model.gguf"), new ModelOptions { Threads = 1 }))
            Assert.Equal(("bitnet", true), (exported.Spec.Architecture, exported.Spec.HasSubNorms));

        string end = CheckpointOf(_run.In("from"), 5);
        byte[] hash = SHA256.HashData(File.ReadAllBytes(end));
        File.Delete(end);
        TernProcess.Run(from).AssertSucceeds();
        Assert.Equal(hash, SHA256.HashData(File.ReadAllBytes(end)));
    }

    [Fact]
    public void Memory_that_is_short_is_refused_with_the_teacher_s_share()
    {
        string teacher = Teacher();
        TernResult result = Train("large", 2, ["--teacher", teacher, "--hidden", "16384", "--layers", "200"]);

        Assert.Equal(65, result.ExitCode);
        Assert.Equal("", Regex.Replace(result.Error, @"\Atern: error \(limit\): training [0-9.]+ million weights with 2 sequences of 32 at a time needs about [0-9]+ MB of memory, [0-9]+ MB of it for the teacher of 0\.4 million, and [0-9]+ MB are free; [^\n]*\n\z", ""));
        Assert.False(Directory.EnumerateFiles(_run.In("large"), "*.tern", SearchOption.AllDirectories).Any());
    }

    [Fact]
    public void A_teacher_counts_in_the_memory_of_a_run_and_can_be_what_is_too_much()
    {
        var settings = new RunSettings { Size = "tiny", Context = 32, Batch = 2, Distillation = new Distillation { AttentionWeight = 1 } };
        ModelShape shape = settings.ShapeFor(320);
        TrainingRecipe recipe = settings.RecipeFor(10, distils: true);
        long alone = RunPlan.CheckMemory(shape, recipe, settings, 1, null), teacher = Trainer.MemoryNeededToTeach(shape, 64, 1);
        Assert.True(teacher > 3 * sizeof(float) * shape.Parameters, "its weights once as they are and twice packed");
        Assert.True(RunPlan.CheckMemory(shape, recipe, settings, 1, new TeacherMemory(shape, teacher)) > alone + teacher, "the terms need some, too");
        TernException error = Assert.Throws<TernException>(() => RunPlan.CheckMemory(shape, recipe, settings, 1, new TeacherMemory(shape, 1L << 50)));
        Assert.Contains("for the teacher", error.Message, StringComparison.Ordinal);
    }

    /// <summary>A model in full precision with the vocabulary of the corpus, as a file.</summary>
    private string Teacher()
    {
        string path = _run.Folder.File("teacher.gguf");
        using var pool = new WorkerPool(1);
        ModelShape shape = (new RunSettings { Size = "tiny", Context = 32 }).ShapeFor(320);
        using var trainer = new Trainer(shape, new TrainingRecipe { Linear = new Quantizer { Precision = LinearPrecision.Full }, InitialDeviation = 0.1f }, 3, pool, null);
        trainer.Export(path, TinyCorpus.Open(_run.Tokenizer).Metadata, new ExportOptions { Linears = TensorType.F16 });
        return path;
    }

    private TernResult Train(string run, int steps, string[] more) => _run.Run(run, steps, ["--evaluate-every", "3", "--keep", "10", "--sample-tokens", "0", .. more]);

    /// <summary>Takes the last checkpoint away and goes on from the one before.</summary>
    private void AssertGoesOnAlike(string run, int steps, string[] more)
    {
        string end = CheckpointOf(_run.In(run), steps);
        byte[] hash = SHA256.HashData(File.ReadAllBytes(end));
        File.Delete(end);
        Assert.Contains($"goes on behind step {steps - 2}", Train(run, steps, more).AssertSucceeds().Output, StringComparison.Ordinal);
        Assert.Equal(hash, SHA256.HashData(File.ReadAllBytes(end)));
    }

    private static string CheckpointOf(string run, int step) => Path.Combine(run, "checkpoints", $"step-{step:00000000}.tern");

    [GeneratedRegex("(?<steps>[0-9]+) steps in 0.001 hours")]
    private static partial Regex StepsInHours();
}
