using Tern.Machine;
using Tern.Numerics;

namespace Tern.Kernels;

/// <summary>The matmul: prepares weights for the best row and runs it behind a fence that checks every length.</summary>
internal static unsafe class MatMul
{
    /// <summary>A chunk of rows that a worker takes is about this many bytes of weights for a single token, less for many.</summary>
    private const long ChunkBytes = 128 << 10;

    /// <summary>Rows come in multiples of this, so that kernels that take several rows at a time see whole sets.</summary>
    private const int ChunkRows = 8;

    /// <summary>
    /// Chooses a row for <paramref name="tensor"/>, repacks when the row wants another layout than the file's, and refuses contents that no
    /// kernel may see (code 3 in ternary types, scales that are not finite).
    /// </summary>
    /// <param name="tensor">Stays alive as long as the matrix.</param>
    /// <param name="choice">Which rows may be used.</param>
    /// <param name="pool">Shares the repacking.</param>
    /// <param name="floatActivations">Compute block types (Q8_0 …) with float activations, the plain definition, instead of int8 per block.</param>
    /// <exception cref="TernException">Refused contents or a shape beyond the limits.</exception>
    public static WeightMatrix Prepare(Tensor tensor, KernelChoice choice, WorkerPool pool, bool floatActivations = false)
    {
        CheckShape(tensor);
        long badScale = tensor.Type.FindBadScale(tensor);
        if (badScale >= 0)
            throw tensor.Error(ErrorKind.Semantic, badScale, "the scale stored here is NaN or infinite; the file is damaged");

        if (tensor.Type.IsTernary)
        {
            TernaryWeights weights = TernaryWeights.Prepare(tensor, pool);
            WeightLayout layout = weights.ScaleColumns == tensor.Columns ? WeightLayout.Ternary : WeightLayout.TernaryGroups;
            return new WeightMatrix(tensor, KernelTable.Pick(choice, row => row.Layout == layout), weights);
        }

        KernelRow kernel = KernelTable.Pick(choice, row => Reads(row, tensor.Type) && !(floatActivations && row.Form == ActivationForm.Int8PerBlock));
        var matrix = new WeightMatrix(tensor, kernel);
        pool.ReserveScratch(matrix.ScratchBytes);
        return matrix;
    }

    /// <summary>y[token, row] for all rows and all tokens of <paramref name="x"/>; quantizes x first if the row's form is not there yet.</summary>
    /// <param name="pool">Workers.</param>
    /// <param name="weights">[rows, columns].</param>
    /// <param name="x">[tokens, columns].</param>
    /// <param name="y">[tokens, <paramref name="stride"/>].</param>
    /// <param name="stride">At least weights.Rows.</param>
    public static void Run(WorkerPool pool, WeightMatrix weights, Activations x, float* y, long stride)
    {
        ArgumentNullException.ThrowIfNull(y);
        ArgumentOutOfRangeException.ThrowIfLessThan(stride, weights.Rows);
        ArgumentOutOfRangeException.ThrowIfNotEqual(x.Columns, weights.Columns);
        if (x.Tokens == 0)
            return;

        pool.ReserveScratch(weights.ScratchBytes);
        MatMulProblem problem = default;
        weights.Bind(ref problem);
        x.Bind(weights.Kernel.Form, pool, ref problem);
        problem.Output = y;
        problem.OutputStride = stride;
        var loop = new Loop { Problem = &problem, Kernel = weights.Kernel.Run };
        if (weights.ScratchBytes > 0)
        {
            loop.Scratch = pool.Scratch;
            loop.ScratchBytes = pool.ScratchBytes;
        }

        pool.Run(&RunChunk, &loop, weights.Rows, ChunkOf(weights, x.Tokens, pool.Threads));
    }

    private static bool Reads(KernelRow row, TensorType type) => row.Layout == WeightLayout.Decoded || row.Layout.Native == type;

    private static void CheckShape(Tensor tensor)
    {
        if (tensor.Rows is < 1 or > int.MaxValue || tensor.Columns is < 1 or > TernaryKernels.ColumnsMax)
            throw tensor.Error(ErrorKind.Limit, 0, $"a matrix of {tensor.Rows} x {tensor.Columns}; the limits are {int.MaxValue} rows and {TernaryKernels.ColumnsMax} columns");

        UInt128 needed = tensor.Type.ByteCount((UInt128)tensor.Columns, (UInt128)tensor.Rows);
        if (needed > (UInt128)tensor.ByteCount)
            throw tensor.Error(ErrorKind.Format, 0, $"the tensor has {tensor.ByteCount} bytes, its shape needs {needed}");
    }

    private static int ChunkOf(WeightMatrix weights, int tokens, int threads)
    {
        long bytesPerRow = weights.RowBytes * (1 + tokens / 8);
        long rows = Math.Min(ChunkBytes / bytesPerRow, weights.Rows / (4L * threads));
        return (int)Math.Max(ChunkRows, rows / ChunkRows * ChunkRows);
    }

    private static void RunChunk(void* state, int start, int end, int worker)
    {
        var loop = (Loop*)state;
        if (loop->Scratch is null)
        {
            loop->Kernel(loop->Problem, start, end);
            return;
        }

        MatMulProblem own = *loop->Problem;
        own.Scratch = (float*)(loop->Scratch + worker * loop->ScratchBytes);
        loop->Kernel(&own, start, end);
    }

    private struct Loop
    {
        public MatMulProblem* Problem;
        public delegate*<MatMulProblem*, int, int, void> Kernel;
        public byte* Scratch;
        public long ScratchBytes;
    }
}
