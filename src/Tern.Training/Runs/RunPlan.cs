using System.Diagnostics;
using System.Globalization;
using Tern.Training.Data;
using Tern.Training.Distilling;

namespace Tern.Training.Runs;

/// <summary>What a run needs that follows from its settings: steps, memory, how often to look.</summary>
internal static class RunPlan
{
    /// <summary>Checkpoints and measurements of a run whose settings do not say how often.</summary>
    private const int Checkpoints = 20, Evaluations = 40;

    /// <summary>Steps that measure the speed, after one that does not count.</summary>
    private const int TrialSteps = 3;

    /// <summary>Steps when neither steps nor hours are given.</summary>
    public const int StepsDefault = 1000;

    /// <summary>Part of the memory that is left to everything else.</summary>
    private const double MemoryReserve = 0.05;

    /// <summary>Steps between checkpoints.</summary>
    public static int CheckpointEvery(RunSettings settings, int steps) =>
        settings.CheckpointEvery > 0 ? settings.CheckpointEvery : Math.Max(1, steps / Checkpoints);

    /// <summary>Steps between measurements.</summary>
    public static int EvaluateEvery(RunSettings settings, int steps) =>
        settings.EvaluateEvery > 0 ? settings.EvaluateEvery : Math.Max(1, steps / Evaluations);

    /// <summary>Sequences computed at a time.</summary>
    public static int MicroSequences(RunSettings settings) => settings.MicroBatch > 0 ? Math.Min(settings.MicroBatch, settings.Batch) : settings.Batch;

    /// <summary>Bytes of memory that a run takes with its teacher; refuses what the machine does not have, and is asked before any is taken.</summary>
    /// <param name="shape">The model.</param>
    /// <param name="recipe">How it is trained.</param>
    /// <param name="settings">Sequences at a time.</param>
    /// <param name="threads">Workers.</param>
    /// <param name="teacher">What the teacher takes; null without.</param>
    /// <exception cref="TernException">There is less.</exception>
    public static long CheckMemory(ModelShape shape, TrainingRecipe recipe, RunSettings settings, int threads, TeacherMemory? teacher)
    {
        _ = TokenBatch.Count(settings.Batch, shape.Context);
        int sequences = MicroSequences(settings);
        long needed = Trainer.MemoryNeeded(shape, recipe, sequences, shape.Context, threads);
        string ofTeacher = "";
        if (teacher is { } taken)
        {
            long bytes = taken.Bytes + (sizeof(float) * Distiller.FloatsNeeded(settings.Distillation, shape, taken.Shape, TokenBatch.Count(sequences, shape.Context), threads));
            needed += bytes;
            ofTeacher = string.Create(CultureInfo.InvariantCulture, $", {bytes / 1e6:0} MB of it for the teacher of {taken.Shape.Parameters / 1e6:0.0} million");
        }

        (long available, bool isFree) = AvailableMemory();
        if (needed > available * (1 - MemoryReserve))
        {
            throw new TernException(
                ErrorKind.Limit,
                string.Create(CultureInfo.InvariantCulture, $"training {shape.Parameters / 1e6:0.0} million weights with {sequences} sequences of {shape.Context} at a time needs about {needed / 1e6:0} MB of memory{ofTeacher}, and {(isFree ? Text($"{available / 1e6:0} MB are free") : Text($"the machine has {available / 1e6:0} MB altogether"))}; a smaller --micro-batch, --context or --size needs less"));
        }

        return needed;
    }

    /// <summary>The steps of a run: as given, or as many as go into the hours at the speed of a few trial steps.</summary>
    /// <param name="settings">Steps or hours.</param>
    /// <param name="distils">Whether there is a teacher.</param>
    /// <param name="create">Makes a trainer to try with.</param>
    /// <param name="data">Gives sequences, and is put back to where it was.</param>
    /// <param name="note">Is told what was measured.</param>
    public static int Steps(RunSettings settings, bool distils, Func<TrainingRecipe, Trainer> create, TrainingStream data, Action<string> note)
    {
        if (settings.Hours <= 0)
            return settings.Steps > 0 ? settings.Steps : StepsDefault;

        using Trainer trial = create(settings.RecipeFor(StepsDefault, distils));
        byte[] position = data.Save();
        var batch = new TokenBatch(settings.Batch, trial.Shape.Context, MicroSequences(settings));
        double seconds = double.PositiveInfinity;
        for (int i = 0; i <= TrialSteps; i++)
        {
            Fill(batch, data);
            long start = Stopwatch.GetTimestamp();
            trial.Step(batch);
            if (i > 0)
                seconds = Math.Min(seconds, Stopwatch.GetElapsedTime(start).TotalSeconds);
        }

        data.Restore(position);
        int steps = (int)Math.Clamp(settings.Hours * 3600 / seconds, 1, 100_000_000);
        note(string.Create(CultureInfo.InvariantCulture, $"{seconds:0.000} s a step: {steps} steps in {settings.Hours:0.###} hours"));
        return steps;
    }

    /// <summary>Fills a batch with the next sequences.</summary>
    public static void Fill(TokenBatch batch, TrainingStream data)
    {
        for (int row = 0; row < batch.Sequences; row++)
            data.Next(batch.Inputs.AsSpan(row * batch.Length, batch.Length), batch.Targets.AsSpan(row * batch.Length, batch.Length));
    }

    /// <summary>Memory that is free now, as Linux says, and never more than the limit of the process; elsewhere that limit, which is not known to be free.</summary>
    private static (long Bytes, bool IsFree) AvailableMemory()
    {
        long limit = GC.GetGCMemoryInfo().TotalAvailableMemoryBytes;
        const string file = "/proc/meminfo", field = "MemAvailable:";
        if (!File.Exists(file))
            return (limit, false);
        string? line = File.ReadLines(file).FirstOrDefault(l => l.StartsWith(field, StringComparison.Ordinal));
        string number = line?[field.Length..].Replace("kB", "", StringComparison.Ordinal).Trim() ?? "";
        return long.TryParse(number, NumberStyles.None, CultureInfo.InvariantCulture, out long kibibytes) ? (Math.Min(limit, kibibytes * 1024), true) : (limit, false);
    }

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
