using Tern.Machine;
using Tern.Training.Data;
using Tern.Training.Reports;

namespace Tern.Training.Runs;

/// <summary>One way to come to a model of few bits, and what it gave.</summary>
/// <param name="Name">In words.</param>
/// <param name="Score">All of the held-out text.</param>
/// <param name="Bytes">The model: linear layers at their bits, the rest as f16.</param>
internal sealed record ComparisonRow(string Name, HeldOutScore Score, long Bytes);

/// <summary>
/// Trains the same model on the same sequences in full precision, ternary, binary, and ternary with the full one as its teacher, and quantizes the
/// full one afterwards to 8, 4 and (in two ways) 1.58 bits: what does it cost to have few bits, and what does it help to know of them while learning?
/// </summary>
internal static class ComparisonJob
{
    private static readonly (string Folder, string Name, LinearPrecision Precision, bool Taught)[] s_variants =
    [
        ("full", "full precision", LinearPrecision.Full, false),
        ("ternary", "ternary, trained so", LinearPrecision.Ternary, false),
        ("binary", "binary, trained so", LinearPrecision.Binary, false),
        ("ternary-taught", "ternary, taught by full precision", LinearPrecision.Ternary, true),
    ];

    private static readonly (string Name, Quantizer Quantizer)[] s_afterwards =
    [
        ("int8 afterwards", new Quantizer { Precision = LinearPrecision.Integer, Bits = 8 }),
        ("int4 afterwards", new Quantizer { Precision = LinearPrecision.Integer, Bits = 4 }),
        ("ternary afterwards", new Quantizer { Precision = LinearPrecision.Ternary }),
        ("ternary afterwards, by rows (TWN)", new Quantizer { Precision = LinearPrecision.TernaryRows }),
    ];

    /// <summary>What the whole comparison takes, in runs: the one that has a teacher needs half of one more for it.</summary>
    private const double Runs = 4.5;

    /// <summary>Trains and compares; the table lies in the run folder as <c>report.md</c> and <c>loss.svg</c>.</summary>
    /// <returns>The rows, or null when it was interrupted; the same call goes on then.</returns>
    /// <inheritdoc cref="TrainingJob.Run"/>
    public static IReadOnlyList<ComparisonRow>? Run(RunConfiguration given, Func<RunField, string> source, bool resume, IRunObserver observer, CancellationToken stop)
    {
        RunSettings asked = given.Settings(source);
        using RunFolder shared = TrainingJob.OpenFolder(asked, resume, [.. s_variants.Select(variant => variant.Folder)]);
        if (shared.LastCheckpoint() is not null)
            throw new TernException(ErrorKind.Request, $"{shared.Path}: the folder holds a single run; a comparison needs a folder of its own");
        RunConfiguration configuration = TrainingJob.Continue(shared, given, compares: true, source);
        RunSettings settings = configuration.Settings(source);
        TrainingJob.Prepare(shared, configuration, settings, observer, stop);
        using var pool = new WorkerPool(settings.Threads > 0 ? settings.Threads : Cpu.ComputeThreads);

        var rows = new List<ComparisonRow>();
        var curves = new List<(string Name, IReadOnlyList<StepRecord> Records)>();
        Check(shared, settings, pool.Threads);
        using RunFolder fullFolder = shared.OpenPart(s_variants[0].Folder);
        using TrainingRun full = Open(fullFolder, settings with { Hours = settings.Hours / Runs }, s_variants[0].Precision, pool, null, observer);
        foreach ((string folderName, string name, LinearPrecision precision, bool taught) in s_variants)
        {
            observer.Note(name);
            bool isFull = precision == LinearPrecision.Full;
            using RunFolder? folder = isFull ? null : shared.OpenPart(folderName);
            using TrainingRun? other = folder is null ? null : Open(folder, settings with { Steps = full.Trainer.Recipe.Steps, Hours = 0 }, precision, pool, taught ? TeacherModel.Of(full.Trainer) : null, observer);
            TrainingRun run = other ?? full;
            RunResult result = run.Run(stop);
            if (!result.Finished)
                return null;
            rows.Add(Row(name, result.HeldOut!.Value, run.Trainer.Shape, run.Trainer.Recipe.Linear));
            curves.Add((name, run.Records));
            if (!isFull)
                continue;
            foreach ((string afterwards, Quantizer quantizer) in s_afterwards)
                rows.Add(Row(afterwards, full.MeasureAs(quantizer)!.Value, full.Trainer.Shape, quantizer));
        }

        ComparisonReport.Write(shared, settings, full.Trainer.Recipe, full.Trainer.Shape, rows, curves, observer.Note);
        return rows;
    }

    /// <summary>
    /// Refuses, before anything is trained, a text of which nothing is held out, and what the machine does not have: memory for the taught model and its
    /// teacher, which has been trained, too.
    /// </summary>
    private static void Check(RunFolder shared, RunSettings settings, int threads)
    {
        using RunData data = RunData.Open(shared, settings);
        if (data.HeldOut.Sequences == 0)
            throw new TernException(ErrorKind.Request, "a comparison needs held-out text; take --held-out-share above 0, or name files with --held-out");
        ModelShape shape = settings.ShapeFor(data.Tokenizer.Count);
        TrainingRecipe recipe = settings.RecipeFor(RunPlan.StepsDefault, distils: true);
        shape.Validate("the model");
        recipe.Validate("the run");
        long teacher = Trainer.MemoryNeeded(shape, recipe, RunPlan.MicroSequences(settings), shape.Context, threads);
        RunPlan.CheckMemory(shape, recipe, settings, threads, new TeacherMemory(shape, teacher));
    }

    private static TrainingRun Open(RunFolder folder, RunSettings settings, LinearPrecision precision, WorkerPool pool, TeacherModel? teacher, IRunObserver observer)
    {
        RunSettings own = settings with { Recipe = settings.Recipe with { Linear = new Quantizer { Precision = precision } }, Export = settings.Export == "none" ? "none" : null };
        return TrainingRun.Open(folder, own, pool, teacher, observer);
    }

    private static ComparisonRow Row(string name, HeldOutScore score, ModelShape shape, Quantizer quantizer) => new(name, score, Bytes(shape, quantizer));

    /// <summary>Size of a model: ternary weights in the two bits that I2_S gives them, integers, and ternary by rows, with a half-precision scale per row.</summary>
    private static long Bytes(ModelShape shape, Quantizer quantizer)
    {
        const int bitsOfTernary = 2, bitsOfHalf = 16;
        int bits = quantizer.Precision switch
        {
            LinearPrecision.Full => bitsOfHalf,
            LinearPrecision.Ternary or LinearPrecision.TernaryRows => bitsOfTernary,
            LinearPrecision.Binary => 1,
            _ => quantizer.Bits,
        };
        long rows = quantizer.Precision is LinearPrecision.Integer or LinearPrecision.TernaryRows ? shape.Layers * ((long)shape.QueryWidth + (2 * shape.KeyWidth) + (2 * shape.FeedForward) + (2 * shape.Hidden)) : 0;
        return (shape.LinearWeights * bits / 8) + ((shape.Parameters - shape.LinearWeights) * 2) + (rows * 2);
    }
}
