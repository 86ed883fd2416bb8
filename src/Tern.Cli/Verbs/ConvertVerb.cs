using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using Tern.Cli.Conversion;
using Tern.Cli.Input;
using Tern.Cli.Options;
using Tern.Cli.Terminal;
using Tern.Conversion;
using Tern.Conversion.HuggingFace;
using Tern.Files;
using Tern.Machine;
using Tern.Models;
using Tern.Numerics;

namespace Tern.Cli.Verbs;

/// <summary><c>tern convert</c>: a Hugging Face checkpoint becomes a GGUF file, and a model a checkpoint.</summary>
internal static class ConvertVerb
{
    public static Command Create(Interrupt interrupt)
    {
        var input = new Argument<string>("IN") { Description = "The folder of a Hugging Face checkpoint, a GGUF file, or the name of a model that comes with tern." };
        Option<string?> output = OptionOf.Text("--output", "OUT", "The file or folder to write; it appears whole or not at all.", "-o");
        Option<string?> type = OptionOf.Text("--type", string.Join('|', RecodingRun.TypeNames), "Type of the linear layers; left out: i2_s where they are ternary, else what they are.");
        type.Validators.Add(result =>
        {
            if (result.Tokens is [var token] && !RecodingRun.TypeNames.Contains(token.Value, StringComparer.OrdinalIgnoreCase))
                result.AddError($"'{token.Value}' is not a value of --type: it takes {string.Join(", ", RecodingRun.TypeNames[..^1])} or {RecodingRun.TypeNames[^1]}");
        });
        Option<string> to = OptionOf.Choice("--to", ["gguf", "huggingface"], "gguf", "What to write: one GGUF file, or the folder of a Hugging Face checkpoint.");
        var command = new Command("convert", "Convert a Hugging Face checkpoint to GGUF, or a model to a checkpoint.") { input, output, type, to };
        RecodingRun run = RecodingRun.AddTo(command, "f16 from a checkpoint, as they are from GGUF", "that of the embeddings", interrupt);
        command.SetAction(result =>
        {
            string target = result.GetValue(output) ?? throw new UsageException("--output OUT is needed: the file or folder to write");
            string path = ModelArgument.Resolve(result.GetValue(input));
            if (result.GetValue(to) == "huggingface")
            {
                if (result.GetValue(type) is not null || run.RecodesMore(result))
                    throw new UsageException("--to huggingface keeps ternary layers as they are and has no other types: leave out --type, --embeddings, --output-type, --ptq and --text");
                return Export(result, run, path, target, interrupt);
            }

            bool isCheckpoint = Directory.Exists(path) || !path.EndsWith(".gguf", StringComparison.OrdinalIgnoreCase);
            return run.Run(result, path, target, RecodingRun.TypeOf(result.GetValue(type)), isCheckpoint ? TensorType.F16 : null);
        });
        return command;
    }

    private static int Export(ParseResult result, RecodingRun run, string path, string folder, Interrupt interrupt)
    {
        OutputPlace.CheckFolder(folder, run.Force(result));
        ModelOptions options = run.ModelOptions(result);
        var clock = Stopwatch.StartNew();
        using ModelSource source = Model.Open(path, options);
        Messages.Warnings(source.Warnings);
        long bytes = source.TensorsInOrder.Sum(t => t.ByteCount);
        OutputPlace.CheckSpace(folder, bytes);
        ConversionReport report = Transfer.Measure(
            $"writing {folder}",
            bytes,
            progress => HuggingFaceExport.Write(source, folder, options.Threads > 0 ? options.Threads : Cpu.ComputeThreads, progress, interrupt.Token));
        Console.Out.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{folder}: {RecodingRun.Size(report.Bytes)} of weights in {clock.Elapsed.TotalSeconds:0.0} s"));
        foreach (string note in report.Notes)
            Console.Out.WriteLine(note);
        return ExitCode.Success;
    }
}
