using System.Diagnostics;
using System.Globalization;
using Tern.Conversion.HuggingFace;
using Tern.Files;
using Tern.Machine;
using Tern.Models;
using Tern.Numerics;
using Tern.Training.Checkpoints;
using Tern.Training.Data;
using Tern.Training.Reports;
using Tern.Training.Weights;

namespace Tern.Training.Runs;

/// <summary>What a finished or interrupted run leaves.</summary>
/// <param name="StepsDone">Optimizer steps.</param>
/// <param name="Finished">False when it was interrupted.</param>
/// <param name="HeldOut">All of the held-out text, measured at the end; null when there is none, or the run was interrupted.</param>
/// <param name="Checkpoint">The last checkpoint.</param>
/// <param name="Model">The exported model, or null.</param>
/// <param name="HuggingFace">The same as the folder of a Hugging Face checkpoint, or null.</param>
internal sealed record RunResult(int StepsDone, bool Finished, HeldOutScore? HeldOut, string Checkpoint, string? Model, string? HuggingFace);

/// <summary>
/// A training run: steps, checkpoints, measurements, log, report, export. A run that is interrupted, by a signal or by the power, goes on from its
/// last checkpoint and ends with the very same weights as one that was not.
/// </summary>
internal sealed class TrainingRun : IDisposable
{
    private readonly RunFolder _folder;
    private readonly RunSettings _settings;
    private readonly RunData _data;
    private readonly WorkerPool _pool;
    private readonly IRunObserver _observer;
    private readonly Trainer _trainer;
    private readonly long _memoryBytes;
    private readonly int _microSequences;

    private TrainingRun(RunFolder folder, RunSettings settings, RunData data, WorkerPool pool, Trainer trainer, long memoryBytes, IRunObserver observer)
    {
        (_folder, _settings, _data, _pool, _trainer, _memoryBytes, _observer) = (folder, settings, data, pool, trainer, memoryBytes, observer);
        _microSequences = RunPlan.MicroSequences(settings);
    }

    /// <summary>The trainer, for comparisons that go on with its weights.</summary>
    public Trainer Trainer => _trainer;

    /// <summary>The log, once the run has run.</summary>
    public IReadOnlyList<StepRecord> Records { get; private set; } = [];

    private TrainingRecipe Recipe => _trainer.Recipe;

    private bool KeepsAverage => Recipe.AverageDecay > 0;

    /// <summary>Opens a run: from its last checkpoint where there is one, else from the beginning.</summary>
    /// <param name="folder">Its folder, whose corpus is prepared.</param>
    /// <param name="settings">What to do.</param>
    /// <param name="pool">Workers.</param>
    /// <param name="teacher">For distillation; null without.</param>
    /// <param name="observer">Is told what happens.</param>
    /// <exception cref="TernException">Data, shape or recipe are wrong, memory or disk are short, or the checkpoint is damaged.</exception>
    public static TrainingRun Open(RunFolder folder, RunSettings settings, WorkerPool pool, TeacherModel? teacher, IRunObserver observer)
    {
        RunData? data = null;
        Trainer? trainer = null;
        try
        {
            string? checkpoint = folder.LastCheckpoint();
            long memory;
            if (checkpoint is not null)
            {
                CheckpointHeader header = Trainer.Describe(checkpoint);
                settings = settings with { Context = header.Shape.Context };
                data = RunData.Open(folder, settings);
                memory = RunPlan.CheckMemory(header.Shape, header.Recipe, settings, pool.Threads, teacher?.Memory);
                TrainingRecipe reaimed = Reaimed(settings, header, checkpoint, observer);
                trainer = Trainer.Load(checkpoint, pool, teacher?.Trainer, _ => reaimed, out byte[] position);
                data.Restore(position, checkpoint);
            }
            else
            {
                data = RunData.Open(folder, settings);
                (trainer, memory) = Begin(settings, data, pool, teacher, observer);
            }

            CheckExport(settings, trainer);
            long checkpointBytes = trainer.Parameters * (trainer.Recipe.AverageDecay > 0 ? 16 : 12);
            long modelBytes = trainer.Parameters * (settings.ExportHuggingface ? 4 : 2);
            folder.CheckSpace((checkpointBytes * (settings.Keep + 1)) + modelBytes - folder.CheckpointBytes());
            return new TrainingRun(folder, settings, data, pool, trainer, memory, observer);
        }
        catch
        {
            trainer?.Dispose();
            data?.Dispose();
            throw;
        }
    }

