using Tern.Numerics;

namespace Tern.Training;

/// <summary>How a trained model is written as GGUF.</summary>
internal sealed record ExportOptions
{
    /// <summary>Type of the linear layers: I2_S, TQ1_0 and TQ2_0 for ternary and binary models, Q1_0 for binary ones, any other that Tern encodes for all.</summary>
    public TensorType Linears { get; init; } = TensorType.I2S;

    /// <summary>Type of the embedding and of an untied output matrix: any of more than two bits that Tern encodes and that fits the width.</summary>
    public TensorType Embeddings { get; init; } = TensorType.F16;

    /// <summary><c>general.name</c>.</summary>
    public string Name { get; init; } = "Tern";

    /// <summary>Write the moving average of the weights instead of the last ones.</summary>
    public bool Average { get; init; }
}
