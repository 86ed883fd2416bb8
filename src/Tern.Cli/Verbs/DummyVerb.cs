using System.CommandLine;
using System.Globalization;
using Tern.Cli.Conversion;
using Tern.Cli.Options;
using Tern.Cli.Terminal;
using Tern.Conversion;
using Tern.Conversion.HuggingFace;
using Tern.Numerics;

namespace Tern.Cli.Verbs;

/// <summary><c>tern dummy</c>: a file with the dimensions of a published model and random weights.</summary>
internal static class DummyVerb
{
    private static readonly string[] s_types = [.. TensorType.All.Where(t => t.CanEncode).Select(t => t.Name.ToLowerInvariant())];

    public static Command Create(Interrupt interrupt)
    {
        Option<string> like = OptionOf.Choice("--like", [.. DummyGeometry.All.Select(g => g.Name)], "2b4t", "Whose dimensions.");
        Option<string?> output = OptionOf.Text("--output", "FILE", "The file to write; it appears whole or not at all.", "-o");
        Option<string> type = OptionOf.Choice("--type", s_types, "i2_s", "Type of the linear layers.");
        Option<string> embeddings = OptionOf.Choice("--embeddings", s_types, "f16", "Type of the embeddings, which are the output matrix too.");
        Option<int> seed = OptionOf.Integer("--seed", 0, int.MaxValue, 1, "The same seed gives the same file.");
        Option<string> format = OptionOf.Choice("--format", ["gguf", "huggingface"], "gguf", "A GGUF file, or the folder of a checkpoint with BF16 weights.");
        var command = new Command("dummy", "Write a model with random weights in the dimensions of a published one, to measure speed and memory.")
        {
            like, output, type, embeddings, seed, format,
        };
        command.SetAction(result =>
        {
            string path = result.GetValue(output) ?? throw new UsageException("--output FILE is needed: the file to write");
            if (result.GetValue(format) == "huggingface")
                return WriteCheckpoint(path, DummyGeometry.Find(result.GetValue(like)!), (ulong)result.GetValue(seed), interrupt);
            var options = new DummyOptions(
                DummyGeometry.Find(result.GetValue(like)!),
                TypeOf(result.GetValue(type)!),
                TypeOf(result.GetValue(embeddings)!),
                (ulong)result.GetValue(seed));
            long bytes = Work.Measure($"writing {path}", progress =>
            {
                DummyModel.Write(path, options, progress, interrupt.Token);
                return new FileInfo(path).Length;
            });
            Console.Out.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{path}: {options.Geometry.Name}, {options.Linears.Name} with {options.Embeddings.Name} embeddings, {bytes / 1e9:0.00} GB"));
            return ExitCode.Success;
        });
        return command;
    }

    private static int WriteCheckpoint(string folder, DummyGeometry geometry, ulong seed, Interrupt interrupt)
    {
        OutputPlace.CheckFolder(folder, force: false);
        Work.Measure($"writing {folder}", progress =>
        {
            DummyCheckpoint.Write(folder, geometry, seed, progress, interrupt.Token);
            return 0;
        });
        Console.Out.WriteLine($"{folder}: {geometry.Name}, BF16");
        return ExitCode.Success;
    }

    private static TensorType TypeOf(string name) => TensorType.All.First(t => t.Name.Equals(name, StringComparison.OrdinalIgnoreCase));
}
