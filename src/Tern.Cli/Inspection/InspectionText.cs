using System.Globalization;
using Tern.Cli.Terminal;
using Tern.Files;
using Tern.Machine;
using Tern.Models;
using Tern.Numerics;

namespace Tern.Cli.Inspection;

/// <summary>A report for people: tables at a terminal, the same fields as aligned text in a pipe.</summary>
internal static class InspectionText
{
    private const double MiB = 1 << 20;

    public static void Write(FileReport report, bool withTensors)
    {
        WriteSummary(report);
        Console.Out.WriteLine();
        WriteTypes(report);
        Console.Out.WriteLine();
        WriteMetadata(report.File.Metadata);
        if (withTensors)
        {
            Console.Out.WriteLine();
            WriteTensors(report.File);
        }

        Messages.Warnings(report.Warnings);
    }

    private static void WriteSummary(FileReport report)
    {
        Metadata metadata = report.File.Metadata;
        var grid = new Grid("", "") { ShowHeader = false };
        grid.Add("file", metadata.Path);
        if (Word(metadata, "general.name") is { } name)
            grid.Add("name", name);
        grid.Add("architecture", Word(metadata, "general.architecture") ?? "not named");
        grid.Add("parameters", $"{report.Parameters.ToString("#,0", CultureInfo.InvariantCulture)} in {report.File.Tensors.Count} tensors, {Size(report.TensorBytes)}");
        if (report.Spec is { } spec)
            AddSpec(grid, spec);
        grid.Add("tokenizer", TokenizerLine(report));
        grid.Add("chat template", ChatTemplateLine(report));
        if (report.StopTokens.Count > 0)
            grid.Add("stop tokens", string.Join(", ", report.StopTokens.Select(t => $"{t.Id} {t.Text}")));
        if (report.KvBytesPerThousandTokens > 0)
            grid.Add("memory", $"{Size(report.TensorBytes)} of weights in the file, {Size(report.KvBytesPerThousandTokens)} of keys and values (f16) per 1024 tokens");
        grid.Add("processor", $"{CpuIdentity.Name}: {string.Join(", ", Cpu.Names)}");
        if (report.Tuning is { } tuning)
            grid.Add("kernel rows", $"chosen by: {tuning}");
        grid.Add("runs", report.IsRunnable ? "yes" : $"no: {report.Reason}");
        grid.Write();
    }

    private static void AddSpec(Grid grid, ModelSpec spec)
    {
        grid.Add("shape", string.Create(CultureInfo.InvariantCulture, $"{spec.Layers} layers, hidden {spec.HiddenSize}, feed-forward {spec.FeedForwardSize}, {spec.Heads} heads ({spec.KvHeads} for keys) of {spec.HeadDim}"));
        grid.Add("vocabulary", spec.VocabularySize.ToString(CultureInfo.InvariantCulture));
        grid.Add("context", $"{spec.ContextLength} tokens");
        grid.Add("output", spec.IsEmbedding ? "an embedding of the text" : "the next token");
    }

    private static void WriteTypes(FileReport report)
    {
        var grid = new Grid("type", "kernel row", "tensors", "parameters", "MiB", "MiB in use") { NumbersFrom = 2 };
        foreach (TypeReport type in report.Types)
        {
            grid.Add(
                type.Type,
                type.Kernels.Count > 0 ? string.Join(", ", type.Kernels) : "–",
                type.Tensors.ToString(CultureInfo.InvariantCulture),
                type.Parameters.ToString("#,0", CultureInfo.InvariantCulture),
                (type.Bytes / MiB).ToString("0.00", CultureInfo.InvariantCulture),
                type.WorkingBytes > 0 ? (type.WorkingBytes / MiB).ToString("0.00", CultureInfo.InvariantCulture) : "–");
        }

        grid.Write();
    }

    private static void WriteMetadata(Metadata metadata)
    {
        var grid = new Grid("key", "type", "value");
        foreach (MetadataEntry entry in metadata.Entries)
            grid.Add(entry.Key, entry.Type == MetadataType.Array ? $"[{entry.ElementType}]" : $"{entry.Type}", MetadataText.Of(entry));
        grid.Write();
    }

    private static void WriteTensors(ModelSource file)
    {
        var grid = new Grid("tensor", "type", "shape", "offset", "bytes") { NumbersFrom = 3 };
        foreach (Tensor tensor in file.Tensors.Values.OrderBy(t => t.Path, StringComparer.Ordinal).ThenBy(t => t.FileOffset))
            grid.Add(tensor.Name, tensor.Type.Name, string.Join(" x ", tensor.Shape), $"{tensor.FileOffset}", $"{tensor.ByteCount}");
        grid.Write();
    }

    private static string TokenizerLine(FileReport report)
    {
        Metadata metadata = report.File.Metadata;
        if (report.VocabularySize == 0)
            return "none that can be used";
        string kind = Word(metadata, "tokenizer.ggml.model") ?? "";
        string pre = kind != "gpt2" ? "" : Word(metadata, "tokenizer.ggml.pre") is { } named ? $", pre-tokenizer {named}" : ", pre-tokenizer assumed (the file names none)";
        return $"{kind}{pre}, {report.VocabularySize} tokens";
    }

    private static string ChatTemplateLine(FileReport report) => report.ChatTemplate switch
    {
        null => "none: text is continued, not answered",
        { } used when used == Word(report.File.Metadata, "tokenizer.chat_template") => $"from the file, {used.Length} characters",
        { } used => $"Tern's own instead of the file's, {used.Length} characters",
    };

    /// <summary>A string, or null when the key is absent or something else: an inspection shows files that are wrong, too.</summary>
    private static string? Word(Metadata metadata, string key) => metadata.Find(key)?.Value as string;

    private static string Size(long bytes) => (bytes / MiB).ToString("0.0 MiB", CultureInfo.InvariantCulture);
}
