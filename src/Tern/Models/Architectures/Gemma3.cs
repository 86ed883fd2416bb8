using Tern.Kernels;

namespace Tern.Models.Architectures;

/// <summary>
/// The 270M BitNet embedding model: GELU, norms on q and k and behind each block, embeddings times sqrt(hidden size). Without sliding-window
/// keys, as the official converter writes it, every layer is global.
/// </summary>
internal static class Gemma3
{
    private const int PeriodDefault = 6;

    public static Architecture Entry { get; } = new("gemma3", Read);

    private static ModelSpec Read(SpecReader reader)
    {
        ModelSpec spec = reader.Common(GateFunction.Gelu, RopeStyle.Halves);
        int window = reader.OptionalInteger("attention.sliding_window", 0, 1 << 24) ?? 0;
        return spec with
        {
            HasQueryKeyNorms = true,
            HasPostNorms = true,
            EmbeddingScale = MathF.Sqrt(spec.HiddenSize),
            SlidingWindow = window,
            SlidingWindowPeriod = reader.OptionalInteger("attention.sliding_window_pattern", 1, 1 << 10) ?? PeriodDefault,
            LocalRopeBase = reader.Positive("rope.freq_base_swa", 10_000),
        };
    }
}
