namespace Tern.Numerics;

/// <summary>A type of codes -1, 0, +1 and scales: the linear layers of BitNet models.</summary>
internal abstract class TernaryType : TensorType
{
    public override bool IsTernary => true;

    /// <summary>How many columns of a row share a scale; the row's columns when a scale covers the row or the tensor.</summary>
    public abstract long ScaleColumns(Tensor tensor);

    /// <summary>The scale of group <paramref name="group"/> of <see cref="ScaleColumns"/> columns in a row.</summary>
    public abstract float ScaleOf(Tensor tensor, long row, long group);
}
