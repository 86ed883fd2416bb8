using System.Runtime.InteropServices;
using Tern.Machine;
using Tern.Numerics;

namespace Tern.Kernels;

/// <summary>A weight matrix in the layout that its kernel row reads; made once at load.</summary>
internal sealed unsafe class WeightMatrix : IDisposable
{
    private readonly byte* _weights;
    private readonly long _rowBytes;
    private readonly NativeBuffer<byte>? _packed;
    private readonly NativeBuffer<float>? _scales; // [rows, groups of _scaleColumns]
    private readonly int _scaleColumns;
    private GCHandle _tensor;
    private bool _disposed;

    /// <summary>Weights that a row reads as the file holds them, or through the tensor's decoder.</summary>
    public WeightMatrix(Tensor tensor, KernelRow kernel)
    {
        (Rows, Columns, Kernel) = ((int)tensor.Rows, (int)tensor.Columns, kernel);
        _weights = tensor.Data;
        _rowBytes = (long)tensor.Type.ByteCount((UInt128)Columns, 1);
        ByteCount = _rowBytes * Rows;
        if (kernel.Layout == WeightLayout.Decoded)
        {
            _tensor = GCHandle.Alloc(tensor);
            ScratchBytes = (long)Columns * sizeof(float);
        }
    }

    /// <summary>Ternary weights in the working layout; the matrix owns their buffers.</summary>
    public WeightMatrix(Tensor tensor, KernelRow kernel, TernaryWeights ternary)
    {
        (Rows, Columns, Kernel) = ((int)tensor.Rows, (int)tensor.Columns, kernel);
        _weights = ternary.Codes;
        (_packed, _scales, _scaleColumns) = (ternary.Packed, ternary.Scales, ternary.ScaleColumns);
        _rowBytes = TernaryWeights.RowBytes(Columns);
        ByteCount = _rowBytes * Rows + ternary.Scales.Count * sizeof(float);
    }

    /// <summary>Output features.</summary>
    public int Rows { get; }

    /// <summary>Input features.</summary>
    public int Columns { get; }

    /// <summary>The row that runs it.</summary>
    public KernelRow Kernel { get; }

    /// <summary>Bytes that one use reads.</summary>
    public long ByteCount { get; }

    /// <summary>Scratch that each worker needs while it runs, in bytes.</summary>
    public long ScratchBytes { get; }

    /// <summary>Bytes from one row to the next.</summary>
    public long RowBytes => _rowBytes;

    /// <summary>Points <paramref name="problem"/> at these weights.</summary>
    public void Bind(ref MatMulProblem problem)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        problem.Weights = _weights;
        problem.RowBytes = _rowBytes;
        problem.RowScales = _scales is null ? null : _scales.Pointer;
        problem.ScaleColumns = _scaleColumns;
        problem.Tensor = _tensor.IsAllocated ? GCHandle.ToIntPtr(_tensor) : 0;
    }

    public void Dispose()
    {
        if (_disposed)
            return;

        _disposed = true;
        _packed?.Dispose();
        _scales?.Dispose();
        if (_tensor.IsAllocated)
            _tensor.Free();
    }
}
