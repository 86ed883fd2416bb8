using Tern.Machine;

namespace Tern.Numerics;

/// <summary>A matrix of plain floats whose rows are handed out in another order than they are stored in; one instance per tensor.</summary>
/// <param name="floats">F32, F16 or BF16: what the bytes are.</param>
/// <param name="order">How rows are handed out.</param>
internal sealed unsafe class PermutedFloatType(TensorType floats, RowOrder order) : TensorType
{
    public override string Name => floats.Name;

    /// <summary>None: a file holds rows in the order in which they are used.</summary>
    public override int GgufId => -1;

    public override int BlockSize => 1;

    public override int BlockBytes => floats.BlockBytes;

    public override TensorType Representative => floats;

    public override void DecodeRow(Tensor tensor, long row, Span<float> destination) => floats.DecodeRow(tensor, order.Source(row), destination);

    /// <summary>Copies the matrix with its rows in the order in which they are handed out.</summary>
    /// <param name="tensor">Of this type.</param>
    /// <param name="copy">As many bytes as the tensor has; they must live as long as the result.</param>
    public Tensor CopyTo(Tensor tensor, NativeBuffer<byte> copy)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(copy.Count, tensor.ByteCount);
        int rowBytes = checked((int)(tensor.Columns * BlockBytes));
        for (long row = 0, rows = tensor.Rows; row < rows; row++)
            tensor.Bytes(order.Source(row) * rowBytes, rowBytes).CopyTo(copy.Part(row * rowBytes, rowBytes));
        return new Tensor
        {
            Name = tensor.Name,
            Type = floats,
            Shape = tensor.Shape,
            Data = copy.Pointer,
            ByteCount = tensor.ByteCount,
            Path = tensor.Path,
            FileOffset = tensor.FileOffset,
        };
    }
}
