using Tern.Files;

namespace Tern.Models.Checkpoints;

/// <summary>How an architecture looks as a Hugging Face checkpoint.</summary>
internal sealed record CheckpointFamily
{
    /// <summary>Values of <c>architectures</c>, in any case of letters; Tern writes the first.</summary>
    public required IReadOnlyList<string> Classes { get; init; }

    /// <summary>Values of <c>model_type</c>, asked where <c>architectures</c> is missing; Tern writes the first.</summary>
    public required IReadOnlyList<string> ModelTypes { get; init; }

    /// <summary>Its tensors under both names; those of <see cref="TensorName.InputNorms"/> are known in every family besides.</summary>
    public required IReadOnlyList<TensorName> Tensors { get; init; }

    /// <summary>Values of <c>hidden_act</c> that the architecture computes.</summary>
    public required IReadOnlyList<string> Activations { get; init; }

    /// <summary>Where the head size is not hidden size / heads when the configuration is silent about it; 0 where it is.</summary>
    public int HeadSizeDefault { get; init; }

    /// <summary>Base of the rotary embedding when the configuration is silent about it.</summary>
    public double RopeBaseDefault { get; init; } = 10_000;

    /// <summary>What <c>tie_word_embeddings</c> is when it is not there.</summary>
    public bool TiedDefault { get; init; }

    /// <summary>GGUF has the rows of q and k interleaved (<see cref="Numerics.RowOrder"/>).</summary>
    public bool InterleavesHeads { get; init; }

    /// <summary>What GGUF has added to norms.</summary>
    public float NormAddend { get; init; }

    /// <summary>Linear layers are ternary even where no <c>quantization_config</c> says so.</summary>
    public bool IsAlwaysTernary { get; init; }

    /// <summary>GGUF says the head size even where it is hidden size / heads.</summary>
    public bool SaysHeadSize { get; init; } = true;

    /// <summary>Checks and writes what only this family has; null for nothing.</summary>
    public Action<CheckpointConfig, Metadata>? ReadMore { get; init; }
}
