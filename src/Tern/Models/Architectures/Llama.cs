using Tern.Files;
using Tern.Kernels;
using Tern.Models.Checkpoints;

namespace Tern.Models.Architectures;

/// <summary>Llama3-8B-1.58, Falcon3-1.58bit, Falcon-E and every dense llama: SiLU, rope on adjacent pairs of permuted rows.</summary>
internal static class Llama
{
    public static Architecture Entry { get; } = new("llama", reader => reader.Common(GateFunction.Silu, RopeStyle.Adjacent), new CheckpointFamily
    {
        Classes = ["LlamaForCausalLM", "MistralForCausalLM"],
        ModelTypes = ["llama", "mistral"],
        Tensors = [.. TensorName.Common, TensorName.FeedForwardNorm],
        Activations = ["silu", "swish"],
        InterleavesHeads = true,
        ReadMore = RefuseWindow,
    });

    /// <summary>Mistral is llama but for a sliding window, which its later models have switched off.</summary>
    private static void RefuseWindow(CheckpointConfig config, Metadata metadata)
    {
        const string field = "sliding_window";
        if (config.OptionalInteger(field, 1, SpecReader.ContextMax) is { } window && window < config.Integer("max_position_embeddings", 1, SpecReader.ContextMax))
            throw config.Unsupported(field, $"is {window}: a sliding window is not supported in this architecture", "known with one is Gemma3ForCausalLM");
    }
}
