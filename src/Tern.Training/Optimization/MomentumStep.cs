using System.Runtime.Intrinsics;

namespace Tern.Training.Optimization;

/// <summary>
/// Nesterov momentum. What is smaller than any rounding of its neighbours is zero: the momentum of a unit that is never active halves every 14 steps,
/// and products with numbers too small for the normal format of floats take a hundred times as long.
/// </summary>
internal readonly unsafe struct MomentumStep
{
    /// <summary>2^-60, whose square is still a normal float.</summary>
    private const float Least = 1f / (1L << 60);

    public required float* Gradients { get; init; }

    public required float* Momentum { get; init; }

    /// <summary>Factor of the gradient, below 1 when it is clipped.</summary>
    public required float Factor { get; init; }

    public required float Beta { get; init; }

    /// <summary>Moves the momentum of sixteen weights on and gives their direction.</summary>
    public Vector512<float> Next(long at)
    {
        Vector512<float> gradient = Vector512.Load(Gradients + at) * (Factor * (1 - Beta)), beta = Vector512.Create(Beta);
        Vector512<float> momentum = OrZero(Vector512.FusedMultiplyAdd(beta, Vector512.Load(Momentum + at), gradient));
        momentum.Store(Momentum + at);
        return OrZero(Vector512.FusedMultiplyAdd(beta, momentum, gradient));
    }

    /// <summary>Values from <see cref="Least"/> on, and what is no number; 0 for the others.</summary>
    private static Vector512<float> OrZero(Vector512<float> values) =>
        Vector512.ConditionalSelect(Vector512.LessThan(Vector512.Abs(values), Vector512.Create(Least)), Vector512<float>.Zero, values);
}
