using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using Tern.Cli.Benchmarks;
using Tern.Cli.Options;
using Tern.Cli.Terminal;
using Tern.Machine;
using Tern.Measure;
using Tern.Training;
using Tern.Training.Runs;

namespace Tern.Cli.Verbs;

/// <summary><c>tern bench train</c>: tokens per second of training, against what the vector units can do.</summary>
internal static class TrainBenchVerb
{
    private const int Vocabulary = 4096;

    public static Command Create(Interrupt interrupt)
    {
        string[] sizes = [.. SizePreset.All.Select(preset => preset.Name)];
        Option<string> size = OptionOf.Choice("--size", sizes, "5m", "Dimensions of the model, about so many weights.");
        Option<int> context = OptionOf.Integer("--context", 2, 1 << 16, 256, "Tokens of a sequence.", "-c");
        Option<int> batch = OptionOf.Integer("--batch", 1, 1 << 16, 8, "Sequences of a step.");
        Option<int> steps = OptionOf.Integer("--steps", 1, 100_000, 8, "Steps that count.");
        Option<int> threads = OptionOf.Integer("--threads", 1, 1024, Cpu.ComputeThreads, "Worker threads.", "-t");
        Option<string> precision = OptionOf.Choice("--precision", ["ternary", "binary", "full"], "ternary", "What the linear layers compute with.");
        Option<string> optimizer = OptionOf.Choice("--optimizer", ["adamw", "muon"], "adamw", "How the matrices learn.");
        Option<bool> json = OptionOf.Flag("--json", "Write the JSON line alone.");
        var command = new Command("train", "Measure training on random tokens.") { size, context, batch, steps, threads, precision, optimizer, json };
        command.SetAction(result =>
        {
            string name = result.GetValue(size)!;
            int count = result.GetValue(threads);
            var settings = new RunSettings { Size = name, Context = result.GetValue(context), Batch = result.GetValue(batch) };
            ModelShape shape = settings.ShapeFor(Vocabulary);
            shape.Validate("the model");
            var recipe = new TrainingRecipe
            {
                Linear = new Quantizer { Precision = Enum.Parse<LinearPrecision>(result.GetValue(precision)!, ignoreCase: true) },
                Rule = Enum.Parse<OptimizerRule>(result.GetValue(optimizer)!, ignoreCase: true),
            };
            long memory = RunPlan.CheckMemory(shape, recipe, settings, count, null);
            double ceiling = Work.Wait("measuring the machine", () => MachineCeilings.FloatOperationsPerSecond(count, interrupt.Token));
            TrainingFigure figure = Work.Measure("training", progress =>
                TrainingBenchmark.Run(shape, recipe, settings.Batch, result.GetValue(steps), count, progress, interrupt.Token));
            ceiling = Math.Max(ceiling, Work.Wait("measuring the machine again", () => MachineCeilings.FloatOperationsPerSecond(count, interrupt.Token)));
            double share = figure.TokensPerSecond * figure.OperationsPerToken / ceiling;
            if (!result.GetValue(json))
            {
                Console.Out.WriteLine(string.Create(
                    CultureInfo.InvariantCulture,
                    $"{figure.Parameters / 1e6:0.00} million weights, {count} threads: {figure.TokensPerSecond:0} tok/s, {figure.TokensPerCpuSecond:0} tok/CPU-s, {share:0 %} of {ceiling / 1e9:0} GFLOP/s, about {memory / 1e6:0} MB of memory"));
                Console.Out.WriteLine(MachineReport.Line);
            }

            WriteJson(name, result.GetValue(precision)!, result.GetValue(optimizer)!, settings, count, memory, figure, ceiling, share);
            return ExitCode.Success;
        });
        return command;
    }

    private static void WriteJson(
        string size, string precision, string optimizer, RunSettings settings, int threads, long memory, TrainingFigure figure, double ceiling, double share)
    {
        using var output = new JsonOutput();
        Utf8JsonWriter writer = output.Writer;
        writer.WriteStartObject();
        writer.WriteString("size", size);
        writer.WriteNumber("parameters", figure.Parameters);
        writer.WriteString("precision", precision);
        writer.WriteString("optimizer", optimizer);
        writer.WriteNumber("context", settings.Context);
        writer.WriteNumber("batch", settings.Batch);
        writer.WriteNumber("threads", threads);
        writer.WriteNumber("memoryBytes", memory);
        writer.WriteNumber("tokensPerSecond", figure.TokensPerSecond);
        writer.WriteNumber("tokensPerCpuSecond", figure.TokensPerCpuSecond);
        writer.WriteNumber("floatOpsPerSecond", ceiling);
        writer.WriteNumber("shareOfFloatPeak", share);
        MachineReport.Write(writer);
        writer.WriteEndObject();
        output.EndLine();
    }
}
