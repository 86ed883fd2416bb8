using System.Text.Json;
using Tern.Cli.Terminal;
using Tern.Files;
using Tern.Machine;
using Tern.Models;
using Tern.Numerics;

namespace Tern.Cli.Inspection;

/// <summary>A report for programs.</summary>
internal static class InspectionJson
{
    public static void Write(FileReport report, bool withTensors)
    {
        using var output = new JsonOutput(indented: true);
        Utf8JsonWriter writer = output.Writer;
        Metadata metadata = report.File.Metadata;
        writer.WriteStartObject();
        writer.WriteString("file", metadata.Path);
        writer.WriteString("architecture", metadata.Find("general.architecture")?.Value as string);
        writer.WriteNumber("parameters", report.Parameters);
        writer.WriteNumber("tensorCount", report.File.Tensors.Count);
        writer.WriteBoolean("runnable", report.IsRunnable);
        writer.WriteString("reason", report.Reason);
        writer.WriteString("tuning", report.Tuning);
        writer.WriteStartArray("instructionSets");
        foreach (string name in Cpu.Names)
            writer.WriteStringValue(name);
        writer.WriteEndArray();
        if (report.Spec is { } spec)
            WriteSpec(writer, spec);
        WriteTypes(writer, report);
        WriteTokenizer(writer, report);
        writer.WriteStartObject("memory");
        writer.WriteNumber("weightBytes", report.TensorBytes);
        writer.WriteNumber("kvBytesPer1024Tokens", report.KvBytesPerThousandTokens);
        writer.WriteEndObject();
        writer.WriteStartArray("metadata");
        foreach (MetadataEntry entry in metadata.Entries)
            MetadataText.Write(writer, entry);
        writer.WriteEndArray();
        if (withTensors)
            WriteTensors(writer, report.File);
        writer.WriteStartArray("warnings");
        foreach (string warning in report.Warnings)
            writer.WriteStringValue(warning);
        writer.WriteEndArray();
        writer.WriteEndObject();
        output.EndLine();
    }

    private static void WriteSpec(Utf8JsonWriter writer, ModelSpec spec)
    {
        writer.WriteStartObject("model");
        writer.WriteNumber("layers", spec.Layers);
        writer.WriteNumber("hiddenSize", spec.HiddenSize);
        writer.WriteNumber("feedForwardSize", spec.FeedForwardSize);
        writer.WriteNumber("heads", spec.Heads);
        writer.WriteNumber("kvHeads", spec.KvHeads);
        writer.WriteNumber("headDim", spec.HeadDim);
        writer.WriteNumber("vocabularySize", spec.VocabularySize);
        writer.WriteNumber("contextLength", spec.ContextLength);
        writer.WriteBoolean("isEmbedding", spec.IsEmbedding);
        writer.WriteEndObject();
    }

    private static void WriteTypes(Utf8JsonWriter writer, FileReport report)
    {
        writer.WriteStartArray("types");
        foreach (TypeReport type in report.Types)
        {
            writer.WriteStartObject();
            writer.WriteString("type", type.Type);
            writer.WriteNumber("tensors", type.Tensors);
            writer.WriteNumber("parameters", type.Parameters);
            writer.WriteNumber("bytes", type.Bytes);
            writer.WriteNumber("workingBytes", type.WorkingBytes);
            writer.WriteStartArray("kernels");
            foreach (string kernel in type.Kernels)
                writer.WriteStringValue(kernel);
            writer.WriteEndArray();
            writer.WriteEndObject();
        }

        writer.WriteEndArray();
    }

    private static void WriteTokenizer(Utf8JsonWriter writer, FileReport report)
    {
        Metadata metadata = report.File.Metadata;
        writer.WriteStartObject("tokenizer");
        writer.WriteString("model", metadata.Find("tokenizer.ggml.model")?.Value as string);
        writer.WriteString("pre", metadata.Find("tokenizer.ggml.pre")?.Value as string);
        writer.WriteNumber("tokens", report.VocabularySize);
        writer.WriteStartArray("stopTokens");
        foreach (TokenReport token in report.StopTokens)
        {
            writer.WriteStartObject();
            writer.WriteNumber("id", token.Id);
            writer.WriteString("text", token.Text);
            writer.WriteEndObject();
        }

        writer.WriteEndArray();
        writer.WriteString("chatTemplate", report.ChatTemplate);
        writer.WriteEndObject();
    }

    private static void WriteTensors(Utf8JsonWriter writer, ModelSource file)
    {
        writer.WriteStartArray("tensors");
        foreach (Tensor tensor in file.Tensors.Values.OrderBy(t => t.Path, StringComparer.Ordinal).ThenBy(t => t.FileOffset))
        {
            writer.WriteStartObject();
            writer.WriteString("name", tensor.Name);
            writer.WriteString("type", tensor.Type.Name);
            writer.WriteStartArray("shape");
            foreach (long size in tensor.Shape)
                writer.WriteNumberValue(size);
            writer.WriteEndArray();
            writer.WriteNumber("offset", tensor.FileOffset);
            writer.WriteNumber("bytes", tensor.ByteCount);
            writer.WriteEndObject();
        }

        writer.WriteEndArray();
    }
}
