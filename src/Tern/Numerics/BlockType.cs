namespace Tern.Numerics;

/// <summary>A type whose rows are whole blocks of <see cref="TensorType.BlockSize"/> weights, each block with its own fp16 scales.</summary>
internal abstract unsafe class BlockType : TensorType
{
    /// <summary>Where the fp16 scales (and minimums) lie inside a block, ascending.</summary>
    public virtual ReadOnlySpan<int> ScaleOffsets => [0];

    /// <summary>Decodes one block: <see cref="TensorType.BlockBytes"/> bytes to <see cref="TensorType.BlockSize"/> weights.</summary>
    protected abstract void DecodeBlock(ReadOnlySpan<byte> block, Span<float> weights);

    /// <summary>Encodes one block; the inverse of <see cref="DecodeBlock"/> up to <see cref="TensorType.RoundTripTolerance"/>.</summary>
    protected abstract void EncodeBlock(ReadOnlySpan<float> weights, Span<byte> block);

    public override bool CanEncode => true;

    public override void DecodeRow(Tensor tensor, long row, Span<float> destination)
    {
        int blocks = checked((int)(tensor.Columns / BlockSize));
        ReadOnlySpan<byte> bytes = tensor.Bytes(row * blocks * BlockBytes, checked(blocks * BlockBytes));
        for (int i = 0; i < blocks; i++)
            DecodeBlock(bytes.Slice(i * BlockBytes, BlockBytes), destination.Slice(i * BlockSize, BlockSize));
    }

    public override void Encode(ReadOnlySpan<float> source, long columns, Span<byte> destination)
    {
        RowsToEncode(source, columns, destination);
        for (int i = 0; i < source.Length / BlockSize; i++)
            EncodeBlock(source.Slice(i * BlockSize, BlockSize), destination.Slice(i * BlockBytes, BlockBytes));
    }

    public override long FindBadScale(Tensor tensor)
    {
        long first = -1;
        foreach (int offset in ScaleOffsets)
        {
            long found = FindBadHalf(tensor, BlockBytes, offset);
            if (found >= 0 && (first < 0 || found < first))
                first = found;
        }

        return first;
    }

    /// <summary>The first fp16 at <paramref name="offset"/> modulo <paramref name="stride"/> that is infinite or NaN, or -1.</summary>
    internal static long FindBadHalf(Tensor tensor, int stride, int offset)
    {
        byte* end = tensor.Data + tensor.ByteCount;
        for (byte* at = tensor.Data + offset; at < end; at += stride)
            if (Halves.IsNotFinite(*(ushort*)at))
                return at - tensor.Data;
        return -1;
    }

    /// <summary>The weight that is largest by magnitude, with its sign; NaN if any is, so that it shows in the scale and is refused at load.</summary>
    internal static float SignedMaximum(ReadOnlySpan<float> weights)
    {
        float maximum = 0;
        foreach (float weight in weights)
            if (float.IsNaN(weight) || MathF.Abs(weight) > MathF.Abs(maximum))
                maximum = weight;
        return maximum;
    }

    /// <summary>1/x, and 0 for the scale of a block of zeros.</summary>
    internal static float Inverse(float x) => x == 0 ? 0 : 1 / x;

    /// <summary>The nearest integer to x + zero in [0, maximum], halves up: the sum is taken in one step, so that ties fall as in upstream's files.</summary>
    internal static int RoundUp(float x, int zero, int maximum) => Math.Clamp((int)(x + (zero + 0.5f)), 0, maximum);

    /// <summary>The nearest integer (halves to even) in [minimum, maximum].</summary>
    internal static int Round(float x, int minimum, int maximum) => (int)Math.Clamp(MathF.Round(x), minimum, maximum);
}
