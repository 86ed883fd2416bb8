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
        using RunFolder folder = OpenFolder(asked, resume);
        RunConfiguration configuration = Continue(folder, given);
        RunSettings settings = configuration.Settings(source);
        Prepare(folder, configuration, settings, observer, stop);

        using var pool = new WorkerPool(settings.Threads > 0 ? settings.Threads : Cpu.ComputeThreads);
        using TeacherModel? teacher = TeacherModel.Find(settings, pool);
        using TrainingRun run = TrainingRun.Open(folder, settings, pool, teacher, observer);
        return run.Run(stop);
    }

    /// <summary>Opens the run folder.</summary>
    /// <exception cref="TernException">None is named, or there is no run to go on with.</exception>
    public static RunFolder OpenFolder(RunSettings settings, bool resume)
    {
        string path = settings.Out ?? throw new TernException(ErrorKind.Request, "no run folder is named; give one with --out");
        if (resume && !RunFolder.HasRun(path))
            throw new TernException(ErrorKind.File, $"{path}: there is no run to go on with; leave --resume out to begin one");
        return RunFolder.Open(path);
    }

    /// <summary>The fields of the run that is in the folder, with what was given now; those given now where no run was begun.</summary>
    /// <exception cref="TernException">What was given contradicts the run.</exception>
    public static RunConfiguration Continue(RunFolder folder, RunConfiguration given)
    {
        if (!folder.IsBegun)
            return given;
        RunConfiguration stored = RunConfiguration.Read(folder.Configuration);
        if (stored.FirstConflict(given) is { } field)
        {
            throw new TernException(
                ErrorKind.Request,
                $"{folder.Path}: the run in this folder was begun with {stored.Describe(field.Name)} for '{field.Name}', and {given.Describe(field.Name)} is asked for now; leave {field.Flag} out to go on with it, or name another folder");
        }

        return stored.With(given);
    }

    /// <summary>Writes the configuration, and the tokens of a run that was not begun before.</summary>
    public static void Prepare(RunFolder folder, RunConfiguration configuration, RunSettings settings, IRunObserver observer, CancellationToken stop)
    {
        if (!folder.IsBegun)
        {
            observer.Note("reading the text");
            RunData.Prepare(folder, settings, observer.Note, _ => { }, stop);
        }

        configuration.Write(folder.Configuration);
    }
}
