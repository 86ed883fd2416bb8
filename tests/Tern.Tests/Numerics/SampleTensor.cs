using Tern.Machine;
using Tern.Numerics;

namespace Tern.Tests.Numerics;

/// <summary>A tensor over its own memory of exactly its byte count.</summary>
internal sealed unsafe class SampleTensor : IDisposable
{
    private readonly NativeBuffer<byte> _bytes;

    public SampleTensor(TensorType type, ReadOnlySpan<byte> bytes, params long[] shape)
    {
        _bytes = new NativeBuffer<byte>(bytes.Length);
        bytes.CopyTo(_bytes.Span);
        Tensor = new Tensor
        {
            Name = "sample",
            Type = type,
            Shape = shape,
            Data = _bytes.Pointer,
            ByteCount = bytes.Length,
            Path = "memory",
            FileOffset = 0,
        };
    }

    public Tensor Tensor { get; }

    public Span<byte> Bytes => _bytes.Span;

    /// <summary>Encodes weights as a tensor of <paramref name="type"/>.</summary>
    public static SampleTensor Encode(TensorType type, ReadOnlySpan<float> weights, int columns)
    {
        int rows = weights.Length / columns;
        byte[] bytes = new byte[(int)type.ByteCount((UInt128)columns, (UInt128)rows)];
        type.Encode(weights, columns, bytes);
        return new SampleTensor(type, bytes, columns, rows);
    }

    /// <summary>All rows, decoded.</summary>
    public float[] Decode()
    {
        int columns = (int)Tensor.Columns;
        float[] values = new float[columns * (int)Tensor.Rows];
        for (int row = 0; row < Tensor.Rows; row++)
            Tensor.DecodeRow(row, values.AsSpan(row * columns, columns));
        return values;
    }

    public void Dispose() => _bytes.Dispose();
}
