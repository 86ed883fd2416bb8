using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using Tern.Cli.Input;
using Tern.Cli.Options;
using Tern.Cli.Terminal;
using Tern.Kernels;
using Tern.Machine;
using Tern.Measure;
using Tern.Models;

namespace Tern.Cli.Verbs;

/// <summary>
/// <c>tern bench</c>: tokens per second of prompt and generation, and what part of the machine's ceilings that is. The last line of output is
/// always JSON, the lines above it are for people.
/// </summary>
internal static class BenchVerb
{
    private const int TokensMax = 1 << 20;

    public static Command Create(Interrupt interrupt)
    {
        Argument<string?> model = ModelArgument.Create();
        Option<int[]> prompt = OptionOf.Integers("--n-prompt", 0, TokensMax, [512], "Tokens of the prompt test; 0 leaves it out.", "-p");
        Option<int[]> generation = OptionOf.Integers("--n-gen", 0, TokensMax, [128], "Tokens of the generation test; 0 leaves it out.", "-n");
        Option<int[]> depth = OptionOf.Integers("--n-depth", 0, TokensMax, [0], "Tokens of context before the test.", "-d");
        Option<int[]> threads = ThreadsOption();
        Option<int> repetitions = OptionOf.Integer("--repetitions", 1, 1000, 3, "Measured runs of each test, after one that is not.", "-r");
        Option<string> kv = KvOption.Create("f16");
        Option<bool> json = OptionOf.Flag("--json", "Write the JSON line alone.");
        var command = new Command("bench", "Measure tokens per second, or with 'kernels' every kernel row.")
        {
            model, prompt, generation, depth, threads, repetitions, kv, json,
        };
        ModelOptionsBinding options = ModelOptionsBinding.AddTo(command, withThreads: false);
        command.Add(KernelsVerb.Create(interrupt));
        command.SetAction(result =>
        {
            string path = ModelArgument.Resolve(result.GetValue(model));
            var plan = new Plan(
                result.GetValue(prompt)!, result.GetValue(generation)!, result.GetValue(depth)!, result.GetValue(repetitions), KvOption.Read(result.GetValue(kv)));
            if (plan.Tests == 0)
                throw new UsageException("nothing to measure: --n-prompt and --n-gen are both 0");

            int[] threadCounts = result.GetValue(threads)!;
            var rows = new List<Row>();
            foreach (int count in threadCounts)
            {
                using Model loaded = LoadedModel.Load(path, options.Options(result) with { Threads = count }, interrupt.Token);
                rows.AddRange(Work.Measure($"{Path.GetFileName(path)}, {count} threads", progress => Measure(loaded, plan, progress, interrupt.Token)));
            }

            Write(rows, result.GetValue(json), threadCounts.Length > 1);
            return ExitCode.Success;
        });
        return command;
    }

    private static Option<int[]> ThreadsOption() =>
        OptionOf.Integers("--threads", 1, 1024, [Cpu.ComputeThreads], "Worker threads.", "-t");

    private static List<Row> Measure(Model model, Plan plan, Action<double> progress, CancellationToken cancellation)
    {
        int done = 0;
        void Step() => progress((double)Interlocked.Increment(ref done) / ((plan.Repetitions + 1) * plan.Tests));

        MachineCeilings before = MachineCeilings.Measure(model.Pool.Threads, cancellation);
        using var benchmark = new ModelBenchmark(model, plan.PositionsMax, plan.Kv);
        var figures = new List<(string Kind, int Count, int Depth, Speed Speed)>();
        foreach (int depth in plan.Depths)
        {
            foreach (int count in plan.Prompts.Where(c => c > 0))
                figures.Add(("pp", count, depth, benchmark.Prompt(count, depth, plan.Repetitions, Step, cancellation)));
            foreach (int count in plan.Generations.Where(c => c > 0))
                figures.Add(("tg", count, depth, benchmark.Generation(count, depth, plan.Repetitions, Step, cancellation)));
        }

        MachineCeilings ceilings = before.OrHigher(MachineCeilings.Measure(model.Pool.Threads, cancellation));
        var cost = TokenCost.Of(model);
        return [.. figures.Select(f => new Row(f.Kind, f.Count, f.Depth, f.Speed, cost, ceilings))];
    }

