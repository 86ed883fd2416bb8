namespace Tern.Numerics;

/// <summary>
/// What the bits of a tensor mean. A type with only <see cref="DecodeRow"/> already runs, through the scalar matmul; everything faster
/// is a kernel row. The registry is <see cref="All"/>: adding a type is a file and a line there.
/// </summary>
internal abstract class TensorType
{
    /// <summary>The field's name, such as <c>I2_S</c>.</summary>
    public abstract string Name { get; }

    /// <summary>The id in GGUF tensor infos. Ids collide between programs: of the types with one id the file reader takes the one whose <see cref="ByteCount"/> equals the tensor's span.</summary>
    public abstract int GgufId { get; }

    /// <summary>Weights per block; rows hold whole blocks unless the type says otherwise.</summary>
    public abstract int BlockSize { get; }

    /// <summary>Bytes per block.</summary>
    public abstract int BlockBytes { get; }

    /// <summary>True for types whose linear layers are BitLinear: per-token int8 activations and exact integer sums.</summary>
    public virtual bool IsTernary => false;

    /// <summary>Root-mean-square error allowed for Decode(Encode(x)) on unit-scale data; 0 means bit-exact.</summary>
    public virtual double RoundTripTolerance => 0;

    /// <summary>Whether Tern writes this type.</summary>
    public virtual bool CanEncode => false;

    /// <summary>Bytes of a tensor, unpadded. 128-bit so that no product of hostile dimensions can wrap.</summary>
    public virtual UInt128 ByteCount(UInt128 columns, UInt128 rows) => columns / (UInt128)BlockSize * rows * (UInt128)BlockBytes;

    /// <summary>Whether a tensor of this shape can have this type at all (whole blocks per row, usually).</summary>
    public virtual bool FitsShape(UInt128 columns, UInt128 rows) => columns % (UInt128)BlockSize == 0;

    /// <summary>Decodes one row to floats.</summary>
    /// <param name="tensor">A tensor of this type.</param>
    /// <param name="row">In [0, tensor.Rows).</param>
    /// <param name="destination">At least tensor.Columns long.</param>
    public abstract void DecodeRow(Tensor tensor, long row, Span<float> destination);

    /// <summary>Codes -1, 0, +1 of one row of a ternary type; 2 stands for the forbidden code 3, which the caller refuses.</summary>
    /// <param name="tensor">A tensor of this type.</param>
    /// <param name="row">In [0, tensor.Rows).</param>
    /// <param name="codes">At least tensor.Columns long.</param>
    public virtual void DecodeCodes(Tensor tensor, long row, Span<sbyte> codes) => throw new NotSupportedException($"{Name} is not ternary");

    /// <summary>The byte offset inside the tensor of the first scale that is NaN or infinite, or -1.</summary>
    public virtual long FindBadScale(Tensor tensor) => -1;

    /// <summary>Encodes a whole matrix. Only when <see cref="CanEncode"/>.</summary>
    /// <param name="source">[rows, columns] row-major.</param>
    /// <param name="columns">Columns, a size that fits the type.</param>
    /// <param name="destination">Exactly ByteCount bytes.</param>
    public virtual void Encode(ReadOnlySpan<float> source, long columns, Span<byte> destination) =>
        throw new NotSupportedException($"{Name} is not written by Tern");

    /// <summary>Every tensor type that Tern reads.</summary>
    public static IReadOnlyList<TensorType> All { get; } = [];
}
