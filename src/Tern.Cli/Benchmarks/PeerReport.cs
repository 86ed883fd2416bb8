using System.Globalization;
using System.Text.Json;
using Tern.Cli.Terminal;
using Tern.Measure;
using Tern.Models;

namespace Tern.Cli.Benchmarks;

/// <summary>One test of both engines: tokens per second of each round, or none of the peer's where it has no such test.</summary>
internal sealed record PeerRow(BenchmarkTest Test, int Threads, IReadOnlyList<double> Tern, IReadOnlyList<double>? Peer, string PeerCommand)
{
    public double TernMedian => Speed.Of(Tern).Median;

    public double? PeerMedian => Peer is null ? null : Speed.Of(Peer).Median;

    public double? Ratio => TernMedian / PeerMedian;
}

/// <summary><c>tern bench --peer</c>: the same tests in turn, A B A B, because a shared machine drifts; a table in Markdown, and a last line of JSON.</summary>
internal static class PeerReport
{
    /// <summary>Runs every test of the plan in every round, each engine in turn.</summary>
    public static List<PeerRow> Measure(Model model, BenchPlan plan, PeerBenchmark peer, string peerProgram, int rounds, Action<double> progress, CancellationToken cancellation)
    {
        int threads = model.Pool.Threads, done = 0;
        var tern = plan.Tests.Select(_ => new List<double>()).ToArray();
        var other = plan.Tests.Select(_ => new List<double>()).ToArray();
        using var benchmark = new ModelBenchmark(model, plan.Tests, plan.Kv, energy: null);
        for (int round = 0; round < rounds; round++)
        {
            for (int i = 0; i < plan.Tests.Count; i++)
            {
                tern[i].Add(benchmark.Run(plan.Tests[i], plan.Repetitions, _ => { }, cancellation).Speed.Median);
                if (peer.Arguments(plan.Tests[i], threads, plan.Repetitions) is { } arguments)
                    other[i].Add(peer.Measure(arguments, cancellation));
                progress((double)++done / (rounds * plan.Tests.Count));
            }
        }

        return
        [
            .. plan.Tests.Select((test, i) => new PeerRow(
                test,
                threads,
                tern[i],
                other[i].Count > 0 ? other[i] : null,
                peer.Arguments(test, threads, plan.Repetitions) is { } a ? $"{peerProgram} {string.Join(' ', a)}" : "has no such test")),
        ];
    }

    public static void Write(IReadOnlyList<PeerRow> rows, PeerBenchmark peer, string command, string kernels, bool jsonOnly)
    {
        string date = DateTime.UtcNow.ToString("yyyy-MM-dd HH:mm 'UTC'", CultureInfo.InvariantCulture);
        if (!jsonOnly)
        {
            WriteMarkdown(rows);
            Console.Out.WriteLine();
            Console.Out.WriteLine($"- {date}; {MachineReport.Line}; {kernels}");
            Console.Out.WriteLine($"- peer: {(peer.Version.Length > 0 ? peer.Version : "it had no test to run")}");
            Console.Out.WriteLine($"- `{command}`");
            foreach (PeerRow row in rows)
                Console.Out.WriteLine($"- peer, {row.Test.Name}: `{row.PeerCommand}`");
        }

        WriteJson(rows, peer, date);
    }

    private static void WriteMarkdown(IReadOnlyList<PeerRow> rows)
    {
        Console.Out.WriteLine("| test | threads | round | tern tok/s | peer tok/s | tern / peer |");
        Console.Out.WriteLine("|---|---|---|---|---|---|");
        foreach (PeerRow row in rows)
        {
            for (int round = 0; round < row.Tern.Count; round++)
                Line(row, $"{round + 1}", row.Tern[round], row.Peer?[round], "");
            Line(row, "median", row.TernMedian, row.PeerMedian, "**");
        }

        static void Line(PeerRow row, string round, double tern, double? peer, string mark) =>
            Console.Out.WriteLine($"| {row.Test.Name} | {row.Threads} | {round} | {Number(tern)} | {Number(peer)} | {mark}{Number(tern / peer)}{mark} |");
    }

    private static void WriteJson(IReadOnlyList<PeerRow> rows, PeerBenchmark peer, string date)
    {
        using var output = new JsonOutput();
        Utf8JsonWriter writer = output.Writer;
        bool severalThreadCounts = rows.Select(r => r.Threads).Distinct().Count() > 1;
        writer.WriteStartObject();
        foreach (PeerRow row in rows)
        {
            writer.WriteStartObject(row.Test.Name + (severalThreadCounts ? $"@t{row.Threads}" : ""));
            writer.WriteNumber("threads", row.Threads);
            Numbers("tern", row.Tern);
            Numbers("peer", row.Peer ?? []);
            writer.WriteNumber("ternMedian", row.TernMedian);
            if (row.PeerMedian is { } median)
                writer.WriteNumber("peerMedian", median);
            if (row.Ratio is { } ratio)
                writer.WriteNumber("ratio", ratio);
            writer.WriteString("peerCommand", row.PeerCommand);
            writer.WriteEndObject();
        }

        writer.WriteString("peerVersion", peer.Version);
        writer.WriteString("date", date);
        MachineReport.Write(writer);
        writer.WriteEndObject();
        output.EndLine();

        void Numbers(string name, IReadOnlyList<double> values)
        {
            writer.WriteStartArray(name);
            foreach (double value in values)
                writer.WriteNumberValue(value);
            writer.WriteEndArray();
        }
    }

    private static string Number(double? value) => value?.ToString("0.00", CultureInfo.InvariantCulture) ?? "–";
}
