using System.Runtime.InteropServices;
using Tern.Machine;

namespace Tern.Kernels;

/// <summary>How the gate of a feed-forward block acts on its other half.</summary>
internal enum GateFunction
{
    /// <summary>x · sigmoid(x).</summary>
    Silu,

    /// <summary>max(x, 0)².</summary>
    SquaredRelu,

    /// <summary>GELU, the tanh form.</summary>
    Gelu,
}

/// <summary>How rotary positions pair the dimensions of a head.</summary>
internal enum RopeStyle
{
    /// <summary>Dimension i with i + pairs (NEOX).</summary>
    Halves,

    /// <summary>Dimension 2i with 2i + 1 (the llama GGUF convention, q and k rows permuted by the converter).</summary>
    Adjacent,
}

/// <summary>
/// The engine's arithmetic behind one fence: every operation takes matrices, checks that they are large enough, and hands pointers to the
/// kernels. A batch of one token runs on the calling thread where a dispatch would cost more than the work; more tokens are shared out.
/// Rows never depend on each other, so neither choice changes a bit of any result.
/// </summary>
internal sealed unsafe class Compute : IDisposable
{
    /// <summary>Every choice gives the same bits, so where no model is at hand the fastest one serves.</summary>
    private static readonly Operations s_best = Operations.For(Cpu.Available);

    private readonly Operations _operations;
    private readonly WorkerPool _pool;
    private GCHandle _self;

    public Compute(Isa allowed, WorkerPool pool)
    {
        _operations = Operations.For(allowed);
        _pool = pool;
        Allowed = allowed;
        _self = GCHandle.Alloc(this);
    }

    private enum Kind
    {
        RmsNorm,
        RmsNormHeads,
        Add,
        Copy,
        Scale,
        Silu,
        SquaredRelu,
        Gelu,
        RopeHalves,
        RopeAdjacent,
    }

    public Isa Allowed { get; }

    public WorkerPool Pool => _pool;

    /// <summary>y = RMSNorm(x) · weight for <paramref name="rows"/> rows.</summary>
    public void RmsNorm(FloatMatrix x, FloatMatrix weight, float epsilon, FloatMatrix y, int rows)
    {
        Check(x, rows, weight.Columns);
        Check(y, rows, weight.Columns);
        Run(new RowJob(Kind.RmsNorm, weight.Columns) { X = x.Pointer, XStride = x.Stride, W = weight.Pointer, Y = y.Pointer, YStride = y.Stride, Factor = epsilon }, rows);
    }

    /// <summary>The activations of the next matmuls = RMSNorm(x) · weight.</summary>
    public void RmsNorm(FloatMatrix x, FloatMatrix weight, float epsilon, Activations y, int rows)
    {
        Check(x, rows, weight.Columns);
        y.Begin(rows, weight.Columns);
        Run(new RowJob(Kind.RmsNorm, weight.Columns) { X = x.Pointer, XStride = x.Stride, W = weight.Pointer, Y = y.Floats, YStride = y.Stride, Factor = epsilon }, rows);
    }

