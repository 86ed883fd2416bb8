using System.Buffers;
using System.Globalization;
using Tern.Files;
using Tern.Numerics;

namespace Tern.Conversion;

/// <summary>What the bytes of one tensor are like.</summary>
/// <param name="Tensor">The tensor.</param>
/// <param name="Minus">Weights with code -1; 0 in types without codes.</param>
/// <param name="Plus">Weights with code +1.</param>
/// <param name="NonZero">Weights that are not 0.</param>
/// <param name="Problem">Why no kernel may see it, with the place; or null.</param>
internal sealed record TensorCheck(Tensor Tensor, long Minus, long Plus, long NonZero, string? Problem)
{
    public long Weights => Tensor.Columns * Tensor.Rows;

    /// <summary>Nothing but zeros: a layer that does nothing, which some damaged downloads and exports hold.</summary>
    public bool IsAllZero => NonZero == 0 && Problem is null;
}

/// <summary>Reads every byte of a model: scales, codes, floats.</summary>
internal static class ModelCheck
{
    /// <summary>Checks all tensors in the order of the files.</summary>
    /// <param name="source">The model.</param>
    /// <param name="threads">How many share the work.</param>
    /// <param name="progress">Receives the share that is done, in [0, 1].</param>
    /// <param name="cancellation">Stops between batches of rows.</param>
    public static IReadOnlyList<TensorCheck> Run(ModelSource source, int threads, Action<double> progress, CancellationToken cancellation)
    {
        var loop = new RowLoop(source, threads, cancellation);
        long total = source.TensorsInOrder.Sum(t => t.ByteCount), done = 0;
        var checks = new List<TensorCheck>(source.TensorsInOrder.Count);
        foreach (Tensor tensor in source.TensorsInOrder)
        {
            checks.Add(Check(tensor, loop));
            done += tensor.ByteCount;
            progress((double)done / total);
        }

        return checks;
    }

    private static TensorCheck Check(Tensor tensor, RowLoop loop)
    {
        long bad = tensor.Type.FindBadScale(tensor);
        if (bad >= 0)
            return new TensorCheck(tensor, 0, 0, 0, string.Create(CultureInfo.InvariantCulture, $"the scale at offset {tensor.FileOffset + bad} is not a finite number"));

        long minus = 0, plus = 0, nonZero = 0, worst = long.MaxValue;
        string? problem = null;
        Lock gate = new();
        loop.Run(tensor, RowLoop.PieceRows(tensor.Columns, 1), (first, rows, _) =>
        {
            for (long row = first; row < first + rows; row++)
            {
                (long m, long p, long n, string? wrong) = tensor.Type is TernaryType type ? Codes(tensor, type, row) : Floats(tensor, row);
                lock (gate)
                {
                    (minus, plus, nonZero) = (minus + m, plus + p, nonZero + n);
                    if (wrong is not null && row < worst)
                        (worst, problem) = (row, wrong);
                }
            }
        });
        return new TensorCheck(tensor, minus, plus, nonZero, problem);
    }

    private static (long Minus, long Plus, long NonZero, string? Problem) Codes(Tensor tensor, TernaryType type, long row)
    {
        int columns = (int)tensor.Columns;
        sbyte[] rented = ArrayPool<sbyte>.Shared.Rent(columns);
        Span<sbyte> codes = rented.AsSpan(0, columns);
        type.DecodeCodes(tensor, row, codes);
        long minus = codes.Count((sbyte)-1), plus = codes.Count((sbyte)1);
        int three = codes.IndexOf((sbyte)2);
        ArrayPool<sbyte>.Shared.Return(rented);
        return (minus, plus, minus + plus, three < 0 ? null : string.Create(CultureInfo.InvariantCulture, $"row {row}, column {three} has code 3, which stands for no ternary weight"));
    }

    private static (long Minus, long Plus, long NonZero, string? Problem) Floats(Tensor tensor, long row)
    {
        int columns = (int)tensor.Columns;
        float[] rented = ArrayPool<float>.Shared.Rent(columns);
        Span<float> weights = rented.AsSpan(0, columns);
        tensor.DecodeRow(row, weights);
        long nonZero = columns - weights.Count(0f);
        string? problem = null;
        for (int i = 0; i < columns && problem is null; i++)
            if (!float.IsFinite(weights[i]))
                problem = string.Create(CultureInfo.InvariantCulture, $"row {row}, column {i} is {weights[i]}");
        ArrayPool<float>.Shared.Return(rented);
        return (0, 0, nonZero, problem);
    }
}
