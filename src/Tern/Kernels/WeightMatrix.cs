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

    /// <summary>Weights that a row reads as the file holds them, through the tensor's decoder, or in the layout that it packs of them.</summary>
    /// <param name="tensor">What the file holds.</param>
    /// <param name="kernel">The row.</param>
    /// <param name="packed">The row's own layout, which the matrix then owns, or null.</param>
    public WeightMatrix(Tensor tensor, KernelRow kernel, NativeBuffer<byte>? packed)
    {
        (Rows, Columns, Kernel) = ((int)tensor.Rows, (int)tensor.Columns, kernel);
        _packed = packed;
        _weights = packed is null ? tensor.Data : packed.Pointer;
        _rowBytes = (long)tensor.Type.ByteCount((UInt128)Columns, 1);
        ByteCount = packed?.Count ?? _rowBytes * Rows;
        if (kernel.Layout == WeightLayout.Decoded)
            _tensor = GCHandle.Alloc(tensor);
    }

    /// <summary>Ternary weights in the working layout; the matrix owns their buffers.</summary>
    public WeightMatrix(Tensor tensor, TernaryWeights ternary)
    {
        (Rows, Columns, Kernel) = ((int)tensor.Rows, (int)tensor.Columns, ternary.Kernel);
        _packed = ternary.Packed;
        _weights = _packed is null ? tensor.Data : _packed.Pointer;
        (_scales, _scaleColumns) = (ternary.Scales, ternary.ScaleColumns);
        _rowBytes = TernaryWeights.RowBytes(Columns);
        ByteCount = (_packed?.Count ?? _rowBytes * Rows) + (ternary.Scales.Count * sizeof(float));
    }

    /// <summary>Output features.</summary>
    public int Rows { get; }

    /// <summary>Input features.</summary>
    public int Columns { get; }

    /// <summary>The row that runs it.</summary>
    public KernelRow Kernel { get; }

    /// <summary>Bytes that one use reads.</summary>
    public long ByteCount { get; }

    /// <summary>Whether the file's own bytes are read; else the file is not needed any more.</summary>
    public bool IsInPlace => _packed is null;

    /// <summary>Bytes from one row to the next.</summary>
    public long RowBytes => _rowBytes;

    /// <summary>Points <paramref name="problem"/> at these weights.</summary>
    public void Bind(ref MatMulProblem problem)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        problem.Rows = Rows;
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
