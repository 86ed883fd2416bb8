using Tern.Files;
using Tern.Kernels;
using Tern.Models.Checkpoints;

namespace Tern.Models.Architectures;

/// <summary>
/// <c>bitnet</c>: the 1bitLLM reproductions with SiLU, and exports of 2B-4T with squared ReLU under the same name. The key
/// <c>bitnet.hidden_activation</c> decides where it is present; else the dimensions of 2B-4T do; else it is SiLU, which is what programs that
/// know the name compute.
/// </summary>
internal static class BitNet
{
    private const int Layers2B4T = 30;
    private const int FeedForward2B4T = 6912;
    private const int Vocabulary2B4T = 128256;

    public static Architecture Entry { get; } = new("bitnet", Read, new CheckpointFamily
    {
        Classes = ["BitnetForCausalLM"],
        ModelTypes = ["bitnet"],
        Tensors = Tensors,
        Activations = ["silu", "swish", "gelu_pytorch_tanh", "gelu_tanh"],
        IsAlwaysTernary = true,
        SaysHeadSize = false,
        ReadMore = (config, metadata) => metadata.Set("bitnet.hidden_activation", config.String("hidden_act")!),
    });

    /// <summary>The tensors of every BitNet with sub norms.</summary>
    public static IReadOnlyList<TensorName> Tensors => [.. TensorName.Common, TensorName.FeedForwardNorm, .. TensorName.SubNorms];

    private static ModelSpec Read(SpecReader reader)
    {
        ModelSpec spec = reader.Common(GateFunction.Silu, RopeStyle.Halves) with { HasSubNorms = true };
        return spec with { Activation = Activation(reader, spec) };
    }

    private static GateFunction Activation(SpecReader reader, ModelSpec spec)
    {
        string key = reader.Key("hidden_activation");
        switch (reader.Metadata.String(key))
        {
            case "relu2" or "relu_sqr" or "squared_relu" or "relu_squared":
                return GateFunction.SquaredRelu;
            case "silu" or "swish" or "swiglu":
                return GateFunction.Silu;
            case "gelu" or "gelu_pytorch_tanh" or "gelu_tanh":
                return GateFunction.Gelu;
            case { } other:
                throw reader.Unsupported("hidden_activation", $"{FileError.Quote(other)} is not supported", "known are relu2, silu, gelu");
        }

        bool is2B4T = spec.VocabularySize == Vocabulary2B4T || (spec.Layers == Layers2B4T && spec.FeedForwardSize == FeedForward2B4T);
        if (is2B4T)
            reader.Warn($"'{key}' is missing; the dimensions are those of BitNet b1.58 2B-4T, so squared ReLU is used");
        return is2B4T ? GateFunction.SquaredRelu : GateFunction.Silu;
    }
}
