namespace Tern.Models.Checkpoints;

/// <summary>
/// What the tensor <c>weight_scale</c> of packed ternary weights means. Checkpoints of class <c>bitlinear</c> hold 1 / mean |w|, those of class
/// <c>autobitlinear</c> mean |w|.
/// </summary>
internal enum WeightScale
{
    /// <summary>What <c>quantization_config.linear_class</c> says.</summary>
    Configured,

    /// <summary>Weights are codes times the scale.</summary>
    Multiply,

    /// <summary>Weights are codes divided by the scale.</summary>
    Divide,
}
