using Tern.Files;
using Tern.Kernels;
using Tern.Models;
using Tern.Models.Checkpoints;
using Tern.Numerics;
using Tern.Text;

namespace Tern.Conversion.HuggingFace;

/// <summary>
/// Writes the folder of a checkpoint with the dimensions of a published model and random BF16 weights, which a ternary model rounds online: what
/// converting costs is measured with it.
/// </summary>
internal static class DummyCheckpoint
{
    /// <summary>Writes the folder.</summary>
    /// <param name="folder">Its name; replaced as a whole or not at all.</param>
    /// <param name="geometry">Whose dimensions.</param>
    /// <param name="seed">The same seed gives the same files.</param>
    /// <param name="progress">Receives the share that is written, in [0, 1].</param>
    /// <param name="cancellation">Stops between tensors; nothing is left behind.</param>
    /// <exception cref="TernException">The files cannot be written.</exception>
    public static void Write(string folder, DummyGeometry geometry, ulong seed, Action<double> progress, CancellationToken cancellation)
    {
        ModelSpec spec = SpecOf(geometry);
        CheckpointFamily family = HuggingFaceExport.FamilyOf(spec);
        var options = new DummyOptions(geometry, TensorType.BF16, TensorType.BF16, seed);
        Metadata metadata = DummyModel.Describe(folder, options);
        Tokenizer tokenizer = Tokenizer.From(metadata, _ => { });
        var words = new TokenizerJson(metadata, tokenizer);
        Dictionary<string, string> names = family.Tensors
            .SelectMany(name => Enumerable.Range(0, name.IsInLayers ? geometry.Layers : 1).Select(layer => (name, layer)))
            .ToDictionary(n => n.name.InGguf(n.layer), n => n.name.InCheckpoint(n.layer), StringComparer.Ordinal);
        List<TensorSource> tensors = DummyModel.Tensors(options);
        long total = tensors.Sum(DummyModel.Bytes), done = 0;
        LinearFormat? format = family.IsAlwaysTernary ? new LinearFormat("online", []) : null;
        AtomicFolder.Write(folder, partial =>
        {
            HuggingFaceExport.WriteJson(partial, "config.json", writer => ConfigJson.Write(writer, spec, family, tokenizer, format));
            HuggingFaceExport.WriteJson(partial, "generation_config.json", writer => ConfigJson.WriteGeneration(writer, tokenizer));
            HuggingFaceExport.WriteJson(partial, "tokenizer.json", words.Write);
            HuggingFaceExport.WriteJson(partial, "tokenizer_config.json", writer => words.WriteConfig(writer, spec.ContextLength));
            SafetensorsWriter.Write(Path.Combine(partial, "model.safetensors"), [.. tensors.Select(Source)]);
        });

        SafetensorsSource Source(TensorSource tensor) => new(
            names[tensor.Name],
            SafetensorsType.All.First(t => t.Floats == tensor.Type),
            [.. tensor.Shape.Reverse()],
            stream =>
            {
                cancellation.ThrowIfCancellationRequested();
                tensor.Write(stream);
                done += DummyModel.Bytes(tensor);
                progress((double)done / total);
            });
    }

    private static ModelSpec SpecOf(DummyGeometry geometry) => new()
    {
        Architecture = geometry.Architecture,
        VocabularySize = geometry.VocabularySize,
        ContextLength = geometry.ContextLength,
        HiddenSize = geometry.HiddenSize,
        FeedForwardSize = geometry.FeedForwardSize,
        Layers = geometry.Layers,
        Heads = geometry.Heads,
        KvHeads = geometry.KvHeads,
        HeadDim = geometry.HeadDim,
        NormEpsilon = DummyModel.NormEpsilon,
        Activation = geometry.Architecture == "bitnet-b1.58" ? GateFunction.SquaredRelu : GateFunction.Silu,
        Rope = new RopeSpec { Style = RopeStyle.Halves, Dimensions = geometry.HeadDim, Base = geometry.RopeBase },
        HasSubNorms = geometry.HasSubNorms,
        HasQueryKeyNorms = geometry.HasQueryKeyNorms,
        TiedEmbeddings = true,
    };
}
