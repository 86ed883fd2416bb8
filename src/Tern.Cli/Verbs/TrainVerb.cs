using System.CommandLine;
using System.Globalization;
using Spectre.Console;
using Tern.Cli.Options;
using Tern.Cli.Terminal;
using Tern.Cli.Training;
using Tern.Training.Runs;

namespace Tern.Cli.Verbs;

/// <summary><c>tern train</c>: trains a model of few bits on text, from a configuration file, flags, or both; every field of the file is a flag.</summary>
internal static class TrainVerb
{
    public static Command Create(Interrupt interrupt)
    {
        var file = new Argument<string?>("CONFIG") { Arity = ArgumentArity.ZeroOrOne, Description = "A JSON file with any of the fields below (learningRate for --learning-rate); flags win." };
        Option<bool> resume = OptionOf.Flag("--resume", "Go on with the run in --out, and fail when there is none. Without it a run that is there is continued, too.");
        Option<bool> compare = OptionOf.Flag("--compare", "Train in full precision, ternary, binary and ternary with a teacher on the same text, quantize the first afterwards, and draw the table.");
        var command = new Command("train", "Train a model of few bits on text.") { file, resume, compare };
        var flags = RunFields.All.Select(field => (Field: field, Option: OptionFor(field))).ToList();
        foreach ((_, Option<string[]> option) in flags)
            command.Add(option);

        command.SetAction(result =>
        {
            RunConfiguration configuration = result.GetValue(file) is { } path ? RunConfiguration.Read(path) : new RunConfiguration();
            var written = new RunConfiguration();
            foreach ((RunField field, Option<string[]> option) in flags)
                if (result.GetValue(option) is { Length: > 0 } values)
                    written.Set(field.Name, Checked(field, values));
            if (written.Has("steps") && written.Has("hours"))
                throw new UsageException("--steps and --hours contradict each other; give one of them");

            RunConfiguration all = configuration.With(written);
            if (!all.Has("out"))
                throw new UsageException("--out FOLDER is needed: the run folder");
            string Source(RunField field) => written.Has(field.Name) ? field.Flag : $"{result.GetValue(file) ?? "the run's config.json"}: '{field.Name}'";
            string folder = all.Settings(Source).Out!;
            if (!RunFolder.HasRun(folder))
                RunFolder.CheckApart(folder, result.GetValue(file), "the configuration");
            using var stop = new CancellationTokenSource();
            T Shown<T>(Func<IRunObserver, T> work) => Show(display =>
            {
                interrupt.Handle(_ => Stop(stop, display));
                return work(display);
            });
            try
            {
                return result.GetValue(compare)
                    ? Compare(Shown(observer => ComparisonJob.Run(all, Source, result.GetValue(resume), observer, stop.Token)), interrupt)
                    : Finish(Shown(observer => TrainingJob.Run(all, Source, result.GetValue(resume), observer, stop.Token)), interrupt);
            }
            finally
            {
                interrupt.Handle(null);
            }
        });
        return command;
    }

    private static Option<string[]> OptionFor(RunField field) => new(field.Flag)
    {
        Description = field.Help + (field.Kind == RunFieldKind.Texts ? " May be given several times." : "") + (field.Default is { } value ? $" [default: {value}]" : ""),
        HelpName = field.Takes,
        Arity = ArgumentArity.OneOrMore,
    };

    /// <summary>A mistake on the command line is one of usage, not of data.</summary>
    private static string[] Checked(RunField field, string[] values)
    {
        // As with every other verb, the last of several values counts.
        values = field.Kind == RunFieldKind.Texts ? values : values[^1..];
        try
        {
            field.Set(new RunSettings(), values, field.Flag);
            return values;
        }
        catch (TernException e)
        {
            throw new UsageException(e.Message);
        }
    }

    /// <summary>The first signal ends the run behind its step, with a checkpoint; the second ends the program.</summary>
    private static bool Stop(CancellationTokenSource stop, IRunDisplay display)
    {
        if (stop.IsCancellationRequested)
            return false;
        stop.Cancel();
        display.Stopping();
        return true;
    }

    private static T Show<T>(Func<IRunDisplay, T> work)
    {
        if (!Screen.OutputIsRich)
            return work(new PlainRun());
        return Screen.Output.Live(new Spectre.Console.Text("")).Start(display => work(new LiveRun(display)));
    }

    private static int Finish(RunResult result, Interrupt interrupt)
    {
        if (!result.Finished)
        {
            Console.Out.WriteLine(string.Create(CultureInfo.InvariantCulture, $"stopped behind step {result.StepsDone}; the same command goes on from {result.Checkpoint}"));
            return interrupt.Code;
        }

        if (result.HeldOut is { } score)
            Console.Out.WriteLine(string.Create(CultureInfo.InvariantCulture, $"held-out text: {score.BitsPerByte:0.0000} bits per byte, loss {score.Loss:0.0000}, perplexity {score.Perplexity:0.00} ({score.Tokens} tokens)"));
        if (result.HuggingFace is { } folder)
            Console.Out.WriteLine($"hugging face checkpoint: {folder}");
        Console.Out.WriteLine(result.Model is { } model ? $"model: {model}" : $"checkpoint: {result.Checkpoint}");
        return ExitCode.Success;
    }

    private static int Compare(IReadOnlyList<ComparisonRow>? rows, Interrupt interrupt)
    {
        if (rows is null)
        {
            Console.Out.WriteLine("stopped; the same command goes on");
            return interrupt.Code;
        }

        var grid = new Terminal.Grid("", "held-out loss", "perplexity", "bits per byte", "bytes") { NumbersFrom = 1 };
        foreach (ComparisonRow row in rows)
        {
            grid.Add(
                row.Name,
                row.Score.Loss.ToString("0.0000", CultureInfo.InvariantCulture),
                row.Score.Perplexity.ToString("0.00", CultureInfo.InvariantCulture),
                row.Score.BitsPerByte.ToString("0.0000", CultureInfo.InvariantCulture),
                row.Bytes.ToString(CultureInfo.InvariantCulture));
        }

        grid.Write();
        return ExitCode.Success;
    }
}
