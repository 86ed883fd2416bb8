using Tern.Kernels;

namespace Tern.Models;

/// <summary>
/// The angular frequency of every rotating pair, scaled as the spec says, and the factor on cosines and sines. Linear scaling divides all
/// frequencies; YaRN (Peng et al. 2023, "YaRN: Efficient Context Window Extension", section 3) divides those that turn less than BetaSlow
/// times within the original context, keeps those that turn more than BetaFast times, and mixes the two between.
/// </summary>
internal sealed class RotaryFrequencies
{
    private RotaryFrequencies(double[] perPair, double magnitude) => (PerPair, Magnitude) = (perPair, magnitude);

    /// <summary>[pairs] radians per position.</summary>
    public double[] PerPair { get; }

    /// <summary>Factor on cosines and sines.</summary>
    public double Magnitude { get; }

    /// <param name="rope">The model's rotary embedding.</param>
    /// <param name="divisors">[pairs] divisors from the file, or empty.</param>
    public static RotaryFrequencies From(RopeSpec rope, ReadOnlySpan<float> divisors)
    {
        int pairs = rope.Dimensions / 2;
        var frequencies = new double[pairs];
        for (int i = 0; i < pairs; i++)
        {
            frequencies[i] = PortableMath.Pow(rope.Base, -2.0 * i / rope.Dimensions);
            if (!divisors.IsEmpty)
                frequencies[i] /= divisors[i];
        }

        switch (rope.Scaling)
        {
            case RopeScaling.Linear:
                for (int i = 0; i < pairs; i++)
                    frequencies[i] /= rope.Factor;
                return new RotaryFrequencies(frequencies, 1);
            case RopeScaling.Yarn:
                return Yarn(rope, frequencies);
            default:
                return new RotaryFrequencies(frequencies, 1);
        }
    }

    private static RotaryFrequencies Yarn(RopeSpec rope, double[] frequencies)
    {
        double low = Math.Max(0, Math.Floor(PairOfRotations(rope, rope.BetaFast)));
        double high = Math.Min(rope.Dimensions - 1, Math.Ceiling(PairOfRotations(rope, rope.BetaSlow)));
        for (int i = 0; i < frequencies.Length; i++)
        {
            double ramp = Math.Clamp((i - low) / Math.Max(0.001, high - low), 0, 1);
            frequencies[i] = frequencies[i] * (1 - ramp) + frequencies[i] / rope.Factor * ramp;
        }

        return new RotaryFrequencies(frequencies, rope.AttentionFactor * (1 + 0.1 * PortableMath.Log(rope.Factor)));
    }

    /// <summary>The pair, as a real number, that turns <paramref name="rotations"/> times within the original context.</summary>
    private static double PairOfRotations(RopeSpec rope, double rotations) =>
        rope.Dimensions * PortableMath.Log(rope.OriginalContextLength / (rotations * 2 * Math.PI)) / (2 * PortableMath.Log(rope.Base));
}
