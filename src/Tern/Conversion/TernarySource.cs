using System.Buffers;
using System.Globalization;
using Tern.Numerics;

namespace Tern.Conversion;

/// <summary>How weights that were not trained to be ternary are made so.</summary>
internal enum Ternarisation
{
    /// <summary>Not at all: it destroys a model that was not trained for it.</summary>
    Refuse,

    /// <summary>BitNet b1.58: scale = mean |w| of the tensor, code = round(w / scale) in -1..1.</summary>
    AbsMean,

    /// <summary>
    /// Ternary weight networks (Li et al. 2016): 0 where |w| ≤ 0.7 mean |w|, and the scale with the least squared error for the rest, which is their
    /// mean |w|. Row by row where the type to be written has room for that.
    /// </summary>
    Twn,
}

/// <summary>
/// A tensor as codes -1, 0, +1 and scales, wherever they come from: a ternary type, floats that take three values only, or floats that are
/// made ternary. Codes and scales never pass through a maximum of floats, so nothing is lost between ternary types.
/// </summary>
internal sealed class TernarySource
{
    private const double TwnThreshold = 0.7;

    private readonly Tensor _tensor;
    private readonly float[] _scales; // [rows, groups]
    private readonly bool[]? _empty; // [rows, groups]: the scale in the file is 0
    private readonly float[] _cuts; // [rows] or [1]: the code of w is 0 up to |w| of this; unused by ternary types

    private TernarySource(Tensor tensor, float[] scales, bool[]? empty, float[] cuts) =>
        (_tensor, _scales, _empty, _cuts) = (tensor, scales, empty, cuts);

    private int Columns => (int)_tensor.Columns;

    /// <summary>Scales of a row.</summary>
    public int Groups => (int)(_scales.Length / _tensor.Rows);

    /// <summary>The one scale of all weights, or null when there are several.</summary>
    public float? CommonScale => _scales.AsSpan().ContainsAnyExcept(_scales[0]) ? null : _scales[0];

    /// <summary>The codes and scales of a ternary type.</summary>
    /// <exception cref="TernException">A scale is not finite.</exception>
    public static TernarySource Of(Tensor tensor)
    {
        var type = (TernaryType)tensor.Type;
        long bad = type.FindBadScale(tensor);
        if (bad >= 0)
            throw tensor.Error(ErrorKind.Semantic, bad, "the scale is not a finite number: the file is damaged, take it from another source");
        var scales = new float[checked(tensor.Rows * (tensor.Columns / type.ScaleColumns(tensor)))];
        type.ReadScales(tensor, scales);
        return new TernarySource(tensor, scales, Repair(scales), []);
    }

    /// <summary>The codes and scales of floats that take only the values -s, 0 and +s in each row; null when they do not.</summary>
    public static TernarySource? TryExact(Tensor tensor, RowLoop loop)
    {
        var scales = new float[tensor.Rows];
        if (!IsExact(0))
            return null;

        bool exact = true;
        loop.Run(tensor, RowLoop.PieceRows(tensor.Columns, 1), (first, rows, _) =>
        {
            for (long row = first; row < first + rows && Volatile.Read(ref exact); row++)
                if (!IsExact(row))
                    Volatile.Write(ref exact, false);
        });
        return exact ? new TernarySource(tensor, scales, Repair(scales), [0]) : null;

        bool IsExact(long row) => WithRow(tensor, row, weights => scales[row] = Magnitude(weights)) >= 0;
    }

    /// <summary>Floats with scale = mean |w| of the tensor: the mean in doubles, row by row in order, so that it does not depend on the threads.</summary>
    public static TernarySource AbsMean(Tensor tensor, RowLoop loop)
    {
        double[] sums = RowSums(tensor, loop);
        float mean = Checked(tensor, Numerics.AbsMean.Scale(sums.Sum() / ((double)tensor.Columns * tensor.Rows)));
        var scales = new float[tensor.Rows];
        Array.Fill(scales, mean);

        return new TernarySource(tensor, scales, null, [Numerics.AbsMean.Cut(mean)]);
    }

    /// <summary>Floats by the rule of ternary weight networks, with a scale per row or per tensor.</summary>
    public static TernarySource Twn(Tensor tensor, RowLoop loop, bool perRow)
    {
        double[] sums = RowSums(tensor, loop);
        var cuts = new float[tensor.Rows];
        double all = sums.Sum() / ((double)tensor.Columns * tensor.Rows);
        for (int row = 0; row < cuts.Length; row++)
            cuts[row] = Checked(tensor, (float)(TwnThreshold * (perRow ? sums[row] / tensor.Columns : all)));

        var kept = new long[tensor.Rows];
        var scales = new float[tensor.Rows];
        loop.Run(tensor, RowLoop.PieceRows(tensor.Columns, 1), (first, rows, _) =>
        {
            for (long row = first; row < first + rows; row++)
                sums[row] = WithRow(tensor, row, weights => SumAbove(weights, cuts[row], out kept[row]));
        });
        double mean = sums.Sum() / Math.Max(1, kept.Sum());
        for (int row = 0; row < scales.Length; row++)
            scales[row] = (float)(perRow ? sums[row] / Math.Max(1, kept[row]) : mean);
        return new TernarySource(tensor, scales, null, cuts);
    }

