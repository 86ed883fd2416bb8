using System.CommandLine;
using System.Globalization;
using Tern.Cli.Conversion;
using Tern.Cli.Input;
using Tern.Cli.Options;
using Tern.Cli.Terminal;
using Tern.Conversion;
using Tern.Files;
using Tern.Machine;
using Tern.Models;

namespace Tern.Cli.Verbs;

/// <summary><c>tern fix</c>: mends the known defects of published files, and says each thing it changed.</summary>
internal static class FixVerb
{
    public static Command Create(Interrupt interrupt)
    {
        var input = new Argument<string>("IN") { Description = "A GGUF file, or the name of a model that comes with tern." };
        var output = new Argument<string?>("OUT.gguf") { Arity = ArgumentArity.ZeroOrOne, Description = "The file to write; it appears whole or not at all." };
        Option<bool> inPlace = OptionOf.Flag("--in-place", "Replace IN itself, once the mended file is whole.");
        Option<bool> force = OptionOf.Flag("--force", "Replace the output if it is there.");
        var command = new Command("fix", "Mend the known defects of published files: missing pre-tokenizer, wrong chat template and stop tokens, missing activation, I2_S arranged for ARM or in four rows, old Q2_0.")
        {
            input, output, inPlace, force,
        };
        ModelOptionsBinding binding = ModelOptionsBinding.AddTo(command);
        command.SetAction(result =>
        {
            string path = ModelArgument.Resolve(result.GetValue(input));
            if (result.GetValue(inPlace) && !File.Exists(result.GetValue(input)))
                throw new TernException(ErrorKind.Request, $"{result.GetValue(input)}: is the name of a model, whose file belongs to tern and is not changed in place; give OUT.gguf");
            string target = Target(path, result.GetValue(output), result.GetValue(inPlace));
            OutputPlace.CheckFile(target, result.GetValue(force) || result.GetValue(inPlace));
            ModelOptions options = binding.Options(result) with { CancellationToken = interrupt.Token };
            (I2sLayout layout, string? arrangement) = LayoutOf(path, options, interrupt);
            using ModelSource source = Model.Open(path, options with { I2sLayout = layout });
            if (source is not GgufFile file)
                throw new TernException(ErrorKind.Request, $"{path}: is no GGUF file; 'tern convert' makes one of it");
            if (file.PartCount > 1 && result.GetValue(inPlace))
                throw new TernException(ErrorKind.Request, string.Create(CultureInfo.InvariantCulture, $"{path}: is the first of {file.PartCount} parts, and the mended model is one file; give OUT.gguf"));
            Messages.Warnings(source.Warnings);
            IReadOnlyList<Defect> defects = KnownDefects.Of(source, options.PreTokenizer);
            if (KnownDefects.LacksPreTokenizer(source.Metadata) && !defects.Any(d => d.Key == KnownDefects.PreTokenizerKey))
                Messages.Warning($"{path}: '{KnownDefects.PreTokenizerKey}' is missing, and no token of the vocabulary names its family; --pre NAME sets it");
            if (defects.Count == 0 && arrangement is null)
            {
                Console.Out.WriteLine($"{path}: none of the known defects; nothing was written");
                return ExitCode.Success;
            }

            Write(source, defects, target, options, interrupt);
            foreach (string change in defects.Select(d => d.Change).Concat(arrangement is null ? [] : [arrangement]))
                Console.Out.WriteLine($"{target}: {change}");
            return ExitCode.Success;
        });
        return command;
    }

    private static string Target(string input, string? output, bool inPlace)
    {
        if (inPlace == output is not null)
            throw new UsageException("give either OUT.gguf or --in-place");
        return output ?? input;
    }

    /// <summary>The arrangement of the I2_S tensors: as told, or by trial; with what is done about it, if anything.</summary>
    private static (I2sLayout Layout, string? Change) LayoutOf(string path, ModelOptions options, Interrupt interrupt)
    {
        I2sLayout layout = options.I2sLayout;
        if (layout == I2sLayout.Canonical && ArrangementTrial.Run(path, options, interrupt) is { } trial)
        {
            if (trial.Winner is null)
                Messages.Warning($"{path}: no arrangement of I2_S makes the model predict English clearly better than the others ({trial.Describe()}), so it is left as it is; --i2s-layout says which one it has");
            layout = trial.Winner ?? layout;
        }

        return (layout, layout == I2sLayout.Canonical ? null : $"I2_S tensors rewritten from {ArrangementTrial.Name(layout)} to the canonical arrangement");
    }

    private static void Write(ModelSource source, IReadOnlyList<Defect> defects, string target, ModelOptions options, Interrupt interrupt)
    {
        int threads = options.Threads > 0 ? options.Threads : Cpu.ComputeThreads;
        ConversionPlan plan = ConversionPlan.Of(source, new ConversionOptions { Threads = threads }, interrupt.Token);
        Metadata metadata = KnownDefects.Mend(source.Metadata, defects);
        OutputPlace.CheckSpace(target, GgufConversion.PredictBytes(plan, metadata));
        Transfer.Measure(
            string.Create(CultureInfo.InvariantCulture, $"writing {Path.GetFileName(target)}"),
            plan.ByteCount,
            progress => GgufConversion.Write(source, plan, metadata, target, progress, interrupt.Token));
    }
}
