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

    /// <summary>
    /// The type of <see cref="All"/> that runs on the same kernels: itself, but for types that belong to one tensor because a checkpoint keeps
    /// part of what its bits mean elsewhere.
    /// </summary>
    public virtual TensorType Representative => this;

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

    public static TensorType F32 { get; } = new F32Type();

    public static TensorType F16 { get; } = new F16Type();

    public static TensorType BF16 { get; } = new BF16Type();

    public static TensorType Q4_0 { get; } = new Q4_0Type();

    public static TensorType Q4_1 { get; } = new Q4_1Type();

    public static TensorType Q5_0 { get; } = new Q5_0Type();

    public static TensorType Q8_0 { get; } = new Q8_0Type();

    public static TensorType Q4_K { get; } = new Q4_KType();

    public static TensorType Q6_K { get; } = new Q6_KType();

    public static TernaryType TQ1_0 { get; } = new TQ1_0Type();

    public static TernaryType TQ2_0 { get; } = new TQ2_0Type();

    /// <summary>I2_S as every published file has it.</summary>
    public static TernaryType I2S { get; } = new I2SInterleavedType("I2_S", 128);

    /// <summary>I2_S as ARM builds of bitnet.cpp have written it since November 2025.</summary>
    public static TernaryType I2SArm { get; } = new I2SInterleavedType("I2_S_ARM", 64);

    /// <summary>I2_S as x86 builds of bitnet.cpp without ACT_PARALLEL write it.</summary>
    public static TernaryType I2SFourRow { get; } = new I2SFourRowType();

    public static TensorType Q1_0 { get; } = new Q1_0Type();

    public static TensorType Q2_0 { get; } = new Q2_0Type("Q2_0", 64);

    /// <summary>Q2_0 as early ternary Bonsai files have it: groups of 128 under the same id.</summary>
    public static TensorType Q2_0_G128 { get; } = new Q2_0Type("Q2_0_G128", 128);

    public static TernaryType IQ1_BN { get; } = new IQ1_BNType();

    public static TernaryType IQ2_BN { get; } = new IQ2_BNType();

    /// <summary>
    /// Every tensor type that Tern recognises in a file. No two have both the same id and the same byte count, which is what tells them apart.
    /// </summary>
    public static IReadOnlyList<TensorType> All { get; } =
    [
        F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q8_0, Q4_K, Q6_K, TQ1_0, TQ2_0, I2S, Q1_0, Q2_0, Q2_0_G128, IQ1_BN, IQ2_BN,
    ];

    /// <summary>Checks the lengths of an encoding and returns its rows.</summary>
    private protected long RowsToEncode(ReadOnlySpan<float> source, long columns, ReadOnlySpan<byte> destination)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(columns, 1);
        (long rows, long rest) = Math.DivRem(source.Length, columns);
        if (rest != 0 || !FitsShape((UInt128)columns, (UInt128)rows))
            throw new ArgumentException($"{source.Length} weights in rows of {columns} are no {Name} tensor", nameof(columns));
        if ((UInt128)destination.Length != ByteCount((UInt128)columns, (UInt128)rows))
            throw new ArgumentException($"{Name} needs {ByteCount((UInt128)columns, (UInt128)rows)} bytes, not {destination.Length}", nameof(destination));
        return rows;
    }
}
