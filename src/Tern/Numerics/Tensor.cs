namespace Tern.Numerics;

/// <summary>
/// A named tensor that lies in memory, mapped or owned, whose extent was validated before it was made. Rows are output features,
/// columns are input features (GGUF's ne[0]); dimensions beyond the second are folded into rows.
/// </summary>
internal sealed unsafe class Tensor
{
    public required string Name { get; init; }

    public required TensorType Type { get; init; }

    /// <summary>Dimensions, innermost (columns) first, as GGUF writes them.</summary>
    public required IReadOnlyList<long> Shape { get; init; }

    /// <summary>The first byte; valid while the owner (file or buffer) lives.</summary>
    public required byte* Data { get; init; }

    /// <summary>Bytes from <see cref="Data"/> that belong to the tensor.</summary>
    public required long ByteCount { get; init; }

    /// <summary>Where the tensor came from, for error messages.</summary>
    public required string Path { get; init; }

    /// <summary>Offset of <see cref="Data"/> in that file.</summary>
    public required long FileOffset { get; init; }

    /// <summary>Input features: the contiguous dimension.</summary>
    public long Columns => Shape[0];

    /// <summary>Output features: the product of all other dimensions.</summary>
    public long Rows
    {
        get
        {
            long rows = 1;
            for (int i = 1; i < Shape.Count; i++)
                rows = checked(rows * Shape[i]);
            return rows;
        }
    }

    /// <summary>Bytes at an offset inside the tensor, bounds checked.</summary>
    public ReadOnlySpan<byte> Bytes(long offset, int count)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(offset);
        ArgumentOutOfRangeException.ThrowIfNegative(count);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(offset, ByteCount - count);
        return new ReadOnlySpan<byte>(Data + offset, count);
    }

    /// <summary>Decodes row <paramref name="row"/> to <see cref="Columns"/> floats.</summary>
    public void DecodeRow(long row, Span<float> destination) => Type.DecodeRow(this, row, destination);

    /// <summary>An error about this tensor's contents at a byte offset inside it.</summary>
    public TernException Error(ErrorKind kind, long offset, string what) =>
        new(kind, $"{Path}: tensor '{Name}' ({Type.Name}) at offset {FileOffset + offset}: {what}");
}
