using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Tern.Training.Optimization;

/// <summary>What every rule does to a weight once its change is known: decoupled decay, rounding, moving average.</summary>
internal unsafe struct WeightUpdate
{
    /// <summary>The flat array.</summary>
    public required float* Weights { get; init; }

    /// <summary>The moving average, or null.</summary>
    public required float* Average { get; init; }

    /// <summary>Share of the new weight in the average.</summary>
    public required float AverageShare { get; init; }

    /// <summary>1 - rate · decay, for weights that decay.</summary>
    public required float Kept { get; init; }

    /// <summary>Whether weights are rounded to bfloat16 at random.</summary>
    public required bool Rounds { get; init; }

    /// <summary>Of this step's rounding.</summary>
    public required uint RoundingSeed { get; init; }

    /// <summary>w = kept · w - change, for sixteen weights.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly void Apply(long at, Vector512<float> kept, Vector512<float> change)
    {
        Vector512<float> weight = (Vector512.Load(Weights + at) * kept) - change;
        if (Rounds)
            weight = StochasticRounding.ToBFloat16(weight, (uint)at, RoundingSeed);
        weight.Store(Weights + at);
        if (Average is null)
            return;
        Vector512<float> mean = Vector512.Load(Average + at);
        Vector512.FusedMultiplyAdd(Vector512.Create(AverageShare), weight - mean, mean).Store(Average + at);
    }
}
