using System.Globalization;
using System.Text.Encodings.Web;
using System.Text.Json;
using Tern.Files;
using Tern.Models;
using Tern.Models.Architectures;
using Tern.Models.Checkpoints;
using Tern.Text;

namespace Tern.Conversion.HuggingFace;

/// <summary>
/// Writes a model as the folder of a Hugging Face checkpoint. The folder appears with all its files or not at all:
/// <code>
/// NAME.tern-partial/   config.json  generation_config.json  tokenizer.json  tokenizer_config.json  model.safetensors     each flushed
/// rename to NAME, flush the folder above
/// </code>
/// </summary>
internal static class HuggingFaceExport
{
    private const string PartialSuffix = ".tern-partial", ReplacedSuffix = ".tern-replaced";

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
        folder = Path.TrimEndingDirectorySeparator(Path.GetFullPath(folder));
        ModelSpec spec = Model.ReadSpec(source, _ => { });
        CheckpointFamily family = FamilyOf(spec);
        Tokenizer tokenizer = Tokenizer.From(source.Metadata, _ => { });
        long total = source.TensorsInOrder.Sum(t => t.ByteCount), done = 0;
        var tensors = new TensorExport(source, spec, family, new RowLoop(source, threads, cancellation), bytes =>
        {
            done += bytes;
            progress(Math.Min(1, (double)done / total));
        });
        string partial = folder + PartialSuffix;
        try
        {
            if (Directory.Exists(partial))
                Directory.Delete(partial, recursive: true);
            Directory.CreateDirectory(partial);
            var words = new TokenizerJson(source.Metadata, tokenizer);
            WriteJson(partial, "config.json", writer => ConfigJson.Write(writer, spec, family, tokenizer, tensors));
            WriteJson(partial, "generation_config.json", writer => ConfigJson.WriteGeneration(writer, tokenizer));
            WriteJson(partial, "tokenizer.json", words.Write);
            WriteJson(partial, "tokenizer_config.json", writer => words.WriteConfig(writer, spec.ContextLength));
            if (spec.IsEmbedding)
                WritePooling(partial);
            SafetensorsWriter.Write(Path.Combine(partial, "model.safetensors"), tensors.Tensors);
            Publish(partial, folder);
        }
        catch (Exception e)
        {
            Remove(partial);
            if (e is IOException or UnauthorizedAccessException)
                throw FileError.Whole(ErrorKind.File, folder, "folder", $"cannot be written: {e.Message}", "check the folder above, its permissions and the free space", e);
            throw;
        }

        return new ConversionReport(tensors.Tensors.Sum(t => t.ByteCount), total, Notes(tensors));
    }

    private static CheckpointFamily FamilyOf(ModelSpec spec)
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

    private static void WriteJson(string folder, string name, Action<Utf8JsonWriter> write) => AtomicFile.Write(Path.Combine(folder, name), stream =>
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

    /// <summary>Gives the folder its name. One that is there steps aside first; between the two renames the name stands for nothing.</summary>
    private static void Publish(string partial, string folder)
    {
        string replaced = folder + ReplacedSuffix, above = Path.GetDirectoryName(folder)!;
        AtomicFile.FlushFolder(partial);
        if (Directory.Exists(folder))
        {
            Remove(replaced);
            Directory.Move(folder, replaced);
        }

        Directory.Move(partial, folder);
        AtomicFile.FlushFolder(above);
        Remove(replaced);
    }

    private static void Remove(string folder)
    {
        try
        {
            if (Directory.Exists(folder))
                Directory.Delete(folder, recursive: true);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // What remains has no name that anybody opens, and the next export takes it over.
        }
    }
}
