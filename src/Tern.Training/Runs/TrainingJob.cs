using Tern.Machine;

namespace Tern.Training.Runs;

/// <summary>A run from its configuration to its result: begins it, or goes on with the one that is in its folder.</summary>
internal static class TrainingJob
{
    /// <summary>Trains.</summary>
    /// <param name="given">The fields that were set.</param>
    /// <param name="source">Where a field comes from, for messages.</param>
    /// <param name="resume">Whether there must be a run to go on with.</param>
    /// <param name="observer">Is told what happens.</param>
    /// <param name="stop">Ends the run behind the present step, with a checkpoint.</param>
    /// <exception cref="TernException">A field is wrong or contradicts the run in the folder; data, memory or disk are short; the loss is no number.</exception>
    public static RunResult Run(RunConfiguration given, Func<RunField, string> source, bool resume, IRunObserver observer, CancellationToken stop)
    {
        RunSettings asked = given.Settings(source);
        if (asked.Out is { } path && RunFolder.HasComparison(path))
            throw new TernException(ErrorKind.Request, $"{path}: the folder holds a comparison; add --compare to go on with it, or name another folder");
        using RunFolder folder = OpenFolder(asked, resume);
        RunConfiguration configuration = Continue(folder, given, compares: false, source);
        RunSettings settings = configuration.Settings(source);
        Prepare(folder, configuration, settings, observer, stop);

        using var pool = new WorkerPool(settings.Threads > 0 ? settings.Threads : Cpu.ComputeThreads);
        using TeacherModel? teacher = TeacherModel.Find(settings, folder.Tokenizer, pool);
        using TrainingRun run = TrainingRun.Open(folder, settings, pool, teacher, observer);
        return run.Run(stop);
    }

    /// <summary>Opens the run folder.</summary>
    /// <param name="settings">Names it, and what a new run reads.</param>
    /// <param name="resume">Whether there must be a run to go on with.</param>
    /// <param name="parts">Names of the folders in it for the runs of a comparison; none for a single run.</param>
    /// <exception cref="TernException">None is named, there is no run to go on with, or the folder holds something else.</exception>
    public static RunFolder OpenFolder(RunSettings settings, bool resume, params IReadOnlyList<string> parts)
    {
        string path = settings.Out ?? throw new TernException(ErrorKind.Request, "no run folder is named; give one with --out");
        if (resume && !RunFolder.HasRun(path))
            throw new TernException(ErrorKind.File, $"{path}: there is no run to go on with; leave --resume out to begin one");
        if (!RunFolder.HasRun(path))
            foreach ((string name, string? input) in ((string, string?)[])[("the tokenizer", settings.Tokenizer), ("the model of --from", settings.From), ("the teacher", settings.Teacher)])
                RunFolder.CheckApart(path, input, name);
        return RunFolder.Open(path, parts);
    }

    /// <summary>The fields of the run that is in the folder, with what was given now; those given now where no run was begun.</summary>
    /// <exception cref="TernException">What was given contradicts the run, or does nothing.</exception>
    public static RunConfiguration Continue(RunFolder folder, RunConfiguration given, bool compares, Func<RunField, string> source)
    {
        if (!folder.IsBegun)
        {
            given.CheckUse(null, compares, source);
            return given;
        }

        RunConfiguration stored = RunConfiguration.Read(folder.Configuration);
        if (stored.FirstConflict(given, compares) is { } field)
        {
            throw new TernException(
                ErrorKind.Request,
                $"{folder.Path}: the run in this folder was begun with {stored.Describe(field.Name)} for '{field.Name}', and {given.Describe(field.Name)} is asked for now; leave {field.Flag} out to go on with it, or name another folder");
        }

        RunConfiguration configuration = stored.With(given);
        configuration.CheckUse(stored, compares, source);
        return configuration;
    }

    /// <summary>
    /// Writes the configuration, first of all, since it makes the folder a run's; then the tokens, of a run that goes on only when they are gone: its
    /// checkpoints tell whether the text is still the same.
    /// </summary>
    public static void Prepare(RunFolder folder, RunConfiguration configuration, RunSettings settings, IRunObserver observer, CancellationToken stop)
    {
        configuration.Write(folder.Configuration);
        if (folder.IsBegun && File.Exists(folder.Tokens))
            return;
        observer.Note("reading the text");
        RunData.Prepare(folder, settings, observer.Note, observer.Encoded, stop);
    }
}
