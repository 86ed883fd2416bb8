using Tern.Kernels;

namespace Tern.Models.Architectures;

/// <summary>Bonsai up to 8B and the 0.6B BitNet embedding model: SiLU, NEOX rope, a norm on every head of q and k.</summary>
internal static class Qwen3
{
    public static Architecture Entry { get; } =
        new("qwen3", reader => reader.Common(GateFunction.Silu, RopeStyle.Halves) with { HasQueryKeyNorms = true });
}