    /// <summary>As above for the rows of x that <paramref name="rowIndices"/> names, in that order.</summary>
    public void RmsNormRows(FloatMatrix x, ReadOnlySpan<int> rowIndices, FloatMatrix weight, float epsilon, Activations y)
    {
        y.Begin(rowIndices.Length, weight.Columns);
        for (int i = 0; i < rowIndices.Length; i++)
        {
            ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)rowIndices[i], (uint)x.Rows);
            Check(x, 1, weight.Columns);
            _operations.RmsNorm(x.Pointer + (long)rowIndices[i] * x.Stride, weight.Pointer, weight.Columns, epsilon, y.Floats + (long)i * y.Stride);
        }
    }

    /// <summary>RMSNorm in place of each of the <paramref name="heads"/> heads in a row.</summary>
    public void RmsNormHeads(FloatMatrix x, FloatMatrix weight, float epsilon, int heads, int rows)
    {
        Check(x, rows, heads * weight.Columns);
        Run(new RowJob(Kind.RmsNormHeads, weight.Columns) { X = x.Pointer, XStride = x.Stride, W = weight.Pointer, Factor = epsilon, Heads = heads }, rows);
    }

    /// <summary>x += y.</summary>
    public void Add(FloatMatrix x, FloatMatrix y, int rows)
    {
        Check(x, rows, y.Columns);
        Check(y, rows, x.Columns);
        Run(new RowJob(Kind.Add, x.Columns) { X = x.Pointer, XStride = x.Stride, Y = y.Pointer, YStride = y.Stride }, rows);
    }

    /// <summary>The activations of the next matmuls = x.</summary>
    public void Copy(FloatMatrix x, Activations y, int rows)
    {
        Check(x, rows, x.Columns);
        y.Begin(rows, x.Columns);
        Run(new RowJob(Kind.Copy, x.Columns) { X = x.Pointer, XStride = x.Stride, Y = y.Floats, YStride = y.Stride }, rows);
    }

    /// <summary>x *= factor.</summary>
    public void Scale(FloatMatrix x, float factor, int rows)
    {
        Check(x, rows, x.Columns);
        Run(new RowJob(Kind.Scale, x.Columns) { X = x.Pointer, XStride = x.Stride, Factor = factor }, rows);
    }

    /// <summary>gate = function(gate) · up.</summary>
    public void Gate(GateFunction function, FloatMatrix gate, FloatMatrix up, int rows)
    {
        Check(gate, rows, up.Columns);
        Check(up, rows, gate.Columns);
        Run(GateJob(function, gate, up, gate.Pointer, gate.Stride), rows);
    }

    /// <summary>The activations of the next matmuls = function(gate) · up.</summary>
    public void Gate(GateFunction function, FloatMatrix gate, FloatMatrix up, Activations y, int rows)
    {
        Check(gate, rows, up.Columns);
        Check(up, rows, gate.Columns);
        y.Begin(rows, gate.Columns);
        Run(GateJob(function, gate, up, y.Floats, y.Stride), rows);
    }

    /// <summary>Rotates the first 2 · pairs dimensions of every head by the row's angles.</summary>
    /// <param name="style">Which dimensions pair up.</param>
    /// <param name="x">[rows, heads · headDim].</param>
    /// <param name="angles">[rows, 2 · pairs]: cosines, then sines.</param>
    /// <param name="heads">Heads per row.</param>
    /// <param name="headDim">Dimensions per head.</param>
    /// <param name="rows">Rows.</param>
    public void Rope(RopeStyle style, FloatMatrix x, FloatMatrix angles, int heads, int headDim, int rows)
    {
        Check(x, rows, heads * headDim);
        Check(angles, rows, angles.Columns);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(angles.Columns, headDim);
        Kind kind = style == RopeStyle.Halves ? Kind.RopeHalves : Kind.RopeAdjacent;
        Run(new RowJob(kind, headDim) { X = x.Pointer, XStride = x.Stride, Y = angles.Pointer, YStride = angles.Stride, Heads = heads, Pairs = angles.Columns / 2 }, rows);
    }

    /// <summary>y[token, row] for all rows of the weights and all tokens of the activations.</summary>
    public void MatMul(WeightMatrix weights, Activations x, FloatMatrix y, int tokens)
    {
        Check(y, tokens, weights.Rows);
        Kernels.MatMul.Run(_pool, weights, x, y.Pointer, y.Stride);
    }

    /// <summary>Two matrices with the same activations, in one loop of the workers.</summary>
    public void MatMul(Activations x, int tokens, WeightMatrix weights0, FloatMatrix y0, WeightMatrix weights1, FloatMatrix y1)
    {
        Check(y0, tokens, weights0.Rows);
        Check(y1, tokens, weights1.Rows);
        Kernels.MatMul.Run(_pool, x, [new(weights0, y0.Pointer, y0.Stride), new(weights1, y1.Pointer, y1.Stride)]);
    }

    /// <summary>Three matrices with the same activations, in one loop of the workers.</summary>
    public void MatMul(Activations x, int tokens, WeightMatrix weights0, FloatMatrix y0, WeightMatrix weights1, FloatMatrix y1, WeightMatrix weights2, FloatMatrix y2)
    {
        Check(y0, tokens, weights0.Rows);
        Check(y1, tokens, weights1.Rows);
        Check(y2, tokens, weights2.Rows);
        Kernels.MatMul.Run(_pool, x, [new(weights0, y0.Pointer, y0.Stride), new(weights1, y1.Pointer, y1.Stride), new(weights2, y2.Pointer, y2.Stride)]);
    }

    /// <summary>As above into caller's memory, [tokens, weights.Rows].</summary>
    public void MatMul(WeightMatrix weights, Activations x, Span<float> y, int tokens)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(y.Length, checked(tokens * weights.Rows));
        fixed (float* pointer = y)
            Kernels.MatMul.Run(_pool, weights, x, pointer, weights.Rows);
    }

    /// <summary>Copies activations to caller's memory, [rows, columns].</summary>
    public static void CopyTo(Activations x, int columns, Span<float> y, int rows)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(rows, x.TokensMax);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(columns, x.Stride);
        for (int row = 0; row < rows; row++)
            new ReadOnlySpan<float>(x.Floats + (long)row * x.Stride, columns).CopyTo(y.Slice(row * columns, columns));
    }

    /// <summary>x / |x|₂ in place; a zero vector stays zero.</summary>
    public static void Normalize(Span<float> x)
    {
        fixed (float* pointer = x)
            s_best.L2Normalize(pointer, x.Length);
    }

    /// <summary>The largest of x, and Σ exp(x - largest): the two numbers of a log-softmax.</summary>
    public static (float Max, double SumExp) LogSumExp(ReadOnlySpan<float> x)
    {
        fixed (float* pointer = x)
            return s_best.LogSumExp(pointer, x.Length);
    }

    public void Dispose()
    {
        if (_self.IsAllocated)
            _self.Free();
    }

    private static RowJob GateJob(GateFunction function, FloatMatrix gate, FloatMatrix up, float* y, int yStride)
    {
        Kind kind = function switch
        {
            GateFunction.Silu => Kind.Silu,
            GateFunction.SquaredRelu => Kind.SquaredRelu,
            _ => Kind.Gelu,
        };
        return new RowJob(kind, gate.Columns) { X = gate.Pointer, XStride = gate.Stride, W = up.Pointer, WStride = up.Stride, Y = y, YStride = yStride };
    }

    private static void Check(FloatMatrix matrix, int rows, int columns)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan((uint)rows, (uint)matrix.Rows);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(columns, matrix.Columns);
    }

    private void Run(RowJob job, int rows)
    {
        job.Self = GCHandle.ToIntPtr(_self);
        if (rows == 1 || _pool.Threads == 1)
            RunRows(ref job, 0, rows);
        else
            _pool.Run(&Body, &job, rows, 1);
    }

    private static void Body(void* state, int start, int end, int worker)
    {
        var job = (RowJob*)state;
        ((Compute)GCHandle.FromIntPtr(job->Self).Target!).RunRows(ref *job, start, end);
    }

    private void RunRows(ref RowJob job, int start, int end)
    {
        for (int row = start; row < end; row++)
        {
            float* x = job.X + (long)row * job.XStride;
            float* w = job.W + (long)row * job.WStride;
            float* y = job.Y + (long)row * job.YStride;
            switch (job.Kind)
            {
                case Kind.RmsNorm:
                    _operations.RmsNorm(x, w, job.Count, job.Factor, y);
                    break;
                case Kind.RmsNormHeads:
                    for (int head = 0; head < job.Heads; head++)
                        _operations.RmsNorm(x + head * job.Count, w, job.Count, job.Factor, x + head * job.Count);
                    break;
                case Kind.Add:
                    _operations.Add(x, y, job.Count);
                    break;
                case Kind.Copy:
                    NativeMemory.Copy(x, y, (nuint)job.Count * sizeof(float));
                    break;
                case Kind.Scale:
                    _operations.Scale(x, job.Factor, job.Count);
                    break;
                case Kind.Silu:
                    _operations.SiluGate(x, w, y, job.Count);
                    break;
                case Kind.SquaredRelu:
                    _operations.SquaredReluGate(x, w, y, job.Count);
                    break;
                case Kind.Gelu:
                    _operations.GeluGate(x, w, y, job.Count);
                    break;
                case Kind.RopeHalves:
                    for (int head = 0; head < job.Heads; head++)
                        _operations.RopeHalves(x + head * job.Count, y, job.Pairs);
                    break;
                default:
                    for (int head = 0; head < job.Heads; head++)
                        _operations.RopeAdjacent(x + head * job.Count, y, job.Pairs);
                    break;
            }
        }
    }

    /// <summary>One row-wise operation: x, w and y of row r lie at their pointer plus r strides; a stride of 0 shares one row.</summary>
    private struct RowJob(Kind kind, int count)
    {
        public readonly Kind Kind = kind;
        public readonly int Count = count;
        public nint Self;
        public float* X;
        public float* W;
        public float* Y;
        public int XStride;
        public int WStride;
        public int YStride;
        public int Heads;
        public int Pairs;
        public float Factor;
    }
}
