using System.Globalization;
using System.Text.Json;
using Tern.Cli.Terminal;
using Tern.Machine;
using Tern.Measure;
using Tern.Models;

namespace Tern.Cli.Benchmarks;

/// <summary>Figures of one number of threads, with the ceilings of the same run and the kernel rows in use.</summary>
internal sealed record BenchRun(MachineCeilings Ceilings, IReadOnlyList<BenchRow> Rows, IReadOnlyList<(string Type, string Rows)> Kernels, HeadCounts Head, string Tuning, string Energy);

/// <summary>One test with its cost and what it is measured against.</summary>
internal sealed record BenchRow(BenchmarkFigure Figure, TokenCost Cost, MachineCeilings Ceilings, double? RatioToOne)
{
    public BenchmarkTest Test => Figure.Test;

    public double ShareOfBandwidth => Figure.Speed.Median * Cost.Bytes / Ceilings.ReadBytesPerSecond;

    public double ShareOfIntegerPeak => Figure.Speed.Median * Cost.Operations / Ceilings.IntegerOperationsPerSecond;

    public string Name(bool withThreads) => Test.Name + (withThreads ? $"@t{Ceilings.Threads}" : "");
}

/// <summary><c>tern bench</c> for people and for programs: a table, and a last line of JSON.</summary>
internal static class BenchReport
{
    /// <summary>Runs the plan on a loaded model.</summary>
    public static BenchRun Measure(Model model, BenchPlan plan, Action<double> progress, CancellationToken cancellation)
    {
        double done = 0, total = ModelBenchmark.Work(plan.Tests, plan.Repetitions);
        EnergyMeter? energy = EnergyMeter.Open(out string reason);
        MachineCeilings before = MachineCeilings.Measure(model.Pool.Threads, cancellation);
        var figures = new List<BenchmarkFigure>();
        HeadCounts head;
        using (var benchmark = new ModelBenchmark(model, plan.Tests, plan.Kv, energy))
        {
            foreach (BenchmarkTest test in plan.Tests)
                figures.Add(benchmark.Run(test, plan.Repetitions, work => progress(Math.Min(1, (done += work) / total)), cancellation));
            head = benchmark.HeadCounts;
        }

        MachineCeilings ceilings = before.OrHigher(MachineCeilings.Measure(model.Pool.Threads, cancellation));
        return new BenchRun(
            ceilings,
            [.. figures.Select(f => new BenchRow(f, TokenCost.Of(model, plan.Kv, f.Test), ceilings, RatioToOne(f, figures)))],
            MachineReport.Kernels(model),
            head,
            MachineReport.Tuning(model),
            energy is null ? $"not measurable here: {reason}" : "RAPL, processor packages and memory");
    }

    public static void Write(IReadOnlyList<BenchRun> runs, bool jsonOnly)
    {
        if (!jsonOnly)
            WriteTable(runs);
        WriteJson(runs);
    }

    private static double? RatioToOne(BenchmarkFigure figure, List<BenchmarkFigure> all) =>
        figure.Test.Sequences > 1 && all.Find(f => f.Test == figure.Test with { Sequences = 1 }) is { } one ? figure.Speed.Median / one.Speed.Median : null;

    private static void WriteTable(IReadOnlyList<BenchRun> runs)
    {
        var grid = new Grid("test", "threads", "tok/s", "min", "max", "x one", "MB/token", "of read", "of integer", "J/token") { NumbersFrom = 1 };
        foreach (BenchRow row in runs.SelectMany(r => r.Rows))
        {
            grid.Add(
                row.Test.Name,
                $"{row.Ceilings.Threads}",
                Number(row.Figure.Speed.Median),
                Number(row.Figure.Speed.Minimum),
                Number(row.Figure.Speed.Maximum),
                row.RatioToOne is { } ratio ? Number(ratio) : "–",
                Number(row.Cost.Bytes / 1e6),
                Share(row.ShareOfBandwidth),
                Share(row.ShareOfIntegerPeak),
                row.Figure.JoulesPerToken is { } joules ? joules.ToString("0.000", CultureInfo.InvariantCulture) : "–");
        }

        grid.Write();
        foreach (BenchRun run in runs)
            Console.Out.WriteLine(Ceilings(run.Ceilings));
        BenchRun last = runs[^1];
        Console.Out.WriteLine($"kernel rows: {string.Join("; ", last.Kernels.Select(k => $"{k.Type} {k.Rows}"))} ({last.Tuning})");
        if (last.Head.Tokens > 0)
            Console.Out.WriteLine(Head(last.Head));
        Console.Out.WriteLine($"energy: {last.Energy}");
        Console.Out.WriteLine(MachineReport.Line);
    }