    /// <summary>Trains until the last step or until <paramref name="stop"/> is set, which saves a checkpoint first.</summary>
    /// <exception cref="TernException">The loss is no number any more, or a file cannot be written.</exception>
    public RunResult Run(CancellationToken stop)
    {
        using RunLog log = RunLog.Open(_folder.Log, _trainer.StepsDone);
        Records = log.Records;
        _observer.Started(Summary());
        if (_trainer.StepsDone == 0)
            Save(Measured(new StepRecord(0, double.NaN, 0, 0, 0, 0, 0)));

        int steps = Recipe.Steps;
        int checkpointEvery = RunPlan.CheckpointEvery(_settings, steps), evaluateEvery = RunPlan.EvaluateEvery(_settings, steps);
        var batch = new TokenBatch(_settings.Batch, _trainer.Shape.Context, _microSequences);
        int saved = _trainer.StepsDone;
        double secondsPerStep = 0;
        while (_trainer.StepsDone < steps && !stop.IsCancellationRequested)
        {
            long start = Stopwatch.GetTimestamp();
            RunPlan.Fill(batch, _data.Train);
            StepReport report = _trainer.Step(batch);
            double seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
            if (report.NonFinite is { } place)
                throw NotFinite(report.Step, place);

            secondsPerStep = secondsPerStep == 0 ? seconds : 0.95 * secondsPerStep + 0.05 * seconds;
            bool saves = report.Step == steps || report.Step % checkpointEvery == 0;
            if (saves)
                CheckFinite(batch);
            StepRecord record = Record(report, seconds);
            if (saves || report.Step % evaluateEvery == 0)
                record = WithSample(Measured(record));
            log.Add(record);
            _observer.Stepped(record, secondsPerStep * (steps - report.Step));
            if (saves)
            {
                Save(record);
                saved = report.Step;
                WriteReport(log, null);
            }
        }

        bool finished = _trainer.StepsDone == steps;
        _folder.Prune(_settings.Keep); // who was killed behind the last save has not thrown away yet
        if (saved != _trainer.StepsDone)
            SaveInterrupted(batch, log.Records[^1]);
        HeldOutScore? heldOut = finished ? Measure(int.MaxValue) : null;
        string? model = finished ? Export() : null;
        string? huggingFace = model is not null && _settings.ExportHuggingface ? ExportHuggingFace(model) : null;
        WriteReport(log, heldOut);
        return new RunResult(_trainer.StepsDone, finished, heldOut, _folder.CheckpointOf(_trainer.StepsDone), model, huggingFace);
    }

    /// <summary>Measures all held-out text with the present weights quantized in another way; null when there is none.</summary>
    public HeldOutScore? MeasureAs(Quantizer linear) => Measure(batch => _trainer.Loss(batch, linear, KeepsAverage), int.MaxValue);

    public void Dispose()
    {
        _trainer.Dispose();
        _data.Dispose();
    }

    /// <summary>The recipe of a run that goes on: the one it was begun with, with other steps and learning rates that are asked for now.</summary>
    private static TrainingRecipe Reaimed(RunSettings settings, CheckpointHeader header, string checkpoint, IRunObserver observer)
    {
        TrainingRecipe begun = header.Recipe, recipe = settings.Reaimed(begun);
        if (recipe.Steps < header.StepsDone)
            throw new TernException(ErrorKind.Request, string.Create(CultureInfo.InvariantCulture, $"{checkpoint}: {header.StepsDone} steps are done, more than the {recipe.Steps} of --steps; give at least as many"));
        if (recipe.Steps != begun.Steps)
        {
            CheckWarmUp(recipe);
            observer.Note(string.Create(CultureInfo.InvariantCulture, $"the run ends at step {recipe.Steps} now, not {begun.Steps}; the learning rate goes to the new end from here on"));
        }

        if ((recipe.LearningRate, recipe.SecondLearningRate) != (begun.LearningRate, begun.SecondLearningRate))
            observer.Note(string.Create(CultureInfo.InvariantCulture, $"the peaks of the learning rate are {recipe.LearningRate} and {recipe.SecondLearningRate} from here on, not {begun.LearningRate} and {begun.SecondLearningRate}"));
        return recipe;
    }