    private static void Write(List<Row> rows, bool jsonOnly, bool severalThreadCounts)
    {
        if (!jsonOnly)
        {
            var grid = new Grid("test", "threads", "tok/s", "min", "max", "of ceiling") { NumbersFrom = 1 };
            foreach (Row row in rows)
                grid.Add(row.Name(false), $"{row.Ceilings.Threads}", Figure(row.Speed.Median), Figure(row.Speed.Minimum), Figure(row.Speed.Maximum), row.Share.ToString("0 %", CultureInfo.InvariantCulture));
            grid.Write();
            MachineCeilings ceilings = rows[^1].Ceilings;
            Console.Out.WriteLine(string.Create(CultureInfo.InvariantCulture, $"ceilings: {ceilings.ReadBytesPerSecond / 1e9:0.0} GB/s read, {ceilings.IntegerOperationsPerSecond / 1e9:0} GOP/s 8-bit integer ({ceilings.IntegerInstruction})"));
        }

        using var output = new JsonOutput();
        Utf8JsonWriter writer = output.Writer;
        writer.WriteStartObject();
        foreach (Row row in rows)
        {
            writer.WriteStartObject(row.Name(severalThreadCounts));
            writer.WriteNumber("median", row.Speed.Median);
            writer.WriteNumber("min", row.Speed.Minimum);
            writer.WriteNumber("max", row.Speed.Maximum);
            writer.WriteEndObject();
        }

        WriteCeiling(writer, rows);
        writer.WriteEndObject();
        output.EndLine();
    }

    /// <summary>Of the last thread count: the shares are those of its first test of either kind.</summary>
    private static void WriteCeiling(Utf8JsonWriter writer, List<Row> rows)
    {
        Row last = rows[^1];
        writer.WriteStartObject("ceiling");
        writer.WriteNumber("threads", last.Ceilings.Threads);
        writer.WriteNumber("readBytesPerSecond", last.Ceilings.ReadBytesPerSecond);
        writer.WriteNumber("integerOpsPerSecond", last.Ceilings.IntegerOperationsPerSecond);
        writer.WriteString("integerInstruction", last.Ceilings.IntegerInstruction);
        writer.WriteNumber("bytesPerToken", last.Cost.Bytes);
        writer.WriteNumber("integerOpsPerToken", last.Cost.Operations);
        IEnumerable<Row> same = rows.Where(r => r.Ceilings == last.Ceilings);
        if (same.FirstOrDefault(r => r.Kind == "tg") is { } generation)
            writer.WriteNumber("shareOfBandwidth", generation.Share);
        if (same.FirstOrDefault(r => r.Kind == "pp") is { } prompt)
            writer.WriteNumber("shareOfIntegerPeak", prompt.Share);
        writer.WriteEndObject();
    }

    private static string Figure(double value) => value.ToString("0.00", CultureInfo.InvariantCulture);

    private sealed record Plan(int[] Prompts, int[] Generations, int[] Depths, int Repetitions, KvType Kv)
    {
        public int Tests => Depths.Length * (Prompts.Count(c => c > 0) + Generations.Count(c => c > 0));

        public int PositionsMax => Depths.Max() + Math.Max(Prompts.Max(), Generations.Max());
    }

    /// <summary>What one token costs at least.</summary>
    /// <param name="Bytes">Bytes of weights that a token of an answer reads.</param>
    /// <param name="Operations">Multiplications and additions of a prompt's token; the output matrix runs once per prompt.</param>
    private sealed record TokenCost(long Bytes, double Operations)
    {
        public static TokenCost Of(Model model) => new(
            model.Weights.Linears.Sum(l => l.Matrix.ByteCount),
            model.Weights.Layers.SelectMany(l => l.Linears).Sum(l => 2.0 * l.Matrix.Rows * l.Matrix.Columns));
    }

    /// <summary>One test with what it is measured against: a prompt against the vector units, generation against memory.</summary>
    private sealed record Row(string Kind, int Count, int Depth, Speed Speed, TokenCost Cost, MachineCeilings Ceilings)
    {
        public double Share => Kind == "tg"
            ? Speed.Median * Cost.Bytes / Ceilings.ReadBytesPerSecond
            : Speed.Median * Cost.Operations / Ceilings.IntegerOperationsPerSecond;

        public string Name(bool withThreads) =>
            $"{Kind}{Count}{(Depth > 0 ? $"@d{Depth}" : "")}{(withThreads ? $"@t{Ceilings.Threads}" : "")}";
    }
}
