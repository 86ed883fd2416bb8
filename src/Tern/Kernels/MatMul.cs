using System.Runtime.CompilerServices;
using Tern.Machine;
using Tern.Numerics;

namespace Tern.Kernels;

/// <summary>The matmul: prepares weights for the best row and runs it behind a fence that checks every length.</summary>
internal static unsafe class MatMul
{
    /// <summary>Most matrices that one loop multiplies by.</summary>
    public const int TargetsMax = 3;

    /// <summary>
    /// Chooses a row for <paramref name="tensor"/>, repacks when the row wants another layout than the file's, and refuses contents that no
    /// kernel may see (code 3 in ternary types, scales that are not finite).
    /// </summary>
    /// <param name="tensor">Stays alive as long as the matrix.</param>
    /// <param name="choice">Which rows may be used.</param>
    /// <param name="pool">Shares the repacking.</param>
    /// <param name="floatActivations">Compute block types (Q8_0 …) with float activations, the plain definition, instead of int8 per block.</param>
    /// <param name="arena">Where repacked weights go, which must live longer than the matrix; null for a buffer of their own.</param>
    /// <exception cref="TernException">Refused contents or a shape beyond the limits.</exception>
    public static WeightMatrix Prepare(Tensor tensor, KernelChoice choice, WorkerPool pool, bool floatActivations = false, WeightArena? arena = null)
    {
        CheckShape(tensor);
        long badScale = tensor.Type.FindBadScale(tensor);
        if (badScale >= 0)
            throw tensor.Error(ErrorKind.Semantic, badScale, "the scale stored here is NaN or infinite; the file is damaged");

        if (tensor.Type.IsTernary)
        {
            return new WeightMatrix(tensor, TernaryWeights.Prepare(tensor, isGrouped => KernelTable.Pick(choice, row => ReadsTernary(row, isGrouped)), pool, arena));
        }

        NativeBuffer<byte>? copy = null;
        if (tensor.Type is PermutedFloatType permuted)
        {
            copy = WeightArena.Take(arena, tensor.ByteCount);
            tensor = permuted.CopyTo(tensor, copy);
        }

        KernelRow kernel = KernelTable.Pick(choice, row => Reads(row, tensor.Type) && !(floatActivations && row.Form == ActivationForm.Int8PerBlock));
        return new WeightMatrix(tensor, kernel, copy ?? kernel.Layout.Pack(tensor, pool, arena));
    }

    /// <summary>y[token, row] for all rows of one matrix and all tokens of <paramref name="x"/>.</summary>
    public static void Run(WorkerPool pool, WeightMatrix weights, Activations x, float* y, long stride) =>
        Run(pool, x, [new MatMulTarget(weights, y, stride)]);

    /// <summary>
    /// y[token, row] for all rows of up to <see cref="TargetsMax"/> matrices and all tokens of <paramref name="x"/>, in one loop of the
    /// workers; quantizes x first if a row's form is not there yet.
    /// </summary>
    /// <param name="pool">Workers.</param>
    /// <param name="x">[tokens, columns].</param>
    /// <param name="targets">What to multiply x by, and where to.</param>
    public static void Run(WorkerPool pool, Activations x, ReadOnlySpan<MatMulTarget> targets) => Run(pool, x, 0, x.Tokens, targets);

    /// <summary>As above for tokens [first, first + count) of x, whose products become the first ones of the output.</summary>
    public static void Run(WorkerPool pool, Activations x, int first, int count, ReadOnlySpan<MatMulTarget> targets)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(targets.Length, TargetsMax);
        if (count == 0)
            return;

        Loop loop = default;
        PreparedTile* prepared = stackalloc PreparedTile[pool.Threads];
        new Span<PreparedTile>(prepared, pool.Threads).Clear();
        loop.Prepared = prepared;
        foreach (ref readonly MatMulTarget target in targets)
            loop.Parts[loop.PartCount++] = PartOf(target, x, first, count, pool);

        int items = 0;
        for (int i = 0; i < loop.PartCount; i++)
        {
            loop.Parts[i].FirstItem = items;
            items = checked(items + loop.Parts[i].Tiles * loop.Parts[i].Chunks);
        }

