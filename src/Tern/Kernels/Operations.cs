using Tern.Machine;

namespace Tern.Kernels;

/// <summary>
/// The small float operations, in one definition that every ISA follows: 16 lanes, fused multiply-add, a fixed tree at the end, and
/// polynomials of our own for exp, so that results are the same bits on every machine. One instance per <see cref="Isa"/> choice.
/// </summary>
internal sealed unsafe class Operations
{
    /// <summary>The widest implementation within <paramref name="allowed"/>.</summary>
    public static Operations For(Isa allowed) => throw new NotSupportedException($"{allowed}");

    /// <summary>y[i] = x[i] / sqrt(mean(x²) + epsilon) · weight[i]; y may be x.</summary>
    public void RmsNorm(float* x, float* weight, int count, float epsilon, float* y) => throw new NotSupportedException();

    /// <summary>x[i] += y[i].</summary>
    public void Add(float* x, float* y, int count) => throw new NotSupportedException();

    /// <summary>x[i] *= factor.</summary>
    public void Scale(float* x, float factor, int count) => throw new NotSupportedException();

    /// <summary>y[i] = silu(gate[i]) · up[i], silu(v) = v / (1 + exp(-v)); y may be gate or up.</summary>
    public void SiluGate(float* gate, float* up, float* y, int count) => throw new NotSupportedException();

    /// <summary>y[i] = max(gate[i], 0)² · up[i].</summary>
    public void SquaredReluGate(float* gate, float* up, float* y, int count) => throw new NotSupportedException();

    /// <summary>y[i] = gelu(gate[i]) · up[i], the tanh form.</summary>
    public void GeluGate(float* gate, float* up, float* y, int count) => throw new NotSupportedException();

    /// <summary>Rotates pairs (i, i + pairs) of one head: the NEOX style. cosSin holds [pairs] cosines, then [pairs] sines.</summary>
    public void RopeHalves(float* head, float* cosSin, int pairs) => throw new NotSupportedException();

    /// <summary>Rotates pairs (2i, 2i + 1) of one head: the NORM style.</summary>
    public void RopeAdjacent(float* head, float* cosSin, int pairs) => throw new NotSupportedException();

    /// <summary>Sum of exp(x[i] - max), and max: the two numbers of a log-softmax.</summary>
    public (float Max, double SumExp) LogSumExp(float* x, int count) => throw new NotSupportedException();
}

/// <summary>exp, log, sin, cos and pow in double precision from IEEE operations alone, so that tables made at load are the same everywhere.</summary>
internal static class PortableMath
{
    public static double Exp(double x) => throw new NotSupportedException();

    public static double Log(double x) => throw new NotSupportedException();

    public static double Pow(double x, double y) => Exp(y * Log(x));

    public static (double Sin, double Cos) SinCos(double x) => throw new NotSupportedException();
}

/// <summary>Cosines and sines of rotary angles.</summary>
internal static unsafe class RopeTable
{
    /// <summary>Writes [pairs] cosines, then [pairs] sines of position · frequency, times the magnitude.</summary>
    public static void Fill(ReadOnlySpan<double> frequencies, double magnitude, int position, float* cosSin) => throw new NotSupportedException();
}
