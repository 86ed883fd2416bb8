using Tern.Files;
using Tern.Kernels;
using Tern.Models.Checkpoints;

namespace Tern.Models.Architectures;

/// <summary>Bonsai up to 8B and the 0.6B BitNet embedding model: SiLU, NEOX rope, a norm on every head of q and k.</summary>
internal static class Qwen3
{
    public static Architecture Entry { get; } =
        new("qwen3", reader => reader.Common(GateFunction.Silu, RopeStyle.Halves) with { HasQueryKeyNorms = true }, new CheckpointFamily
        {
            Classes = ["Qwen3ForCausalLM", "Qwen3Model"],
            ModelTypes = ["qwen3"],
            Tensors = [.. TensorName.Common, TensorName.FeedForwardNorm, .. TensorName.QueryKeyNorms],
            Activations = ["silu", "swish"],
            HeadSizeDefault = 128,
            ReadMore = RefuseWindow,
        });

    private static void RefuseWindow(CheckpointConfig config, Metadata metadata) => config.RequireOff("use_sliding_window", "sliding windows in this architecture");
}
