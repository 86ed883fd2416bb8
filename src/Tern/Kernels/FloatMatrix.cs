using Tern.Machine;

namespace Tern.Kernels;

/// <summary>Float32 values [rows, columns] outside the garbage collector's heap; rows are padded with zeros to whole cache lines.</summary>
internal sealed unsafe class FloatMatrix : IDisposable
{
    private readonly NativeBuffer<float> _buffer;

    /// <summary>A zeroed matrix.</summary>
    public FloatMatrix(int rows, int columns)
    {
        Rows = rows;
        Columns = columns;
        Stride = (columns + 15) & ~15;
        _buffer = new NativeBuffer<float>((long)rows * Stride);
    }

    public int Rows { get; }

    public int Columns { get; }

    /// <summary>Floats from one row to the next.</summary>
    public int Stride { get; }

    /// <summary>The first element; valid until <see cref="Dispose"/>.</summary>
    public float* Pointer => _buffer.Pointer;

    /// <summary>One row.</summary>
    public Span<float> Row(int row)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)row, (uint)Rows);
        return new Span<float>(Pointer + (long)row * Stride, Columns);
    }

    public void Dispose() => _buffer.Dispose();
}
