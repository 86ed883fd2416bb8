namespace Tern.Numerics;

/// <summary>Plain floats that stand for themselves plus a constant: Gemma stores its norms as the difference to 1.</summary>
/// <param name="floats">F32, F16 or BF16: what the bytes are.</param>
/// <param name="addend">What is added, in float32.</param>
internal sealed class ShiftedFloatType(TensorType floats, float addend) : TensorType
{
    public override string Name => floats.Name;

    /// <summary>None: GGUF holds the sums.</summary>
    public override int GgufId => -1;

    public override int BlockSize => 1;

    public override int BlockBytes => floats.BlockBytes;

    public override void DecodeRow(Tensor tensor, long row, Span<float> destination)
    {
        floats.DecodeRow(tensor, row, destination);
        foreach (ref float value in destination[..checked((int)tensor.Columns)])
            value += addend;
    }
}
