using System.Globalization;
using System.Text.Json;
using Tern.Cli.Conversion;
using Tern.Cli.Terminal;
using Tern.Conversion;
using Tern.Files;
using Tern.Machine;
using Tern.Models;

namespace Tern.Cli.Inspection;

/// <summary><c>tern inspect --validate</c>: every byte of a model read, with the share of each code, and the defects that <c>tern fix</c> mends.</summary>
internal static class Validation
{
    /// <summary>Reads the model and writes what was found; the exit code says whether the data are whole.</summary>
    public static int Run(string path, ModelSource source, ModelOptions options, bool json, Interrupt interrupt)
    {
        int threads = options.Threads > 0 ? options.Threads : Cpu.ComputeThreads;
        IReadOnlyList<TensorCheck> checks = Transfer.Measure(
            $"reading {Path.GetFileName(path)}",
            source.TensorsInOrder.Sum(t => t.ByteCount),
            progress => ModelCheck.Run(source, threads, progress, interrupt.Token));
        List<string> broken = [.. checks.Where(c => c.Problem is not null).Select(c => $"tensor {FileError.Quote(c.Tensor.Name)} ({c.Tensor.Type.Name}): {c.Problem}")];
        broken.AddRange(checks.Where(c => c.IsAllZero).Select(c => $"tensor {FileError.Quote(c.Tensor.Name)} ({c.Tensor.Type.Name}): all {c.Weights} weights are 0"));
        List<string> defects = [.. KnownDefects.Of(source, options.PreTokenizer).Select(d => d.What)];
        if (broken.Count == 0 && Arrangement(path, options, interrupt) is { } arrangement)
            defects.Add(arrangement);
        string remedy = $"tern fix {path} OUT.gguf";
        if (json)
            WriteJson(path, checks, broken, defects, remedy);
        else
            WriteText(path, checks, broken, defects, remedy);
        return broken.Count == 0 ? ExitCode.Success : ExitCode.Data;
    }

    private static string? Arrangement(string path, ModelOptions options, Interrupt interrupt) =>
        ArrangementTrial.Run(path, options, interrupt) is { Winner: { } winner } trial && winner != options.I2sLayout
            ? $"I2_S tensors have {ArrangementTrial.Name(winner)} ({trial.Describe()})"
            : null;

    private static void WriteText(string path, IReadOnlyList<TensorCheck> checks, List<string> broken, List<string> defects, string remedy)
    {
        var grid = new Grid("tensor", "type", "-1 %", "0 %", "+1 %") { NumbersFrom = 2 };
        foreach (TensorCheck check in checks)
        {
            bool codes = check.Tensor.Type.IsTernary;
            grid.Add(check.Tensor.Name, check.Tensor.Type.Name, codes ? Share(check.Minus) : "", Share(check.Weights - check.NonZero), codes ? Share(check.Plus) : "");

            string Share(long count) => (100.0 * count / check.Weights).ToString("0.00", CultureInfo.InvariantCulture);
        }

        grid.Write();
        Console.Out.WriteLine();
        foreach (string line in broken)
            Console.Out.WriteLine(Messages.OneLine($"broken: {line}"));
        foreach (string line in defects)
            Console.Out.WriteLine(Messages.OneLine($"defect: {line}; mended by: {remedy}"));
        string verdict = broken.Count > 0 ? "is broken: take the file from another source, or download it again" : defects.Count > 0 ? "is whole, with known defects" : "is whole";
        Console.Out.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{path}: every byte of {checks.Count} tensors was read; it {verdict}"));
    }

    private static void WriteJson(string path, IReadOnlyList<TensorCheck> checks, List<string> broken, List<string> defects, string remedy)
    {
        using var output = new JsonOutput(indented: true);
        Utf8JsonWriter writer = output.Writer;
        writer.WriteStartObject();
        writer.WriteString("file", path);
        writer.WriteBoolean("whole", broken.Count == 0);
        WriteList("broken", broken);
        WriteList("defects", defects);
        writer.WriteString("remedy", defects.Count > 0 ? remedy : null);
        writer.WriteStartArray("tensors");
        foreach (TensorCheck check in checks)
        {
            writer.WriteStartObject();
            writer.WriteString("name", check.Tensor.Name);
            writer.WriteString("type", check.Tensor.Type.Name);
            writer.WriteNumber("weights", check.Weights);
            writer.WriteNumber("zero", check.Weights - check.NonZero);
            if (check.Tensor.Type.IsTernary)
            {
                writer.WriteNumber("minus", check.Minus);
                writer.WriteNumber("plus", check.Plus);
            }

            writer.WriteEndObject();
        }

        writer.WriteEndArray();
        writer.WriteEndObject();
        output.EndLine();

        void WriteList(string name, List<string> lines)
        {
            writer.WriteStartArray(name);
            foreach (string line in lines)
                writer.WriteStringValue(line);
            writer.WriteEndArray();
        }
    }
}