        loop.Scratch = pool.Scratch;
        loop.ScratchBytes = pool.ScratchBytes;
        pool.Run(&RunItems, &loop, items, 1);
    }

    /// <summary>The products of some rows with one token: the numbers that <see cref="Run(WorkerPool, WeightMatrix, Activations, float*, long)"/> gives.</summary>
    /// <param name="pool">Workers.</param>
    /// <param name="weights">[rows, columns].</param>
    /// <param name="x">[tokens, columns].</param>
    /// <param name="token">The token.</param>
    /// <param name="rows">Which rows.</param>
    /// <param name="y">[rows.Length].</param>
    public static void RunRows(WorkerPool pool, WeightMatrix weights, Activations x, int token, ReadOnlySpan<int> rows, Span<float> y)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(y.Length, rows.Length);
        foreach (int row in rows)
            ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)row, (uint)weights.Rows);

        bool* prepared = stackalloc bool[pool.Threads];
        new Span<bool>(prepared, pool.Threads).Clear();
        fixed (int* list = rows)
        fixed (float* output = y)
        {
            Part part = PartOf(new MatMulTarget(weights, output, weights.Rows), x, token, 1, pool);
            var loop = new RowLoop
            {
                Part = part,
                RowMultiple = weights.Kernel.Prepare is null ? 1 : weights.Kernel.RowMultiple,
                Rows = list,
                Output = output,
                Prepared = prepared,
                Scratch = pool.Scratch,
                ScratchBytes = pool.ScratchBytes,
            };
            pool.Run(&RunListed, &loop, rows.Length, 4);
        }
    }

    private static Part PartOf(in MatMulTarget target, Activations x, int first, int count, WorkerPool pool)
    {
        WeightMatrix weights = target.Weights;
        ArgumentNullException.ThrowIfNull(target.Output);
        ArgumentOutOfRangeException.ThrowIfLessThan(target.Stride, weights.Rows);
        ArgumentOutOfRangeException.ThrowIfNotEqual(x.Columns, weights.Columns);
        ArgumentOutOfRangeException.ThrowIfGreaterThan((uint)(first + count), (uint)x.Tokens);
        KernelRow kernel = weights.Kernel;
        var shape = new MatMulShape(weights.Rows, weights.ByteCount / weights.Rows, count, pool.Threads);
        MatMulSplit split = kernel.Split is null ? new MatMulSplit(count, shape.ChunkRows(kernel.RowMultiple)) : kernel.Split(in shape);
        if (kernel.ScratchBytes is not null)
            pool.ReserveScratch(kernel.ScratchBytes(weights.Columns, split.TileTokens));

        MatMulProblem problem = default;
        weights.Bind(ref problem);
        x.Bind(kernel.Form, pool, ref problem);
        problem = Tile(problem, first, count);
        problem.Output = target.Output;
        problem.OutputStride = target.Stride;
        return new Part
        {
            Problem = problem,
            Run = kernel.Run,
            Prepare = kernel.Prepare,
            Split = split,
            Tiles = (count + split.TileTokens - 1) / split.TileTokens,
            Chunks = (weights.Rows + split.ChunkRows - 1) / split.ChunkRows,
        };
    }

    private static bool ReadsTernary(KernelRow row, bool isGrouped) => isGrouped
        ? row.Layout == WeightLayout.TernaryGroups
        : row.Layout == WeightLayout.Ternary || row.Layout == WeightLayout.TernaryWords;

    private static bool Reads(KernelRow row, TensorType type) => row.Layout == WeightLayout.Decoded || row.Layout.Native == type;

    private static void CheckShape(Tensor tensor)
    {
        if (tensor.Rows is < 1 or > int.MaxValue || tensor.Columns is < 1 or > TernaryKernels.ColumnsMax)
            throw tensor.Error(ErrorKind.Limit, 0, $"a matrix of {tensor.Rows} x {tensor.Columns}; the limits are {int.MaxValue} rows and {TernaryKernels.ColumnsMax} columns");

        UInt128 needed = tensor.Type.ByteCount((UInt128)tensor.Columns, (UInt128)tensor.Rows);
        if (needed > (UInt128)tensor.ByteCount)
            throw tensor.Error(ErrorKind.Format, 0, $"the tensor has {tensor.ByteCount} bytes, its shape needs {needed}");
    }

    /// <summary>Items are numbered tile by tile within a part, so that a worker meets few tiles.</summary>
    private static void RunItems(void* state, int start, int end, int worker)
    {
        var loop = (Loop*)state;
        for (int item = start; item < end; item++)
        {
            int index = loop->PartCount - 1;
            while (item < loop->Parts[index].FirstItem)
                index--;
            ref Part part = ref loop->Parts[index];
            (int tile, int chunk) = Math.DivRem(item - part.FirstItem, part.Chunks);
            MatMulProblem problem = Tile(part.Problem, tile * part.Split.TileTokens, part.Split.TileTokens);
            problem.Scratch = loop->Scratch + (worker * loop->ScratchBytes);
            if (part.Prepare is not null)
            {
                // Two addresses of one function are possible and cost a preparation more.
                var wanted = new PreparedTile(tile + 1, part.Prepare);
                if (loop->Prepared[worker] != wanted)
                    part.Prepare(&problem);
                loop->Prepared[worker] = wanted;
            }

            int first = chunk * part.Split.ChunkRows;
            part.Run(&problem, first, Math.Min(first + part.Split.ChunkRows, problem.Rows));
        }
    }

    /// <summary>Rows of a list: the whole set that a row belongs to where rows go in sets, of which one product is kept.</summary>
    private static void RunListed(void* state, int start, int end, int worker)
    {
        var loop = (RowLoop*)state;
        MatMulProblem problem = loop->Part.Problem;
        problem.Scratch = loop->Scratch + (worker * loop->ScratchBytes);
        if (loop->Part.Prepare is not null && !loop->Prepared[worker])
            loop->Part.Prepare(&problem);
        loop->Prepared[worker] = true;

        float* products = stackalloc float[loop->RowMultiple];
        for (int i = start; i < end; i++)
        {
            int row = loop->Rows[i], first = row / loop->RowMultiple * loop->RowMultiple;
            problem.Output = products - first;
            loop->Part.Run(&problem, first, Math.Min(first + loop->RowMultiple, problem.Rows));
            loop->Output[i] = products[row - first];
        }
    }

    private static MatMulProblem Tile(in MatMulProblem problem, int token, int most)
    {
        MatMulProblem tile = problem;
        tile.Tokens = Math.Min(most, problem.Tokens - token);
        tile.Floats += (long)token * problem.FloatStride;
        tile.Codes += (long)token * problem.CodeStride;
        long scales = (long)token * problem.BlockStride;
        tile.Scales += scales;
        tile.Sums += scales;
        tile.Output += token * problem.OutputStride;
        return tile;
    }

    private struct Loop
    {
        public Parts Parts;
        public int PartCount;
        public PreparedTile* Prepared;
        public byte* Scratch;
        public long ScratchBytes;
    }

    private struct RowLoop
    {
        public Part Part;
        public int RowMultiple;
        public int* Rows;
        public float* Output;
        public bool* Prepared;
        public byte* Scratch;
        public long ScratchBytes;
    }

    [InlineArray(TargetsMax)]
    private struct Parts
    {
        private Part _first;
    }

    /// <summary>One matrix: tiles of tokens times chunks of rows.</summary>
    private struct Part
    {
        public MatMulProblem Problem;
        public delegate*<MatMulProblem*, int, int, void> Run;
        public delegate*<MatMulProblem*, void> Prepare;
        public MatMulSplit Split;
        public int Tiles;
        public int Chunks;
        public int FirstItem;
    }

    /// <summary>What the scratch of a worker was prepared for; tile 0 is none.</summary>
    private readonly record struct PreparedTile(int Tile, nint Prepare)
    {
        public PreparedTile(int tile, delegate*<MatMulProblem*, void> prepare)
            : this(tile, (nint)prepare)
        {
        }
    }
}

/// <summary>A matrix to multiply by and where its product goes: output is [tokens, stride].</summary>
internal readonly unsafe struct MatMulTarget(WeightMatrix weights, float* output, long stride)
{
    public WeightMatrix Weights => weights;

    public float* Output => output;

    /// <summary>At least weights.Rows.</summary>
    public long Stride => stride;
}
