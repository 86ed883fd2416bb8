using Tern.Files;
using Tern.Kernels;

namespace Tern.Models.Checkpoints;

/// <summary>
/// The rotary embedding of a checkpoint: <c>rope_theta</c> and <c>rope_scaling</c>, or <c>rope_parameters</c>, which holds both since version 5 of
/// transformers (and in Gemma one such object for each kind of layer).
/// </summary>
internal static class RopeConfig
{
    private const int ContextMax = 1 << 24;

    /// <summary>Writes the keys <c>rope.*</c>.</summary>
    /// <param name="config">The configuration.</param>
    /// <param name="architecture">What keys begin with.</param>
    /// <param name="headSize">Dimensions of a head, all of which rotate.</param>
    /// <param name="baseDefault">The base where none is said.</param>
    /// <param name="metadata">Receives the keys.</param>
    /// <returns>[headSize / 2] divisors of the frequencies, for GGUF's tensor <c>rope_freqs.weight</c>; or null.</returns>
    public static float[]? Read(CheckpointConfig config, string architecture, int headSize, double baseDefault, Metadata metadata)
    {
        CheckpointConfig? parameters = config.Object("rope_parameters");
        parameters = parameters?.Object("full_attention") ?? parameters;
        if ((parameters ?? config).Positive("partial_rotary_factor") is { } part && part != 1)
            throw config.Unsupported("partial_rotary_factor", $"is {part}: heads that rotate in part are not supported", "no 1-bit model of this architecture has them");

        double rotaryBase = parameters?.Positive("rope_theta") ?? config.Positive("rope_theta") ?? baseDefault;
        metadata.Set($"{architecture}.rope.dimension_count", (uint)headSize);
        metadata.Set($"{architecture}.rope.freq_base", (float)rotaryBase);
        CheckpointConfig? scaling = parameters ?? config.Object("rope_scaling");
        string kind = scaling?.String("rope_type") ?? scaling?.String("type") ?? "default";
        switch (kind)
        {
            case "default":
                return null;
            case "linear":
                metadata.Set($"{architecture}.rope.scaling.type", "linear");
                metadata.Set($"{architecture}.rope.scaling.factor", (float)Factor(scaling!));
                return null;
            case "yarn":
                ReadYarn(config, scaling!, $"{architecture}.rope.scaling.", metadata);
                return null;
            case "llama3":
                return Llama3Divisors(scaling!, rotaryBase, headSize);
            default:
                throw (scaling ?? config).Unsupported("rope_type", $"{FileError.Quote(kind)} is not supported", "known are default, linear, yarn, llama3");
        }
    }

    private static double Factor(CheckpointConfig scaling) => scaling.Positive("factor") ?? throw scaling.Missing("factor");

    /// <summary>
    /// GGUF's <c>attn_factor</c> comes on top of YaRN's own 1 + 0.1 ln(factor), which <c>attention_factor</c> replaces.
    /// </summary>
    private static void ReadYarn(CheckpointConfig config, CheckpointConfig scaling, string prefix, Metadata metadata)
    {
        foreach (string field in (ReadOnlySpan<string>)["mscale", "mscale_all_dim"])
            if (scaling.Has(field))
                throw scaling.Unsupported(field, "is there; this variant of YaRN is not supported", "no known 1-bit model has it");
        if (scaling.Boolean("truncate") == false)
            throw scaling.Unsupported("truncate", "is false; this variant of YaRN is not supported", "no known 1-bit model has it");

        double factor = Factor(scaling);
        metadata.Set(prefix + "type", "yarn");
        metadata.Set(prefix + "factor", (float)factor);
        metadata.Set(prefix + "original_context_length", (uint)(scaling.OptionalInteger("original_max_position_embeddings", 1, ContextMax) ?? config.Integer("max_position_embeddings", 1, ContextMax)));
        if (scaling.Positive("beta_fast") is { } fast)
            metadata.Set(prefix + "yarn_beta_fast", (float)fast);
        if (scaling.Positive("beta_slow") is { } slow)
            metadata.Set(prefix + "yarn_beta_slow", (float)slow);
        if (scaling.Positive("attention_factor") is { } attention)
            metadata.Set(prefix + "attn_factor", (float)(attention / (1 + (0.1 * PortableMath.Log(factor)))));
    }

    /// <summary>
    /// Llama 3.1's scaling (Grattafiori et al. 2024, and Meta's reference code): pairs whose wave is longer than the original context divided by
    /// low_freq_factor slow down by the factor, those shorter than it divided by high_freq_factor stay, and between them the two are mixed by
    /// how often the wave fits into the original context.
    /// </summary>
    private static float[] Llama3Divisors(CheckpointConfig scaling, double rotaryBase, int headSize)
    {
        double factor = Factor(scaling);
        double low = scaling.Positive("low_freq_factor") ?? throw scaling.Missing("low_freq_factor");
        double high = scaling.Positive("high_freq_factor") ?? throw scaling.Missing("high_freq_factor");
        int original = scaling.Integer("original_max_position_embeddings", 1, ContextMax);
        if (high <= low)
            throw scaling.Wrong("high_freq_factor", $"{high} must be above low_freq_factor {low}");

        float[] divisors = new float[headSize / 2];
        for (int i = 0; i < divisors.Length; i++)
        {
            double waves = original / (2 * Math.PI * PortableMath.Pow(rotaryBase, 2.0 * i / headSize));
            double kept = Math.Clamp((waves - low) / (high - low), 0, 1);
            divisors[i] = (float)(1 / (((1 - kept) / factor) + kept));
        }

        return divisors;
    }
}
