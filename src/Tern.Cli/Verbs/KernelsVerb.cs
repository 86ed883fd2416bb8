using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using Tern.Cli.Options;
using Tern.Cli.Terminal;
using Tern.Machine;
using Tern.Measure;

namespace Tern.Cli.Verbs;

/// <summary><c>tern bench kernels</c>: every kernel row that this processor can run, against the machine's ceilings.</summary>
internal static class KernelsVerb
{
    public static Command Create(Interrupt interrupt)
    {
        Option<int> threads = OptionOf.Integer("--threads", 1, 1024, Cpu.ComputeThreads, "Worker threads.", "-t");
        Option<bool> json = OptionOf.Flag("--json", "Write the JSON line alone.");
        var command = new Command("kernels", "Measure every kernel row that this processor can run.") { threads, json };
        command.SetAction(result =>
        {
            int count = result.GetValue(threads);
            MachineCeilings before = Work.Wait("measuring the machine", () => MachineCeilings.Measure(count, interrupt.Token));
            List<KernelFigure> figures = Work.Wait("measuring the kernels", () => KernelBenchmark.Run(count, interrupt.Token).ToList());
            MachineCeilings ceilings = before.OrHigher(Work.Wait("measuring the machine again", () => MachineCeilings.Measure(count, interrupt.Token)));
            if (!result.GetValue(json))
                WriteTable(figures, ceilings);
            WriteJson(figures, ceilings);
            return ExitCode.Success;
        });
        return command;
    }

    private static void WriteTable(List<KernelFigure> figures, MachineCeilings ceilings)
    {
        var grid = new Grid("row", "type", "GB/s", "of read", "GOP/s", "of integer") { NumbersFrom = 2 };
        foreach (KernelFigure figure in figures)
        {
            grid.Add(
                figure.Row,
                figure.Type,
                Figure(figure.ReadBytesPerSecond / 1e9),
                Share(figure.ReadBytesPerSecond / ceilings.ReadBytesPerSecond),
                Figure(figure.OperationsPerSecond / 1e9),
                Share(figure.OperationsPerSecond / ceilings.IntegerOperationsPerSecond));
        }

        grid.Write();
        Console.Out.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"{ceilings.Threads} threads; ceilings: {ceilings.ReadBytesPerSecond / 1e9:0.0} GB/s read, {ceilings.IntegerOperationsPerSecond / 1e9:0} GOP/s 8-bit integer ({ceilings.IntegerInstruction})"));
    }

    private static void WriteJson(List<KernelFigure> figures, MachineCeilings ceilings)
    {
        using var output = new JsonOutput();
        Utf8JsonWriter writer = output.Writer;
        writer.WriteStartObject();
        writer.WriteStartObject("kernels");
        foreach (KernelFigure figure in figures)
        {
            writer.WriteStartObject(figure.Row);
            writer.WriteString("type", figure.Type);
            writer.WriteNumber("readBytesPerSecond", figure.ReadBytesPerSecond);
            writer.WriteNumber("opsPerSecond", figure.OperationsPerSecond);
            writer.WriteNumber("shareOfBandwidth", figure.ReadBytesPerSecond / ceilings.ReadBytesPerSecond);
            writer.WriteNumber("shareOfIntegerPeak", figure.OperationsPerSecond / ceilings.IntegerOperationsPerSecond);
            writer.WriteEndObject();
        }

        writer.WriteEndObject();
        writer.WriteStartObject("ceiling");
        writer.WriteNumber("threads", ceilings.Threads);
        writer.WriteNumber("readBytesPerSecond", ceilings.ReadBytesPerSecond);
        writer.WriteNumber("integerOpsPerSecond", ceilings.IntegerOperationsPerSecond);
        writer.WriteString("integerInstruction", ceilings.IntegerInstruction);
        writer.WriteEndObject();
        writer.WriteEndObject();
        output.EndLine();
    }

    private static string Figure(double value) => value.ToString("0.00", CultureInfo.InvariantCulture);

    private static string Share(double value) => value.ToString("0 %", CultureInfo.InvariantCulture);
}