    /// <summary>Refuses a run whose end finds the weights only partly quantized.</summary>
    private static void CheckWarmUp(TrainingRecipe recipe)
    {
        if (recipe.QuantizationWarmUpSteps >= recipe.Steps)
            throw new TernException(ErrorKind.Request, string.Create(CultureInfo.InvariantCulture, $"quantization would be blended in over {recipe.QuantizationWarmUpSteps} steps, and the run has only {recipe.Steps}; give fewer --quantization-warm-up-steps, or more --steps"));
    }

    private static (Trainer Trainer, long MemoryBytes) Begin(RunSettings settings, RunData data, WorkerPool pool, TeacherModel? teacher, IRunObserver observer)
    {
        bool distils = teacher is not null;
        ModelShape shape = settings.ShapeFor(data.Tokenizer.Count);
        TrainingRecipe planned = settings.RecipeFor(RunPlan.StepsDefault, distils);
        shape.Validate("the model");
        planned.Validate("the run");
        long memory = RunPlan.CheckMemory(shape, planned, settings, pool.Threads, teacher?.Memory);
        TrainingRecipe recipe = settings.RecipeFor(RunPlan.Steps(settings, distils, Create, data.Train, observer.Note), distils);
        CheckWarmUp(recipe);
        return (Create(recipe), memory);

        Trainer Create(TrainingRecipe recipe) => settings.From is { } from
            ? Trainer.From(from, shape, recipe, settings.Seed, pool, teacher?.Trainer)
            : new Trainer(shape, recipe, settings.Seed, pool, teacher?.Trainer);
    }

    /// <summary>Measures held-out text; null when there is none.</summary>
    private HeldOutScore? Measure(int sequencesMax) =>
        Measure(batch => KeepsAverage ? _trainer.Loss(batch, Recipe.Linear, average: true) : _trainer.Loss(batch), sequencesMax);

    private HeldOutScore? Measure(Func<TokenBatch, LossSum> loss, int sequencesMax) =>
        _data.HeldOut.Sequences == 0 ? null : _data.HeldOut.Score(loss, sequencesMax, _microSequences);

    private RunSummary Summary() => new(
        _trainer.Shape, Recipe, _trainer.Parameters, _data.Train.Tokens, _data.Split.Train.Length, _data.Split.HeldOut.Length, _data.HeldOutBytes,
        _settings.Batch * _trainer.Shape.Context, _trainer.StepsDone, _memoryBytes);

    private StepRecord Record(StepReport report, double seconds)
    {
        long tokensPerStep = (long)_settings.Batch * _trainer.Shape.Context;
        return new StepRecord(
            report.Step, report.Loss, report.LearningRate, report.GradientNorm, report.Step * tokensPerStep, report.Tokens / seconds, _data.Train.Epochs)
        { Teaching = report.Distillation };
    }

    private StepRecord Measured(StepRecord record) => record with
    {
        HeldOut = Measure(_settings.EvaluateSequences),
        Shares = Recipe.Linear.Precision == LinearPrecision.Ternary ? new LayerShares(_trainer.Shares()) : null,
    };

    private StepRecord WithSample(StepRecord record) => record with
    {
        Sample = _settings.SampleTokens > 0 ? TextSample.Write(_trainer, _data.Tokenizer, _settings.Prompt, _settings.SampleTokens) : null,
    };

    /// <summary>Refuses to save weights that the next step could only reject, so that the last checkpoint is always a good one.</summary>
    private void CheckFinite(TokenBatch batch)
    {
        if (_trainer.FindNonFinite(batch) is { } place)
            throw NotFinite(_trainer.StepsDone, place);
    }

