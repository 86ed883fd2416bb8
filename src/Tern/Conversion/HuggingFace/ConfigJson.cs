using System.Text.Json;
using Tern.Kernels;
using Tern.Models;
using Tern.Models.Checkpoints;
using Tern.Text;

namespace Tern.Conversion.HuggingFace;

/// <summary>What <c>quantization_config</c> says of ternary layers.</summary>
/// <param name="Mode">offline for packed codes, online for the floats that training rounds.</param>
/// <param name="Dense">Modules that are not ternary.</param>
internal sealed record LinearFormat(string Mode, IReadOnlyList<string> Dense);

/// <summary>Writes <c>config.json</c> and <c>generation_config.json</c> of a model.</summary>
internal static class ConfigJson
{
    /// <summary>The configuration of the network.</summary>
    /// <param name="writer">Receives one object.</param>
    /// <param name="spec">The model.</param>
    /// <param name="family">How its architecture looks as a checkpoint.</param>
    /// <param name="tokenizer">Its special tokens.</param>
    /// <param name="format">Its ternary layers; null when it has none.</param>
    public static void Write(Utf8JsonWriter writer, ModelSpec spec, CheckpointFamily family, Tokenizer tokenizer, LinearFormat? format)
    {
        writer.WriteStartObject();
        writer.WriteStartArray("architectures");
        writer.WriteStringValue(spec.IsEmbedding ? family.Classes[^1] : family.Classes[0]);
        writer.WriteEndArray();
        writer.WriteString("model_type", family.ModelTypes[0]);
        writer.WriteString("hidden_act", Activation(spec));
        writer.WriteNumber("hidden_size", spec.HiddenSize);
        writer.WriteNumber("intermediate_size", spec.FeedForwardSize);
        writer.WriteNumber("num_hidden_layers", spec.Layers);
        writer.WriteNumber("num_attention_heads", spec.Heads);
        writer.WriteNumber("num_key_value_heads", spec.KvHeads);
        writer.WriteNumber("head_dim", spec.HeadDim);
        writer.WriteNumber("max_position_embeddings", spec.ContextLength);
        writer.WriteNumber("rms_norm_eps", spec.NormEpsilon);
        writer.WriteNumber("rope_theta", spec.Rope.Base);
        WriteRope(writer, spec.Rope);
        writer.WriteNumber("vocab_size", spec.VocabularySize);
        WriteId(writer, "bos_token_id", tokenizer.Bos);
        WriteId(writer, "eos_token_id", tokenizer.Eos);
        writer.WriteBoolean("tie_word_embeddings", spec.TiedEmbeddings);
        writer.WriteBoolean("attention_bias", false);
        writer.WriteBoolean("mlp_bias", false);
        writer.WriteString("torch_dtype", "bfloat16");
        if (spec.Architecture == "gemma3")
            WriteGemma(writer, spec);
        if (format is not null)
            WriteQuantization(writer, format);
        writer.WriteEndObject();
    }

    /// <summary>The ids that begin and end an answer.</summary>
    public static void WriteGeneration(Utf8JsonWriter writer, Tokenizer tokenizer)
    {
        writer.WriteStartObject();
        WriteId(writer, "bos_token_id", tokenizer.Bos);
        writer.WriteStartArray("eos_token_id");
        foreach (int id in tokenizer.StopIds.OrderBy(id => id == tokenizer.Eos ? -1 : id))
            writer.WriteNumberValue(id);
        writer.WriteEndArray();
        writer.WriteEndObject();
    }

    /// <summary>The value of <c>hidden_act</c>.</summary>
    public static string Activation(ModelSpec spec) => spec.Activation switch
    {
        GateFunction.SquaredRelu => "relu2",
        GateFunction.Gelu => "gelu_pytorch_tanh",
        _ => "silu",
    };

    private static void WriteRope(Utf8JsonWriter writer, RopeSpec rope)
    {
        if (rope.Scaling == RopeScaling.None)
        {
            writer.WriteNull("rope_scaling");
            return;
        }

        writer.WriteStartObject("rope_scaling");
        writer.WriteString("rope_type", rope.Scaling == RopeScaling.Yarn ? "yarn" : "linear");
        writer.WriteNumber("factor", rope.Factor);
        if (rope.Scaling == RopeScaling.Yarn)
        {
            writer.WriteNumber("original_max_position_embeddings", rope.OriginalContextLength);
            writer.WriteNumber("beta_fast", rope.BetaFast);
            writer.WriteNumber("beta_slow", rope.BetaSlow);

            // GGUF's factor comes on top of YaRN's own, which this field replaces.
            if (rope.AttentionFactor != 1)
                writer.WriteNumber("attention_factor", rope.AttentionFactor * (1 + (0.1 * PortableMath.Log(rope.Factor))));
        }

        writer.WriteEndObject();
    }

    private static void WriteGemma(Utf8JsonWriter writer, ModelSpec spec)
    {
        writer.WriteString("hidden_activation", Activation(spec));
        writer.WriteNumber("query_pre_attn_scalar", spec.HeadDim);
        if (spec.SlidingWindow == 0)
        {
            writer.WriteNull("sliding_window");
            return;
        }

        writer.WriteNumber("sliding_window", spec.SlidingWindow);
        writer.WriteNumber("sliding_window_pattern", spec.SlidingWindowPeriod);
        writer.WriteNumber("rope_local_base_freq", spec.LocalRopeBase);
    }

    private static void WriteQuantization(Utf8JsonWriter writer, LinearFormat format)
    {
        writer.WriteStartObject("quantization_config");
        writer.WriteString("quant_method", "bitnet");
        writer.WriteString("linear_class", "autobitlinear");
        writer.WriteString("quantization_mode", format.Mode);
        if (format.Dense.Count == 0)
        {
            writer.WriteNull("modules_to_not_convert");
        }
        else
        {
            writer.WriteStartArray("modules_to_not_convert");
            foreach (string module in format.Dense)
                writer.WriteStringValue(module);
            writer.WriteEndArray();
        }

        writer.WriteEndObject();
    }

    private static void WriteId(Utf8JsonWriter writer, string name, int id)
    {
        if (id >= 0)
            writer.WriteNumber(name, id);
    }
}