    /// <summary>[rows, groups]</summary>
    public ReadOnlySpan<float> AllScales => _scales;

    /// <summary>Scales of some rows: [rows, groups].</summary>
    public ReadOnlySpan<float> Scales(long first, int rows) => _scales.AsSpan((int)(first * Groups), rows * Groups);

    /// <summary>Codes of one row.</summary>
    /// <exception cref="TernException">The row has the forbidden code 3.</exception>
    public void Codes(long row, Span<sbyte> codes)
    {
        codes = codes[..Columns];
        if (_cuts.Length > 0)
        {
            float cut = _cuts[_cuts.Length > 1 ? (int)row : 0];
            float[] floats = ArrayPool<float>.Shared.Rent(Columns);
            _tensor.DecodeRow(row, floats);
            Numerics.AbsMean.Round(floats.AsSpan(0, Columns), cut, codes);
            ArrayPool<float>.Shared.Return(floats);
            return;
        }

        ((TernaryType)_tensor.Type).DecodeCodes(_tensor, row, codes);
        int three = codes.IndexOf((sbyte)2);
        if (three >= 0)
            throw _tensor.Error(ErrorKind.Semantic, ((TernaryType)_tensor.Type).OffsetOf(_tensor, row, three), string.Create(CultureInfo.InvariantCulture, $"row {row}, column {three} has code 3, which stands for no ternary weight: the file is damaged or not of this type; 'tern inspect --validate' says more"));
        if (_empty is null)
            return;

        int width = Columns / Groups;
        for (int group = 0; group < Groups; group++)
            if (_empty[(row * Groups) + group])
                codes.Slice(group * width, width).Clear();
    }

    /// <summary>
    /// A block of zeros may have any scale, and its writer gave it 0. It gets the scale of its neighbours, so that a tensor with one scale still has
    /// one. Returns which they were.
    /// </summary>
    private static bool[]? Repair(float[] scales)
    {
        if (Array.IndexOf(scales, 0f) < 0)
            return null;

        bool[] empty = [.. scales.Select(s => s == 0)];
        float last = scales.FirstOrDefault(s => s != 0);
        for (int i = 0; i < scales.Length; i++)
            last = scales[i] = empty[i] ? last : scales[i];
        return empty;
    }

    private static double[] RowSums(Tensor tensor, RowLoop loop)
    {
        var sums = new double[tensor.Rows];
        loop.Run(tensor, RowLoop.PieceRows(tensor.Columns, 1), (first, rows, _) =>
        {
            for (long row = first; row < first + rows; row++)
                sums[row] = WithRow(tensor, row, weights => SumAbove(weights, 0, out long _));
        });
        return sums;
    }

    private static double SumAbove(ReadOnlySpan<float> weights, float cut, out long count)
    {
        double sum = 0;
        count = 0;
        foreach (float weight in weights)
        {
            float magnitude = MathF.Abs(weight);
            if (magnitude <= cut)
                continue;
            sum += magnitude;
            count++;
        }

        return sum;
    }

    /// <summary>The one magnitude of weights that are not 0; 0 when all are; -1 when there are several.</summary>
    private static float Magnitude(ReadOnlySpan<float> weights)
    {
        float found = 0;
        foreach (float weight in weights)
        {
            float magnitude = MathF.Abs(weight);
            if (magnitude == 0 || magnitude == found)
                continue;
            if (found != 0 || !float.IsFinite(magnitude))
                return -1;
            found = magnitude;
        }

        return found;
    }

    private static T WithRow<T>(Tensor tensor, long row, Func<Span<float>, T> use)
    {
        int columns = (int)tensor.Columns;
        float[] floats = ArrayPool<float>.Shared.Rent(columns);
        tensor.DecodeRow(row, floats);
        T result = use(floats.AsSpan(0, columns));
        ArrayPool<float>.Shared.Return(floats);
        return result;
    }

    private static float Checked(Tensor tensor, float scale) =>
        float.IsFinite(scale) ? scale : throw tensor.Error(ErrorKind.Semantic, 0, "weights are infinite or not numbers: the file is damaged, take it from another source");
}
