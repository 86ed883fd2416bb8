using System.Runtime.Intrinsics;

namespace Tern.Training.Optimization;

/// <summary>
/// AdamW with decoupled weight decay (Loshchilov, Hutter 2019), in one pass over weights, gradients and moments.
/// <code>
///   m = β1 m + (1 - β1) g      v = β2 v + (1 - β2) g²      w -= rate (m / (1 - β1^t) / (sqrt(v / (1 - β2^t)) + ε) + decay · w)
/// </code>
/// </summary>
internal unsafe struct AdamW
{
    public required float* Gradients { get; init; }

    public required float* First { get; init; }

    public required float* Second { get; init; }

    /// <summary>Factor of the gradient, below 1 when it is clipped.</summary>
    public required float Factor { get; init; }

    public required float Rate { get; init; }

    public required float Beta1 { get; init; }

    public required float Beta2 { get; init; }

    public required float Epsilon { get; init; }

    /// <summary>1 / (1 - β1^t).</summary>
    public required float FirstCorrection { get; init; }

    /// <summary>1 / (1 - β2^t).</summary>
    public required float SecondCorrection { get; init; }

    public required WeightUpdate Write { get; init; }

    /// <summary>Changes the weights [start, start + count), count a multiple of 16.</summary>
    public readonly void Apply(long start, int count, bool decays)
    {
        float* g = Gradients + start, m = First + start, v = Second + start;
        WeightUpdate write = Write;
        Vector512<float> factor = Vector512.Create(Factor);
        Vector512<float> beta1 = Vector512.Create(Beta1), rest1 = Vector512.Create(1 - Beta1);
        Vector512<float> beta2 = Vector512.Create(Beta2), rest2 = Vector512.Create(1 - Beta2);
        Vector512<float> step = Vector512.Create(Rate * FirstCorrection), epsilon = Vector512.Create(Epsilon);
        Vector512<float> correction = Vector512.Create(SecondCorrection);
        Vector512<float> kept = Vector512.Create(decays ? write.Kept : 1);
        for (int i = 0; i < count; i += 16)
        {
            Vector512<float> gradient = Vector512.Load(g + i) * factor;
            Vector512<float> first = Vector512.FusedMultiplyAdd(beta1, Vector512.Load(m + i), rest1 * gradient);
            Vector512<float> second = Vector512.FusedMultiplyAdd(beta2, Vector512.Load(v + i), rest2 * gradient * gradient);
            first.Store(m + i);
            second.Store(v + i);
            write.Apply(start + i, kept, step * first / (Vector512.Sqrt(second * correction) + epsilon));
        }
    }
}