    private static string Head(HeadCounts head) => string.Create(
        CultureInfo.InvariantCulture,
        $"head: screened {head.Tokens} times, {head.Widened} widened; rows per token {(double)head.Tightened / head.Tokens:0.0} in the low plane, {(double)head.Exact / head.Tokens:0.0} in full");

    private static string Ceilings(MachineCeilings c) => string.Create(
        CultureInfo.InvariantCulture,
        $"ceilings with {c.Threads} threads: {c.ReadBytesPerSecond / 1e9:0.0} GB/s read (median {c.ReadMedianBytesPerSecond / 1e9:0.0}, {c.ReadStreams} streams each), {c.IntegerOperationsPerSecond / 1e9:0} GOP/s 8-bit integer ({c.IntegerInstruction})");

    private static void WriteJson(IReadOnlyList<BenchRun> runs)
    {
        using var output = new JsonOutput();
        Utf8JsonWriter writer = output.Writer;
        writer.WriteStartObject();
        foreach (BenchRow row in runs.SelectMany(r => r.Rows))
            WriteRow(writer, row, runs.Count > 1);
        WriteCeiling(writer, runs[^1]);
        MachineReport.WriteKernels(writer, runs[^1].Kernels, runs[^1].Tuning);
        WriteHead(writer, runs[^1].Head);
        writer.WriteString("energy", runs[^1].Energy);
        MachineReport.Write(writer);
        writer.WriteEndObject();
        output.EndLine();
    }

    /// <summary>Rows of the output matrix that the last run read, by plane; zeros where the head was computed in full.</summary>
    private static void WriteHead(Utf8JsonWriter writer, HeadCounts head)
    {
        writer.WriteStartObject("head");
        writer.WriteNumber("screenedTokens", head.Tokens);
        writer.WriteNumber("widenedTokens", head.Widened);
        writer.WriteNumber("highPlaneRows", head.Screened);
        writer.WriteNumber("lowPlaneRows", head.Tightened);
        writer.WriteNumber("originalRows", head.Exact);
        writer.WriteEndObject();
    }

    private static void WriteRow(Utf8JsonWriter writer, BenchRow row, bool withThreads)
    {
        writer.WriteStartObject(row.Name(withThreads));
        writer.WriteNumber("median", row.Figure.Speed.Median);
        writer.WriteNumber("min", row.Figure.Speed.Minimum);
        writer.WriteNumber("max", row.Figure.Speed.Maximum);
        writer.WriteNumber("threads", row.Ceilings.Threads);
        writer.WriteNumber("depth", row.Test.Depth);
        writer.WriteNumber("sequences", row.Test.Sequences);
        if (row.RatioToOne is { } ratio)
            writer.WriteNumber("ratioToOne", ratio);
        writer.WriteNumber("bytesPerToken", row.Cost.Bytes);
        writer.WriteNumber("shareOfBandwidth", row.ShareOfBandwidth);
        writer.WriteNumber("shareOfIntegerPeak", row.ShareOfIntegerPeak);
        if (row.Figure.JoulesPerToken is { } joules)
            writer.WriteNumber("joulesPerToken", joules);
        else
            writer.WriteNull("joulesPerToken");
        writer.WriteEndObject();
    }

    /// <summary>Of the last number of threads: cost and shares are those of its first test of either kind.</summary>
    private static void WriteCeiling(Utf8JsonWriter writer, BenchRun run)
    {
        BenchRow? generation = run.Rows.FirstOrDefault(r => !r.Test.IsPrompt), prompt = run.Rows.FirstOrDefault(r => r.Test.IsPrompt);
        writer.WriteStartObject("ceiling");
        writer.WriteNumber("threads", run.Ceilings.Threads);
        writer.WriteNumber("readBytesPerSecond", run.Ceilings.ReadBytesPerSecond);
        writer.WriteNumber("readMedianBytesPerSecond", run.Ceilings.ReadMedianBytesPerSecond);
        writer.WriteNumber("readStreams", run.Ceilings.ReadStreams);
        writer.WriteNumber("integerOpsPerSecond", run.Ceilings.IntegerOperationsPerSecond);
        writer.WriteString("integerInstruction", run.Ceilings.IntegerInstruction);
        writer.WriteNumber("bytesPerToken", (long)(generation ?? prompt!).Cost.Bytes);
        writer.WriteNumber("integerOpsPerToken", (prompt ?? generation!).Cost.Operations);
        if (generation is not null)
            writer.WriteNumber("shareOfBandwidth", generation.ShareOfBandwidth);
        if (prompt is not null)
            writer.WriteNumber("shareOfIntegerPeak", prompt.ShareOfIntegerPeak);
        writer.WriteEndObject();
    }

    private static string Number(double value) => value.ToString("0.00", CultureInfo.InvariantCulture);

    private static string Share(double value) => value.ToString("0 %", CultureInfo.InvariantCulture);
}
