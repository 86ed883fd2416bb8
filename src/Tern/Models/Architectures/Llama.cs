using Tern.Kernels;

namespace Tern.Models.Architectures;

/// <summary>Llama3-8B-1.58, Falcon3-1.58bit, Falcon-E and every dense llama: SiLU, rope on adjacent pairs of permuted rows.</summary>
internal static class Llama
{
    public static Architecture Entry { get; } = new("llama", reader => reader.Common(GateFunction.Silu, RopeStyle.Adjacent));
}
