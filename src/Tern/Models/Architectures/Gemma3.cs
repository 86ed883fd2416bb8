using Tern.Files;
using Tern.Kernels;
using Tern.Models.Checkpoints;

namespace Tern.Models.Architectures;

/// <summary>
/// The 270M BitNet embedding model: GELU, norms on q and k and behind each block, embeddings times sqrt(hidden size). Without sliding-window
/// keys, as the official converter writes it, every layer is global.
/// </summary>
internal static class Gemma3
{
    private const int PeriodDefault = 6;
    private const int PeriodMax = 1 << 10;

    public static Architecture Entry { get; } = new("gemma3", Read, new CheckpointFamily
    {
        Classes = ["Gemma3ForCausalLM", "Gemma3TextModel"],
        ModelTypes = ["gemma3_text"],
        Tensors =
        [
            .. TensorName.Common,
            TensorName.Layer("post_attention_norm", "post_attention_layernorm", TensorRole.Norm),
            TensorName.Layer("ffn_norm", "pre_feedforward_layernorm", TensorRole.Norm),
            TensorName.Layer("post_ffw_norm", "post_feedforward_layernorm", TensorRole.Norm),
            .. TensorName.QueryKeyNorms,
        ],
        Activations = ["gelu_pytorch_tanh", "gelu_tanh", "gelu_new"],
        HeadSizeDefault = 256,
        RopeBaseDefault = 1_000_000,
        TiedDefault = true,
        NormAddend = 1,
        ReadMore = ReadMore,
    });

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
            SlidingWindowPeriod = reader.OptionalInteger("attention.sliding_window_pattern", 1, PeriodMax) ?? PeriodDefault,
            LocalRopeBase = reader.Positive("rope.freq_base_swa", 10_000),
        };
    }

    private static void ReadMore(CheckpointConfig config, Metadata metadata)
    {
        config.RequireOff("use_bidirectional_attention", "attention to later tokens");
        config.RequireOff("attn_logit_softcapping", "capped attention scores");
        config.RequireOff("final_logit_softcapping", "capped logits");
        const string scalar = "query_pre_attn_scalar";
        if (config.Positive(scalar) is { } divisor && divisor != metadata.Integer("gemma3.attention.key_length"))
            throw config.Unsupported(scalar, $"is {divisor}, not the head size", "no known 1-bit model has that");

        int window = config.OptionalInteger("sliding_window", 0, SpecReader.ContextMax) ?? 0;
        if (window == 0 || Period(config) is not { } period)
            return;
        double localBase = config.Object("rope_parameters")?.Object("sliding_attention")?.Positive("rope_theta") ?? config.Positive("rope_local_base_freq") ?? 10_000;
        metadata.Set("gemma3.attention.sliding_window", (uint)window);
        metadata.Set("gemma3.attention.sliding_window_pattern", (uint)period);
        metadata.Set("gemma3.rope.freq_base_swa", (float)localBase);
    }

    /// <summary>Every how many layers one sees everything; null when all do.</summary>
    private static int? Period(CheckpointConfig config)
    {
        const string field = "layer_types";
        if (config.Strings(field) is not { } types)
            return (config.OptionalInteger("sliding_window_pattern", 1, PeriodMax) ?? PeriodDefault) is > 1 and int said ? said : null;

        // The first layer that sees everything ends the first period; a model without one is a period longer than itself.
        int[] global = [.. Enumerable.Range(0, types.Count).Where(i => types[i] == "full_attention")];
        int period = global.Length > 0 ? global[0] + 1 : types.Count + 1;
        for (int i = 0; i < types.Count; i++)
            if (types[i] != (i % period < period - 1 ? "sliding_attention" : "full_attention"))
                throw config.Unsupported(field, $"layer {i} is {FileError.Quote(types[i])}", $"known are sliding_attention and full_attention in one period ({period} layers by the first of the latter)");
        return period is > 1 and <= PeriodMax ? period : period == 1 ? null : throw config.Unsupported(field, $"a period of {period} layers is not supported", $"the most is {PeriodMax}");
    }
}
