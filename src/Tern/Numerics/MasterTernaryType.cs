using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Tern.Numerics;

/// <summary>
/// Float weights that a model was trained to round to ternary ones in every step (BitNet b1.58, "online" checkpoints). They are rounded here
/// as in training (<see cref="AbsMean"/>); one instance per tensor. The mean is taken at the first question for it, once: in double precision over pieces of a fixed size, whose sums are added in order,
/// so that it does not depend on the number of threads.
/// </summary>
/// <param name="floats">F32, F16 or BF16: what the bytes are.</param>
/// <param name="order">How rows are handed out.</param>
internal sealed class MasterTernaryType(TensorType floats, RowOrder order) : TernaryType
{
    /// <summary>Weights that are summed before the sum joins the others.</summary>
    private const int PieceWeights = 1 << 18;

    /// <summary>Weights that are converted at a time, on the stack.</summary>
    private const int StepWeights = 1 << 10;

    private readonly Lock _once = new();
    private float _scale = float.NaN;
    private float _cut;
    private volatile bool _isKnown;

    public override string Name => $"{floats.Name}_MASTER";

    /// <summary>None: GGUF holds ternary weights rounded already.</summary>
    public override int GgufId => -1;

    public override int BlockSize => 1;

    public override int BlockBytes => floats.BlockBytes;

    public override bool CanEncode => false;

    public override TensorType Representative => I2S;

    public override long ScaleColumns(Tensor tensor) => tensor.Columns;

    public override float ScaleOf(Tensor tensor, long row, long group)
    {
        if (_isKnown)
            return _scale;
        lock (_once)
        {
            if (!_isKnown)
            {
                _scale = AbsMean.Scale(SumOfMagnitudes(tensor) / ((double)tensor.Rows * tensor.Columns));
                _cut = AbsMean.Cut(_scale);
                _isKnown = true;
            }

            return _scale;
        }
    }

    public override long OffsetOf(Tensor tensor, long row, long column) => ((order.Source(row) * tensor.Columns) + column) * BlockBytes;

    public override void DecodeCodes(Tensor tensor, long row, Span<sbyte> codes)
    {
        _ = ScaleOf(tensor, row, 0); // known from here on, and the cut with it
        int columns = checked((int)tensor.Columns);
        long first = order.Source(row) * columns;
        Span<float> step = stackalloc float[StepWeights];
        for (int done = 0; done < columns; done += StepWeights)
        {
            int count = Math.Min(StepWeights, columns - done);
            Read(tensor, first + done, step[..count]);
            AbsMean.Round(step[..count], _cut, codes.Slice(done, count));
        }
    }

    /// <summary>The weights as they are in the file, for who trains them further.</summary>
    /// <param name="tensor">Whose type this is.</param>
    /// <param name="row">In the order in which rows are handed out.</param>
    /// <param name="masters">[columns] results.</param>
    public void DecodeMasters(Tensor tensor, long row, Span<float> masters) => Read(tensor, order.Source(row) * tensor.Columns, masters);

    private double SumOfMagnitudes(Tensor tensor)
    {
        long weights = tensor.Rows * tensor.Columns;
        double[] sums = new double[(weights + PieceWeights - 1) / PieceWeights];
        Parallel.For(0, sums.Length, piece =>
        {
            long start = (long)piece * PieceWeights;
            sums[piece] = SumOfMagnitudes(tensor, start, (int)Math.Min(PieceWeights, weights - start));
        });

        double sum = 0;
        foreach (double piece in sums)
            sum += piece;
        return sum;
    }

    private double SumOfMagnitudes(Tensor tensor, long start, int count)
    {
        Span<float> step = stackalloc float[StepWeights];
        Vector256<double> low = default, high = default;
        double rest = 0;
        for (int done = 0; done < count; done += StepWeights)
        {
            Span<float> weights = step[..Math.Min(StepWeights, count - done)];
            Read(tensor, start + done, weights);
            int i = 0;
            for (; i <= weights.Length - Vector256<float>.Count; i += Vector256<float>.Count)
            {
                (Vector256<double> first, Vector256<double> second) = Vector256.Widen(Vector256.Abs(Vector256.Create<float>(weights[i..])));
                low += first;
                high += second;
            }

            for (; i < weights.Length; i++)
                rest += MathF.Abs(weights[i]);
        }

        Vector256<double> sum = low + high;
        return sum[0] + sum[1] + sum[2] + sum[3] + rest;
    }

    /// <summary>Weights from a flat index on.</summary>
    private void Read(Tensor tensor, long start, Span<float> weights)
    {
        ReadOnlySpan<byte> bytes = tensor.Bytes(start * BlockBytes, weights.Length * BlockBytes);
        if (floats == F32)
            MemoryMarshal.Cast<byte, float>(bytes).CopyTo(weights);
        else if (floats == F16)
            Halves.ToSingles(MemoryMarshal.Cast<byte, ushort>(bytes), weights);
        else
            Halves.BrainToSingles(MemoryMarshal.Cast<byte, ushort>(bytes), weights);
    }
}
