using Tern.Kernels;
using Tern.Models.Checkpoints;

namespace Tern.Models.Architectures;

/// <summary>microsoft/bitnet-b1.58-2B-4T: squared ReLU, sub norms, NEOX rope. The first upload called the architecture <c>bitnet-25</c>.</summary>
internal static class BitNet158
{
    public static Architecture Entry { get; } = new("bitnet-b1.58", Read, new CheckpointFamily
    {
        Classes = ["BitNetForCausalLM"],
        ModelTypes = ["bitnet"],
        Tensors = BitNet.Tensors,
        Activations = ["relu2"],
        RopeBaseDefault = 500_000,
        IsAlwaysTernary = true,
        SaysHeadSize = false,
    });

    public static Architecture FirstUpload { get; } = new("bitnet-25", Read);

    private static ModelSpec Read(SpecReader reader) =>
        reader.Common(GateFunction.SquaredRelu, RopeStyle.Halves) with { HasSubNorms = true };
}
