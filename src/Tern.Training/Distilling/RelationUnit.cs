using System.Runtime.Intrinsics;
using Tern.Training.Mathematics;

namespace Tern.Training.Distilling;

/// <summary>
/// One worker's memory for the relations among the positions of one sequence in one part of Q, K or V. Student and teacher may differ in width.
/// <code>
///   a[T, width] → rows â = a / n;  R = â âᵀ [T, T];  P = softmax of its rows
///   cosine: n = |a|          dot: n = fourth root of the width, so that â âᵀ = a aᵀ / sqrt(width)
/// </code>
/// </summary>
internal sealed unsafe class RelationUnit
{
    /// <summary>Rows of relations at a time.</summary>
    public const int BlockRows = 4 * GemmKernels.RowStrip;

    private readonly int _length;
    private readonly int _width;

    /// <param name="memory">As many floats as <see cref="Floats"/> says.</param>
    /// <param name="lengthMax">Longest sequence, padded to 32.</param>
    /// <param name="widthMax">Widest part, padded to 32.</param>
    /// <param name="length">Length of this sequence, padded to 32.</param>
    /// <param name="width">Width of this part, padded to 32.</param>
    public RelationUnit(float* memory, int lengthMax, int widthMax, int length, int width)
    {
        (_length, _width) = (length, width);
        nint sequence = (nint)lengthMax * widthMax;
        Columns = memory;
        Rows = Columns + sequence;
        Norms = Rows + sequence;
        Block = new Panels((nint)(Norms + lengthMax), BlockRows, width);
        Relations = new Panels((nint)(Norms + lengthMax + ((nint)BlockRows * widthMax)), BlockRows, length);
    }

    /// <summary>[T / 32][width][32].</summary>
    public float* Columns { get; }

    /// <summary>[width / 32][T][32].</summary>
    public float* Rows { get; }

    /// <summary>[T] n, by which each vector was divided; 0 where it is a zero vector of the cosine, which stays one.</summary>
    public float* Norms { get; }

    /// <summary>[block, width] rows â.</summary>
    public Panels Block { get; }

    /// <summary>[block, T].</summary>
    public Panels Relations { get; }

    public static long Floats(int lengthMax, int widthMax) => (2L * lengthMax * widthMax) + lengthMax + ((long)BlockRows * widthMax) + ((long)BlockRows * lengthMax);

    /// <summary>Takes the vectors of a sequence in, divided by n; rows past its end become zero.</summary>
    public void Load(Panels source, int firstRow, int rows, int column, int count, AttentionRelation relation, float* row)
    {
        float ofWidth = MathF.Sqrt(MathF.Sqrt(count));
        for (int t = 0; t < _length; t++)
        {
            new Span<float>(row, _width).Clear();
            if (t < rows)
            {
                source.Gather(firstRow + t, column, count, row);
                float norm = relation == AttentionRelation.Cosine ? MathF.Sqrt((float)WideFunctions.SumOfSquares(row, count)) : ofWidth;
                Norms[t] = norm;
                Vector512<float> factor = Vector512.Create(norm > 0 ? 1 / norm : 0);
                for (int i = 0; i < count; i += 16)
                    (Vector512.Load(row + i) * factor).Store(row + i);
            }

            for (int i = 0; i < _width; i++)
            {
                Columns[(((((nint)t / Panels.Columns) * _width) + i) * Panels.Columns) + (t % Panels.Columns)] = row[i];
                Rows[(((((nint)i / Panels.Columns) * _length) + t) * Panels.Columns) + (i % Panels.Columns)] = row[i];
            }
        }
    }

    /// <summary>The relations of rows [first, first + count) to all positions.</summary>
    public void Relate(int first, int count)
    {
        for (int panel = 0; panel < _width / Panels.Columns; panel++)
            new Span<float>(Rows + ((((nint)panel * _length) + first) * Panels.Columns), count * Panels.Columns).CopyTo(new Span<float>(Block.Panel(panel), count * Panels.Columns));
        for (int panel = 0; panel < _length / Panels.Columns; panel++)
            for (nint row = 0; row < count; row += GemmKernels.RowStrip)
                GemmKernels.Rows12((float*)Block.Data + (row * Panels.Columns), Block.PanelFloats, Columns + ((nint)panel * _width * Panels.Columns), Block.Count, Relations.Panel(panel) + (row * Panels.Columns), accumulate: false);
    }
}
