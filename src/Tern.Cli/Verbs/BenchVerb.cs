using System.CommandLine;
using Tern.Cli.Benchmarks;
using Tern.Cli.Input;
using Tern.Cli.Options;
using Tern.Cli.Terminal;
using Tern.Machine;
using Tern.Measure;
using Tern.Models;

namespace Tern.Cli.Verbs;

/// <summary>
/// <c>tern bench</c>: tokens per second of prompt and generation, and what part of the machine's ceilings that is; with --peer, next to another
/// engine. The last line of output is always JSON, the lines above it are for people.
/// </summary>
internal static class BenchVerb
{
    private const int TokensMax = 1 << 20;
    private const int SequencesMax = 256;

    public static Command Create(Interrupt interrupt)
    {
        Argument<string?> model = ModelArgument.Create();
        Option<int[]> prompt = OptionOf.Integers("--n-prompt", 0, TokensMax, [512], "Tokens of the prompt test; 0 leaves it out.", "-p");
        Option<int[]> generation = OptionOf.Integers("--n-gen", 0, TokensMax, [128], "Tokens of the generation test; 0 leaves it out.", "-n");
        Option<int[]> depth = OptionOf.Integers("--n-depth", 0, TokensMax, [0], "Tokens of context before the test.", "-d");
        Option<int[]> parallel = OptionOf.Integers("--parallel", 1, SequencesMax, [1], "Sequences that generate together, a token of each in one step.");
        Option<int[]> threads = OptionOf.Integers("--threads", 1, 1024, [Cpu.ComputeThreads], "Worker threads.", "-t");
        Option<int> repetitions = OptionOf.Integer("--repetitions", 1, 1000, 3, "Measured runs of each test, after one that is not; with --peer, in each round.", "-r");
        Option<string> kv = KvOption.Create("f16");
        Option<bool> json = OptionOf.Flag("--json", "Write the JSON line alone.");
        PeerOptions peer = new();
        var command = new Command("bench", "Measure tokens per second; with 'kernels' every kernel row, with 'train' training.")
        {
            model, prompt, generation, depth, parallel, threads, repetitions, kv, json, peer.Program, peer.Model, peer.Rounds, peer.Timeout,
        };
        ModelOptionsBinding options = ModelOptionsBinding.AddTo(command, withThreads: false);
        command.Add(KernelsVerb.Create(interrupt));
        command.Add(TrainBenchVerb.Create(interrupt));
        command.SetAction(result =>
        {
            string path = ModelArgument.Resolve(result.GetValue(model));
            BenchPlan plan = BenchPlan.Of(
                result.GetValue(prompt)!,
                result.GetValue(generation)!,
                result.GetValue(depth)!,
                result.GetValue(parallel)!,
                result.GetValue(repetitions),
                KvOption.Read(result.GetValue(kv)));
            ModelOptions modelOptions = options.Options(result);
            int[] threadCounts = result.GetValue(threads)!;
            if (peer.Open(result, interrupt.Token) is { } opened)
                Compare(path, plan, opened, peer, result, modelOptions, threadCounts, result.GetValue(json), interrupt.Token);
            else
                BenchReport.Write(MeasureAll(path, plan, modelOptions, threadCounts, interrupt.Token), result.GetValue(json));
            return ExitCode.Success;
        });
        return command;
    }

    private static List<BenchRun> MeasureAll(string path, BenchPlan plan, ModelOptions options, int[] threadCounts, CancellationToken cancellation)
    {
        var runs = new List<BenchRun>();
        foreach (int count in threadCounts)
        {
            using Model model = LoadedModel.Load(path, options with { Threads = count }, cancellation);
            runs.Add(Work.Measure($"{Path.GetFileName(path)}, {count} threads", progress => BenchReport.Measure(model, plan, progress, cancellation)));
        }

        return runs;
    }

    private static void Compare(
        string path, BenchPlan plan, PeerBenchmark peer, PeerOptions options, ParseResult result, ModelOptions modelOptions, int[] threadCounts, bool jsonOnly, CancellationToken cancellation)
    {
        string program = result.GetValue(options.Program)!;
        var rows = new List<PeerRow>();
        string kernels = "";
        foreach (int count in threadCounts)
        {
            using Model model = LoadedModel.Load(path, modelOptions with { Threads = count }, cancellation);
            kernels = $"kernel rows {string.Join("; ", MachineReport.Kernels(model).Select(k => $"{k.Type} {k.Rows}"))}";
            rows.AddRange(Work.Measure(
                $"{Path.GetFileName(path)} beside {Path.GetFileName(program)}, {count} threads",
                progress => PeerReport.Measure(model, plan, peer, program, result.GetValue(options.Rounds), progress, cancellation)));
        }

        PeerReport.Write(rows, peer, $"tern {string.Join(' ', result.Tokens.Select(t => t.Value))}", kernels, jsonOnly);
    }

    /// <summary>The options of a comparison: none, or both files.</summary>
    private sealed class PeerOptions
    {
        public Option<string?> Program { get; } = OptionOf.Text("--peer", "FILE", "Another engine's llama-bench, to be run in turn with Tern; the result is a table of both and their ratio.");

        public Option<string?> Model { get; } = OptionOf.Text("--peer-model", "FILE", "The model for the peer, in a form that it reads.");

        public Option<int> Rounds { get; } = OptionOf.Integer("--rounds", 1, 1000, 5, "Times that both engines take turns.");

        public Option<int> Timeout { get; } = OptionOf.Integer("--peer-timeout", 1, 1_000_000, 1800, "Seconds that one run of the peer may take.");

        public PeerBenchmark? Open(ParseResult result, CancellationToken cancellation) => (result.GetValue(Program), result.GetValue(Model)) switch
        {
            (null, null) => null,
            ({ } program, { } model) => PeerBenchmark.Open(program, model, TimeSpan.FromSeconds(result.GetValue(Timeout)), cancellation),
            _ => throw new UsageException("--peer and --peer-model belong together: the program, and a model file that it reads"),
        };
    }
}
