using System.Globalization;
using System.Text.Encodings.Web;
using System.Text.Json;
using Tern.Files;
using Tern.Models;
using Tern.Models.Architectures;
using Tern.Models.Checkpoints;
using Tern.Text;

namespace Tern.Conversion.HuggingFace;

/// <summary>Writes a model as the folder of a Hugging Face checkpoint: configuration, tokenizer and weights.</summary>
internal static class HuggingFaceExport
{
    private static readonly JsonWriterOptions s_json = new() { Indented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>Writes the folder.</summary>
    /// <param name="source">The model.</param>
    /// <param name="folder">Its name; a checkpoint that is there is replaced.</param>
    /// <param name="threads">Threads that share the work.</param>
    /// <param name="progress">Receives the share that is done, in [0, 1].</param>
    /// <param name="cancellation">Stops within a batch of rows; nothing is left behind.</param>
    /// <returns>What was written, and one line for everything that changed.</returns>
    /// <exception cref="TernException">The architecture or the tokenizer has no form as a checkpoint, or the files cannot be written.</exception>
    public static ConversionReport Write(ModelSource source, string folder, int threads, Action<double> progress, CancellationToken cancellation)
    {
        ModelSpec spec = Model.ReadSpec(source, _ => { });
        CheckpointFamily family = FamilyOf(spec);
        Tokenizer tokenizer = Tokenizer.From(source.Metadata, _ => { });
        long total = source.TensorsInOrder.Sum(t => t.ByteCount), done = 0;
        var tensors = new TensorExport(source, spec, family, new RowLoop(source, threads, cancellation), bytes =>
        {
            done += bytes;
            progress(Math.Min(1, (double)done / total));
        });
        var words = new TokenizerJson(source.Metadata, tokenizer);
        LinearFormat? format = tensors.IsTernary ? new LinearFormat("offline", tensors.DenseLinears) : null;
        AtomicFolder.Write(folder, partial =>
        {
            WriteJson(partial, "config.json", writer => ConfigJson.Write(writer, spec, family, tokenizer, format));
            WriteJson(partial, "generation_config.json", writer => ConfigJson.WriteGeneration(writer, tokenizer));
            WriteJson(partial, "tokenizer.json", words.Write);
            WriteJson(partial, "tokenizer_config.json", writer => words.WriteConfig(writer, spec.ContextLength));
            if (spec.IsEmbedding)
                WritePooling(partial);
            SafetensorsWriter.Write(Path.Combine(partial, "model.safetensors"), tensors.Tensors);
        });
        return new ConversionReport(tensors.Tensors.Sum(t => t.ByteCount), total, Notes(tensors));
    }

    /// <summary>How a model's architecture looks as a checkpoint.</summary>
    /// <exception cref="TernException">It does not.</exception>
    public static CheckpointFamily FamilyOf(ModelSpec spec)
    {
        // By name where the activation fits it: 'bitnet' with squared ReLU is the class of 2B-4T.
        string activation = ConfigJson.Activation(spec);
        Architecture? found = Architecture.All.FirstOrDefault(a => a.Name == spec.Architecture && Fits(a))
            ?? Architecture.All.FirstOrDefault(a => spec.HasSubNorms && a.Checkpoint is { IsAlwaysTernary: true } && Fits(a));
        return found?.Checkpoint
            ?? throw new TernException(ErrorKind.Unsupported, $"the architecture '{spec.Architecture}' with {activation} has no form as a Hugging Face checkpoint that Tern knows; keep the model as GGUF");

        bool Fits(Architecture architecture) => architecture.Checkpoint?.Activations.Contains(activation) == true;
    }

    private static List<string> Notes(TensorExport tensors)
    {
        var notes = new List<string>();
        if (tensors.Rounded.Count > 0)
            notes.Add(string.Create(CultureInfo.InvariantCulture, $"{tensors.Rounded.Count} tensors such as '{tensors.Rounded[0]}' are of a type that checkpoints do not have; their values are written as F16"));
        if (tensors.IsTernary)
            notes.Add("ternary layers are packed with the scale of their tensor beside them (autobitlinear, which multiplies): codes and scales are carried over exactly");
        return notes;
    }

    /// <summary>Writes one file of a checkpoint.</summary>
    public static void WriteJson(string folder, string name, Action<Utf8JsonWriter> write) => AtomicFile.Write(Path.Combine(folder, name), stream =>
    {
        using var writer = new Utf8JsonWriter(stream, s_json);
        write(writer);
    });

    /// <summary>What sentence-transformers reads of an embedding model.</summary>
    private static void WritePooling(string partial)
    {
        string folder = Path.Combine(partial, "1_Pooling");
        Directory.CreateDirectory(folder);
        WriteJson(folder, "config.json", writer =>
        {
            writer.WriteStartObject();
            writer.WriteBoolean("pooling_mode_lasttoken", true);
            writer.WriteEndObject();
        });
    }
}