    /// <summary>The report comes first: there is never a checkpoint without one.</summary>
    private void Save(StepRecord record)
    {
        WriteCheckpointReport(record);
        WriteCheckpoint();
    }

    /// <summary>Somebody waits for the end: the weights first, then what they are worth.</summary>
    private void SaveInterrupted(TokenBatch batch, StepRecord record)
    {
        CheckFinite(batch);
        WriteCheckpoint();
        WriteCheckpointReport(record.HeldOut is null ? Measured(record) : record);
    }

    private void WriteCheckpoint()
    {
        string path = _folder.CheckpointOf(_trainer.StepsDone);
        _trainer.Save(path, _data.Save());
        _folder.Prune(_settings.Keep);
        _observer.Saved(path);
    }

    private void WriteCheckpointReport(StepRecord record) => CheckpointReport.Write(_folder.ReportOf(_trainer.StepsDone), record, Recipe, _observer.Note);

    private string? Export()
    {
        if (_settings.Export == "none")
            return null;
        _trainer.Export(_folder.Model, _data.Metadata, ExportOf(_settings, _trainer));
        return _folder.Model;
    }

    private static ExportOptions ExportOf(RunSettings settings, Trainer trainer) => new()
    {
        Linears = settings.Export is { } name ? RunFields.TypeOf(name) : HasCodes(trainer) ? TensorType.I2S : TensorType.F16,
        Embeddings = RunFields.TypeOf(settings.ExportEmbeddings),
        Name = settings.Name,
        Average = trainer.Recipe.AverageDecay > 0,
    };

    /// <summary>Whether the linear layers are codes that fit I2_S, which alone computes with them as the trainer does.</summary>
    private static bool HasCodes(Trainer trainer) =>
        WeightQuantization.IsCodes(trainer.Recipe.Linear.Precision)
        && trainer.Tensors.Linears.All(p => TensorType.I2S.FitsShape((UInt128)p.Columns, (UInt128)p.Rows));

    /// <summary>
    /// Refuses what cannot be exported before the work begins, and a Hugging Face checkpoint that would be another model: those who read one with sub
    /// norms make its weights ternary.
    /// </summary>
    private static void CheckExport(RunSettings settings, Trainer trainer)
    {
        if (settings.Export != "none")
            trainer.CheckExport(ExportOf(settings, trainer));
        if (!settings.ExportHuggingface)
            return;
        if (settings.Export == "none")
            throw new TernException(ErrorKind.Request, "a Hugging Face checkpoint is made of the exported model, and 'export' is 'none'; leave one of --export and --export-huggingface out");
        TensorType linears = ExportOf(settings, trainer).Linears;
        if (trainer.Shape.SubNorms && !linears.IsTernary)
            throw new TernException(ErrorKind.Request, $"a Hugging Face checkpoint of a model with sub norms is always ternary, and the linear layers of this one are written as {linears.Name}; leave --export-huggingface out, train ternary, or take --sub-norms false with --activation silu");
    }

    /// <summary>Converts the exported model, as <c>tern convert --to huggingface</c> does.</summary>
    private string ExportHuggingFace(string model)
    {
        using ModelSource source = Model.Open(model, new ModelOptions());
        foreach (string note in HuggingFaceExport.Write(source, _folder.HuggingFace, _pool.Threads, _ => { }, CancellationToken.None).Notes)
            _observer.Note(note);
        return _folder.HuggingFace;
    }

    private void WriteReport(RunLog log, HeldOutScore? final)
    {
        LossCurve.Write(_folder.Curve, log.Records, Recipe, _observer.Note);
        RunReport.Write(_folder.Report, Summary(), _settings, _data.HeldOutNames, log.Records, final, _observer.Note);
    }

    private TernException NotFinite(int step, string place) => new(
        ErrorKind.Engine,
        string.Create(
            CultureInfo.InvariantCulture,
            $"step {step}: the loss is no number any more; the first place that is not finite is {place}; the last good checkpoint is {_folder.LastCheckpoint()}; {(_folder.IsPart ? "compare anew with a smaller --learning-rate in another folder" : "the same command with a smaller --learning-rate goes on from it")}"));
}
