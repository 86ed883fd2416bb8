using Tern.Numerics;

namespace Tern.Training;

/// <summary>How a trained model is written as GGUF.</summary>
internal sealed record ExportOptions
{
    /// <summary>Type of the linear layers: I2_S, TQ1_0, TQ2_0 for ternary models, F16 or F32 for any.</summary>
    public TensorType Linears { get; init; } = TensorType.I2S;

    /// <summary>Type of the embedding and of an untied output matrix: any that Tern encodes and that fits the width.</summary>
    public TensorType Embeddings { get; init; } = TensorType.F16;

    /// <summary><c>general.name</c>.</summary>
    public string Name { get; init; } = "Tern";

    /// <summary>Write the moving average of the weights instead of the last ones.</summary>
    public bool Average { get; init; }
}
