using Tern.Machine;

namespace Tern.Training.Mathematics;

/// <summary>Rows of floats for each worker's own use within a pass over rows.</summary>
internal sealed unsafe class RowScratch : IDisposable
{
    private readonly NativeBuffer<float> _buffer;
    private readonly nint _workerFloats;
    private readonly int _rowFloats;

    /// <param name="threads">Workers.</param>
    /// <param name="width">Floats of a row.</param>
    /// <param name="rows">Rows of each worker.</param>
    public RowScratch(int threads, int width, int rows)
    {
        _rowFloats = width + 32;
        _workerFloats = (nint)_rowFloats * rows;
        _buffer = new NativeBuffer<float>((long)threads * _workerFloats);
    }

    /// <summary>How a pass finds the rows.</summary>
    public RowPointers Pointers => new(_buffer.Pointer, _workerFloats, _rowFloats);

    public void Dispose() => _buffer.Dispose();
}

/// <summary>What a pass needs to find the rows of <see cref="RowScratch"/>.</summary>
internal readonly unsafe struct RowPointers(float* first, nint workerFloats, int rowFloats)
{
    public float* Of(int worker, int index) => first + (worker * workerFloats) + ((nint)index * rowFloats);
}
