using Tern.Files;
using Tern.Models.Architectures;
using Tern.Numerics;
using Tern.Text.HuggingFace;

namespace Tern.Models.Checkpoints;

/// <summary>
/// A folder with a Hugging Face checkpoint, opened as if it were the GGUF file that a converter would make of it: keys and tensors under GGUF's
/// names, weights where they lie in the mapped files. Nothing but headers and scales is read until somebody asks for weights.
/// </summary>
internal sealed class Checkpoint : ModelSource
{
    private readonly List<SafetensorsFile> _files;
    private readonly List<OwnedTensor> _owned;

    private Checkpoint(Metadata metadata, List<Tensor> tensors, List<SafetensorsFile> files, List<OwnedTensor> owned, List<string> warnings)
    {
        (_files, _owned) = (files, owned);
        Metadata = metadata;
        TensorsInOrder = [.. tensors, .. owned.Select(o => o.Tensor)];
        Tensors = TensorsInOrder.ToDictionary(t => t.Name, StringComparer.Ordinal);
        Warnings = warnings;
    }

    public override Metadata Metadata { get; }

    public override IReadOnlyDictionary<string, Tensor> Tensors { get; }

    public override IReadOnlyList<Tensor> TensorsInOrder { get; }

    public override IReadOnlyList<string> Warnings { get; }

    /// <summary>Opens a checkpoint.</summary>
    /// <param name="folder">Where it lies.</param>
    /// <param name="scale">What scales of packed weights mean.</param>
    /// <param name="preTokenizer">The pre-tokenizer to use instead of the one that the files mean; null for theirs.</param>
    /// <exception cref="TernException">The folder is none, or its files are malformed or of a kind that Tern does not run.</exception>
    public static Checkpoint Open(string folder, WeightScale scale, string? preTokenizer)
    {
        CheckpointConfig config = CheckpointFolder.ReadConfig(folder);
        Architecture architecture = CheckpointMetadata.ArchitectureOf(config);
        var metadata = new Metadata(folder);
        float[]? divisors = CheckpointMetadata.Write(config, architecture, folder, metadata);
        List<SafetensorsFile> files = CheckpointFolder.OpenWeights(folder);
        try
        {
            return Open(folder, config, architecture, metadata, divisors, files, scale, preTokenizer);
        }
        catch
        {
            files.ForEach(f => f.Dispose());
            throw;
        }
    }

    public override void Drop(Tensor tensor) => MapOf(tensor)?.Drop(tensor);

    public override void Fetch(Tensor tensor) => MapOf(tensor)?.Fetch(tensor);

    public override void Dispose()
    {
        _files.ForEach(f => f.Dispose());
        _owned.ForEach(o => o.Dispose());
    }

    private static Checkpoint Open(string folder, CheckpointConfig config, Architecture architecture, Metadata metadata, float[]? divisors, List<SafetensorsFile> files, WeightScale scale, string? preTokenizer)
    {
        CheckpointFamily family = architecture.Checkpoint!;
        var warnings = new List<string>();
        int layers = (int)metadata.Integer($"{architecture.Name}.block_count")!.Value;
        var names = new CheckpointNames(family.Tensors, layers, files);
        bool hasOutput = names.Has("output");
        if (CheckpointMetadata.PoolingOf(config, folder, names.IsBody && !hasOutput) is { } pooling)
            metadata.Set($"{architecture.Name}.pooling_type", pooling);

        // An embedding model has no output matrix; a checkpoint of a tied one may still hold a copy of the embeddings under its name.
        bool isTied = config.Boolean("tie_word_embeddings") ?? (family.TiedDefault || !hasOutput);
        bool withOutput = !isTied && metadata.Find($"{architecture.Name}.pooling_type") is null;
        names.Finish(folder, withOutput, warnings.Add);

        int headSize = (int)metadata.Integer($"{architecture.Name}.rope.dimension_count")!.Value;
        var ternary = TernaryConfig.Read(config, family.IsAlwaysTernary || names.HasInputNorms, scale);
        List<Tensor> tensors = new CheckpointTensors(names, family, ternary, headSize, config.Path).Make(withOutput, warnings.Add);
        int rows = config.Integer("vocab_size", 1, SpecReader.VocabularyMax);
        Tensor embedding = tensors.First(t => t.Name == "token_embd.weight");
        if (embedding.Rows != rows)
            throw config.Wrong("vocab_size", $"{rows} tokens, but tensor 'embed_tokens.weight' has {embedding.Rows} rows");

        HuggingFaceTokenizer.Read(folder, rows, metadata, warnings.Add, preTokenizer);
        List<OwnedTensor> owned = divisors is null ? [] : [new OwnedTensor("rope_freqs.weight", divisors, config.Path)];
        return new Checkpoint(metadata, tensors, files, owned, warnings);
    }

    private MappedFile? MapOf(Tensor tensor) => _files.Find(f => f.Map.Owns(tensor))?.Map;
}
