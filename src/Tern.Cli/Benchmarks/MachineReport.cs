using System.Reflection;
using System.Runtime.InteropServices;
using System.Text.Json;
using Tern.Machine;
using Tern.Models;

namespace Tern.Cli.Benchmarks;

/// <summary>What a figure was measured on and with: a speed without that says nothing.</summary>
internal static class MachineReport
{
    public static string Version { get; } =
        typeof(MachineReport).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion ?? "unknown";

    /// <summary>One line for people.</summary>
    public static string Line =>
        $"{CpuIdentity.Name} ({CpuIdentity.Signature}; {string.Join(", ", Cpu.Names)}); {RuntimeInformation.OSDescription}; {RuntimeInformation.FrameworkDescription}; tern {Version}";

    /// <summary>The rows that run the model's matrices, by tensor type, the heaviest type first.</summary>
    public static IReadOnlyList<(string Type, string Rows)> Kernels(Model model) =>
    [
        .. model.Weights.Linears
            .GroupBy(l => l.Tensor.Type.Name)
            .OrderByDescending(g => g.Sum(l => l.Matrix.ByteCount))
            .Select(g => (g.Key, string.Join(", ", g.Select(l => l.Matrix.Kernel.Name).Distinct().Order(StringComparer.Ordinal)))),
    ];

    /// <summary>How the rows came to be chosen.</summary>
    public static string Tuning(Model model) => model.Weights.Tuning switch
    {
        TuningSource.Measured => "a measurement at this load",
        TuningSource.Remembered => "a measurement at an earlier load",
        _ => "the order of the table",
    };

    /// <summary>"machine": {…}</summary>
    public static void Write(Utf8JsonWriter writer)
    {
        writer.WriteStartObject("machine");
        writer.WriteString("processor", CpuIdentity.Name);
        writer.WriteString("signature", CpuIdentity.Signature);
        writer.WriteStartArray("instructionSets");
        foreach (string name in Cpu.Names)
            writer.WriteStringValue(name);
        writer.WriteEndArray();
        writer.WriteString("system", RuntimeInformation.OSDescription);
        writer.WriteString("runtime", RuntimeInformation.FrameworkDescription);
        writer.WriteString("tern", Version);
        writer.WriteEndObject();
    }

    /// <summary>"kernels": {"I2_S": "ternary-avx512", …}, "tuning": "…"</summary>
    public static void WriteKernels(Utf8JsonWriter writer, IReadOnlyList<(string Type, string Rows)> kernels, string tuning)
    {
        writer.WriteStartObject("kernels");
        foreach ((string type, string rows) in kernels)
            writer.WriteString(type, rows);
        writer.WriteEndObject();
        writer.WriteString("tuning", tuning);
    }
}
