using System.Runtime.Intrinsics;

namespace Tern.Kernels;

/// <summary>The two passes over the estimates of a token: which are largest, and which may reach a threshold.</summary>
internal static unsafe class ScreenRows
{
    /// <summary>The rows of the largest estimates, in no order; NaN and negative infinity are none.</summary>
    /// <param name="estimates">[rows].</param>
    /// <param name="rows">How many.</param>
    /// <param name="values">Receives the estimates: a heap, the least on top.</param>
    /// <param name="ids">Receives the rows; its length is how many are asked for.</param>
    /// <returns>How many were found.</returns>
    public static int Largest(float* estimates, int rows, Span<float> values, Span<int> ids)
    {
        values.Fill(float.NegativeInfinity);
        ids.Fill(-1);
        int found = 0, row = 0;
        while (row < rows)
        {
            if (row + Vector256<float>.Count <= rows && !Vector256.GreaterThanAny(Vector256.Load(estimates + row), Vector256.Create(values[0])))
            {
                row += Vector256<float>.Count;
                continue;
            }

            for (int end = Math.Min(row + Vector256<float>.Count, rows); row < end; row++)
            {
                if (!(estimates[row] > values[0]))
                    continue;
                found++;
                Replace(values, ids, estimates[row], row);
            }
        }

        if (found >= ids.Length)
            return ids.Length;

        // Less than a heap full: what was not filled stands anywhere in it.
        int kept = 0;
        foreach (int id in ids)
            if (id >= 0)
                ids[kept++] = id;
        return kept;
    }

    /// <summary>The rows whose score may reach the threshold: all but those whose estimate misses it by more than the bound.</summary>
    /// <param name="estimates">[rows].</param>
    /// <param name="squares">[rows] squares of the bounds; negative for rows that are not asked.</param>
    /// <param name="rows">How many.</param>
    /// <param name="threshold">The threshold.</param>
    /// <param name="ids">Receives the rows in ascending order.</param>
    /// <param name="idsMax">Its length.</param>
    /// <returns>How many; −1 when they are more than there is room for.</returns>
    public static int Reaching(float* estimates, float* squares, int rows, float threshold, int* ids, int idsMax)
    {
        const int step = 8;
        int count = 0, row = 0;
        Vector256<float> all = Vector256.Create(threshold);
        while (row < rows)
        {
            int lanes = Math.Min(step, rows - row);
            uint reaching = (1u << lanes) - 1;
            if (lanes == step)
            {
                Vector256<float> missing = all - Vector256.Load(estimates + row);
                Vector256<float> misses = Vector256.GreaterThan(missing, Vector256<float>.Zero) & Vector256.GreaterThan(missing * missing, Vector256.Load(squares + row));
                reaching &= ~misses.ExtractMostSignificantBits();
            }

            for (int lane = 0; reaching != 0; lane++, reaching >>= 1)
            {
                float missing = threshold - estimates[row + lane];
                if ((reaching & 1) == 0 || (missing > 0 && missing * missing > squares[row + lane]))
                    continue;
                if (count == idsMax)
                    return -1;
                ids[count++] = row + lane;
            }

            row += lanes;
        }

        return count;
    }

    /// <summary>Replaces the least of a heap.</summary>
    private static void Replace(Span<float> values, Span<int> ids, float value, int id)
    {
        int index = 0;
        for (int child = 1; child < values.Length; child = (2 * index) + 1)
        {
            if (child + 1 < values.Length && values[child + 1] < values[child])
                child++;
            if (value <= values[child])
                break;
            (values[index], ids[index]) = (values[child], ids[child]);
            index = child;
        }

        (values[index], ids[index]) = (value, id);
    }
}
