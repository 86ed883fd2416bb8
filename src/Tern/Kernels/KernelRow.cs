using Tern.Machine;
using Tern.Numerics;

namespace Tern.Kernels;

/// <summary>How a kernel row wants the activations of a matmul.</summary>
internal enum ActivationForm
{
    /// <summary>float32 as they are.</summary>
    Float32,

    /// <summary>BitLinear: int8 codes of one token share s = 127 / max(|x|, 1e-5).</summary>
    Int8PerToken,

    /// <summary>int8 codes, one scale per 32 columns: the block types' partner.</summary>
    Int8PerBlock,
}

/// <summary>One matmul as a kernel row sees it: y[token, row] = Σ over columns of w[row, column] · x[token, column]. MatMul.Run has checked every length.</summary>
internal unsafe struct MatMulProblem
{
    /// <summary>[rows, RowBytes] in the row's weight layout.</summary>
    public byte* Weights;

    /// <summary>Bytes from one weight row to the next.</summary>
    public long RowBytes;

    /// <summary>[rows] scale of each row in the ternary layout; [rows, groups] in the grouped one; null elsewhere.</summary>
    public float* RowScales;

    /// <summary>Columns that share a scale in the grouped ternary layout, a multiple of 128; the last group may be shorter.</summary>
    public int ScaleColumns;

    /// <summary>The source tensor, for rows that decode through <see cref="TensorType.DecodeRow"/>; a GCHandle's IntPtr, or 0.</summary>
    public nint Tensor;

    /// <summary><see cref="KernelRow.ScratchBytes"/> of the worker that runs the rows, 64-byte aligned; null for rows that want none.</summary>
    public byte* Scratch;

    /// <summary>Output features N.</summary>
    public int Rows;

    /// <summary>Input features K.</summary>
    public int Columns;

    /// <summary>Tokens in this problem.</summary>
    public int Tokens;

    /// <summary>[tokens, FloatStride] when the form is Float32; zero padded to the stride.</summary>
    public float* Floats;

    public int FloatStride;

    /// <summary>[tokens, CodeStride] int8 codes, zero padded to the stride (a multiple of 256).</summary>
    public sbyte* Codes;

    public int CodeStride;

    /// <summary>Int8PerToken: [tokens] the multiplier s (0 when the token is not finite). Int8PerBlock: [tokens, BlockStride] the value max/127 of one code step.</summary>
    public float* Scales;

    /// <summary>Int8PerToken: [tokens] Σ codes. Int8PerBlock: [tokens, BlockStride] Σ codes of the block.</summary>
    public int* Sums;

    /// <summary>Entries per token in Scales and Sums: 1, or with Int8PerBlock the blocks of 32.</summary>
    public int BlockStride;

    /// <summary>[tokens, OutputStride].</summary>
    public float* Output;

    public long OutputStride;
}

/// <summary>
/// One way to compute a matmul: a weight layout, an instruction set, and the code. Rows stand in <see cref="KernelTable.All"/> in measured
/// order of preference; the first that fits the processor is used.
/// </summary>
internal sealed unsafe class KernelRow
{
    /// <summary>Unique, such as <c>ternary-avx512</c> or <c>q8_0-avx2</c>.</summary>
    public required string Name { get; init; }

    /// <summary>Instruction sets without which the row cannot run.</summary>
    public required Isa Needs { get; init; }

    /// <summary>The layout of weights that the row reads.</summary>
    public required WeightLayout Layout { get; init; }

    /// <summary>The form of activations that the row reads.</summary>
    public required ActivationForm Form { get; init; }

    /// <summary>Computes rows [start, end) for all tokens of the problem.</summary>
    public required delegate*<MatMulProblem*, int, int, void> Run { get; init; }

    /// <summary>Bytes of scratch that each worker needs, from (columns, most tokens of a tile); null for none.</summary>
    public delegate*<int, int, long> ScratchBytes { get; init; }

    /// <summary>
    /// What a worker derives from the activations of a tile of tokens before its first rows of that tile, into its scratch, which then
    /// stays as it is until the worker meets another tile; null for nothing.
    /// </summary>
    public delegate*<MatMulProblem*, void> Prepare { get; init; }

    /// <summary>Rows are handed out in multiples of this; only the last chunk may be shorter.</summary>
    public int RowMultiple { get; init; } = 8;

    /// <summary>How a matmul is cut into items for the workers; null for all tokens together and chunks of rows of a fair size.</summary>
    public delegate*<in MatMulShape, MatMulSplit> Split { get; init; }
}

/// <summary>What a split depends on.</summary>
/// <param name="Rows">Output features N.</param>
/// <param name="RowBytes">Bytes of weights in a row.</param>
/// <param name="Tokens">Tokens.</param>
/// <param name="Threads">Workers.</param>
internal readonly record struct MatMulShape(int Rows, long RowBytes, int Tokens, int Threads)
{
    /// <summary>A chunk of rows that a worker takes is about this many bytes of weights for a single token, less for many.</summary>
    private const long ChunkBytes = 128 << 10;

    /// <summary>Rows of a chunk, in multiples of <paramref name="multiple"/>: small enough that the workers end together, large enough to be worth the handing out.</summary>
    public int ChunkRows(int multiple)
    {
        long rows = Math.Min(ChunkBytes / (Math.Max(1, RowBytes) * (1 + (Tokens / 8))), Rows / (4L * Threads));
        return (int)Math.Max(multiple, rows / multiple * multiple);
    }
}

/// <summary>Items of a matmul: tiles of tokens times chunks of rows.</summary>
/// <param name="TileTokens">Most tokens of an item.</param>
/// <param name="ChunkRows">Rows of an item; only the last chunk may be shorter.</param>
internal readonly record struct MatMulSplit(int TileTokens, int ChunkRows);
