using Tern.Machine;

namespace Tern.Kernels;

/// <summary>
/// The small float operations, in one definition that every ISA follows: 16 lanes, fused multiply-add, a fixed tree at the end, and
/// polynomials of our own for exp, so that results are the same bits on every machine. One instance per <see cref="Isa"/> choice.
/// </summary>
internal sealed unsafe class Operations
{
    private readonly delegate*<float*, float*, int, float, float*, void> _rmsNorm;
    private readonly delegate*<float*, int, void> _l2Normalize;
    private readonly delegate*<float*, float*, int, void> _add;
    private readonly delegate*<float*, float, int, void> _scale;
    private readonly delegate*<float*, float*, float*, int, void> _siluGate;
    private readonly delegate*<float*, float*, float*, int, void> _squaredReluGate;
    private readonly delegate*<float*, float*, float*, int, void> _geluGate;
    private readonly delegate*<float*, float*, int, void> _ropeHalves;
    private readonly delegate*<float*, float*, int, void> _ropeAdjacent;
    private readonly delegate*<float*, int, (float Max, double SumExp)> _logSumExp;

    private Operations(
        delegate*<float*, float*, int, float, float*, void> rmsNorm,
        delegate*<float*, int, void> l2Normalize,
        delegate*<float*, float*, int, void> add,
        delegate*<float*, float, int, void> scale,
        delegate*<float*, float*, float*, int, void> siluGate,
        delegate*<float*, float*, float*, int, void> squaredReluGate,
        delegate*<float*, float*, float*, int, void> geluGate,
        delegate*<float*, float*, int, void> ropeHalves,
        delegate*<float*, float*, int, void> ropeAdjacent,
        delegate*<float*, int, (float Max, double SumExp)> logSumExp)
    {
        _rmsNorm = rmsNorm;
        _l2Normalize = l2Normalize;
        _add = add;
        _scale = scale;
        _siluGate = siluGate;
        _squaredReluGate = squaredReluGate;
        _geluGate = geluGate;
        _ropeHalves = ropeHalves;
        _ropeAdjacent = ropeAdjacent;
        _logSumExp = logSumExp;
    }

    /// <summary>The widest implementation within <paramref name="allowed"/>.</summary>
    public static Operations For(Isa allowed) =>
        allowed.HasFlag(Isa.Avx512) ? Of<Lanes512>()
        : allowed.HasFlag(Isa.Avx2) ? Of<Lanes256>()
        : allowed.HasFlag(Isa.AdvSimd) ? Of<Lanes128>()
        : Of<LanesScalar>();

    /// <summary>The implementation on one lane type.</summary>
    private static Operations Of<TLanes>()
        where TLanes : unmanaged, ILanes<TLanes> => new(
            &FloatOperations<TLanes>.RmsNorm,
            &FloatOperations<TLanes>.L2Normalize,
            &FloatOperations<TLanes>.Add,
            &FloatOperations<TLanes>.Scale,
            &FloatOperations<TLanes>.SiluGate,
            &FloatOperations<TLanes>.SquaredReluGate,
            &FloatOperations<TLanes>.GeluGate,
            &FloatOperations<TLanes>.RopeHalves,
            &FloatOperations<TLanes>.RopeAdjacent,
            &FloatOperations<TLanes>.LogSumExp);

    /// <summary>y[i] = x[i] / sqrt(mean(x²) + epsilon) · weight[i]; y may be x.</summary>
    public void RmsNorm(float* x, float* weight, int count, float epsilon, float* y) => _rmsNorm(x, weight, count, epsilon, y);

    /// <summary>x[i] /= sqrt(Σ x²); all zeros stay zeros.</summary>
    public void L2Normalize(float* x, int count) => _l2Normalize(x, count);

    /// <summary>x[i] += y[i].</summary>
    public void Add(float* x, float* y, int count) => _add(x, y, count);

    /// <summary>x[i] *= factor.</summary>
    public void Scale(float* x, float factor, int count) => _scale(x, factor, count);

    /// <summary>y[i] = silu(gate[i]) · up[i], silu(v) = v / (1 + exp(-v)); y may be gate or up.</summary>
    public void SiluGate(float* gate, float* up, float* y, int count) => _siluGate(gate, up, y, count);

    /// <summary>y[i] = max(gate[i], 0)² · up[i]; y may be gate or up.</summary>
    public void SquaredReluGate(float* gate, float* up, float* y, int count) => _squaredReluGate(gate, up, y, count);

    /// <summary>y[i] = gelu(gate[i]) · up[i], the tanh form; y may be gate or up.</summary>
    public void GeluGate(float* gate, float* up, float* y, int count) => _geluGate(gate, up, y, count);

    /// <summary>Rotates pairs (i, i + pairs) of one head: the NEOX style. cosSin holds [pairs] cosines, then [pairs] sines.</summary>
    public void RopeHalves(float* head, float* cosSin, int pairs) => _ropeHalves(head, cosSin, pairs);

    /// <summary>Rotates pairs (2i, 2i + 1) of one head: the NORM style. cosSin holds [pairs] cosines, then [pairs] sines.</summary>
    public void RopeAdjacent(float* head, float* cosSin, int pairs) => _ropeAdjacent(head, cosSin, pairs);

    /// <summary>
    /// Sum of exp(x[i] - max), and max: the two numbers of a log-softmax. Blocks of 4,096 are summed in float lanes and added up in double,
    /// so a vocabulary of 128k loses nothing.
    /// </summary>
    public (float Max, double SumExp) LogSumExp(float* x, int count) => _logSumExp(x, count);
}
