using System.Globalization;

namespace Tern.Models.Checkpoints;

/// <summary>What a tensor of a checkpoint is to the model, as far as its weights depend on it.</summary>
internal enum TensorRole
{
    /// <summary>Floats that are used as they are: embeddings, the output matrix.</summary>
    Plain,

    /// <summary>A norm, stored as the difference to a constant in some families.</summary>
    Norm,

    /// <summary>The norm in front of a linear layer (the BitNet embedding models), stored as it is in all families.</summary>
    InputNorm,

    /// <summary>The matrix of a linear layer.</summary>
    Linear,

    /// <summary>The linear layer of the queries: heads of rows.</summary>
    Query,

    /// <summary>The linear layer of the keys: heads of rows.</summary>
    Key,
}

/// <summary>
/// A tensor under both its names, without prefix (<c>blk.3.</c>, <c>model.layers.3.</c>) and without <c>.weight</c>.
/// </summary>
/// <param name="Gguf">The name in GGUF.</param>
/// <param name="HuggingFace">The name in checkpoints that Tern writes.</param>
/// <param name="Role">What it is.</param>
/// <param name="IsInLayers">Whether every layer has one.</param>
/// <param name="Alias">A second name that checkpoints have.</param>
internal sealed record TensorName(string Gguf, string HuggingFace, TensorRole Role, bool IsInLayers, string? Alias = null)
{
    private static readonly TensorName[] s_linears =
    [
        Layer("attn_q", "self_attn.q_proj", TensorRole.Query),
        Layer("attn_k", "self_attn.k_proj", TensorRole.Key),
        Layer("attn_v", "self_attn.v_proj", TensorRole.Linear),
        Layer("attn_output", "self_attn.o_proj", TensorRole.Linear),
        Layer("ffn_gate", "mlp.gate_proj", TensorRole.Linear),
        Layer("ffn_up", "mlp.up_proj", TensorRole.Linear),
        Layer("ffn_down", "mlp.down_proj", TensorRole.Linear),
    ];

    /// <summary>What every family has, under the same names.</summary>
    public static IReadOnlyList<TensorName> Common { get; } =
    [
        new("token_embd", "embed_tokens", TensorRole.Plain, false),
        new("output_norm", "norm", TensorRole.Norm, false),
        new("output", "lm_head", TensorRole.Plain, false),
        Layer("attn_norm", "input_layernorm", TensorRole.Norm),
        .. s_linears,
    ];

    /// <summary>A norm in front of every linear layer.</summary>
    public static IReadOnlyList<TensorName> InputNorms { get; } =
        [.. s_linears.Select(l => new TensorName($"{l.Gguf}_norm_in", $"{l.HuggingFace}.norm", TensorRole.InputNorm, true, $"{l.HuggingFace}.rms_norm"))];

    /// <summary>The norm before the feed-forward block, where no norm follows the attention block.</summary>
    public static TensorName FeedForwardNorm { get; } = Layer("ffn_norm", "post_attention_layernorm", TensorRole.Norm);

    /// <summary>Norms before the attention output and the down projection, under the names of 2B-4T and of 1bitLLM.</summary>
    public static IReadOnlyList<TensorName> SubNorms { get; } =
    [
        Layer("attn_sub_norm", "self_attn.attn_sub_norm", TensorRole.Norm, "self_attn.inner_attn_ln"),
        Layer("ffn_sub_norm", "mlp.ffn_sub_norm", TensorRole.Norm, "mlp.ffn_layernorm"),
    ];

    /// <summary>Norms on every head of q and k.</summary>
    public static IReadOnlyList<TensorName> QueryKeyNorms { get; } =
    [
        Layer("attn_q_norm", "self_attn.q_norm", TensorRole.Norm),
        Layer("attn_k_norm", "self_attn.k_norm", TensorRole.Norm),
    ];

    /// <summary>A tensor of every layer.</summary>
    public static TensorName Layer(string gguf, string huggingFace, TensorRole role, string? alias = null) => new(gguf, huggingFace, role, true, alias);

    /// <summary>The whole name in GGUF.</summary>
    /// <param name="layer">The layer, if it is a tensor of layers.</param>
    public string InGguf(int layer) => IsInLayers ? string.Create(CultureInfo.InvariantCulture, $"blk.{layer}.{Gguf}.weight") : $"{Gguf}.weight";

    /// <summary>The whole name in a checkpoint as transformers writes it.</summary>
    /// <param name="layer">The layer, if it is a tensor of layers.</param>
    public string InCheckpoint(int layer) => IsInLayers
        ? string.Create(CultureInfo.InvariantCulture, $"model.layers.{layer}.{HuggingFace}.weight")
        : Gguf == "output" ? $"{HuggingFace}.weight" : $"model.{HuggingFace}.weight";
}
