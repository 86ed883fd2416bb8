using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Tern.Kernels;
using Tern.Machine;
using Tern.Numerics;

namespace Tern.Tests.Kernels;

/// <summary>A way to run the matmul of a block type.</summary>
internal sealed unsafe record BlockRow(string Name, BlockType Type, Isa Needs, nint Run);

/// <summary>All rows of the block types, and the ARM loop with its one ARM instruction spelled out.</summary>
internal static unsafe class BlockRows
{
    private static readonly BlockRow[] s_all =
    [
        .. BlockKernels.Rows.Select(row => new BlockRow(row.Name, (BlockType)row.Layout.Native!, row.Needs, (nint)row.Run)),
        Spelled<Q1_0Blocks>(TensorType.Q1_0), Spelled<Q2_0Blocks>(TensorType.Q2_0), Spelled<Q2_0G128Blocks>(TensorType.Q2_0_G128),
        Spelled<Q8_0Blocks>(TensorType.Q8_0), Spelled<Q4_0Blocks>(TensorType.Q4_0), Spelled<Q4_1Blocks>(TensorType.Q4_1),
        Spelled<Q5_0Blocks>(TensorType.Q5_0), Spelled<Q4_KBlocks>(TensorType.Q4_K), Spelled<Q6_KBlocks>(TensorType.Q6_K),
    ];

    /// <summary>Those that this processor can run.</summary>
    public static IReadOnlyList<BlockRow> Runnable { get; } = [.. s_all.Where(row => (row.Needs & ~Cpu.Available) == 0)];

    public static BlockRow ScalarOf(BlockType type) => s_all.Single(row => row.Type == type && row.Name.EndsWith("-scalar", StringComparison.Ordinal));

    /// <summary>Column counts that reach every loop: one block, an odd number of blocks, more than a tile.</summary>
    public static int[] Columns(BlockType type) => [type.BlockSize, 3 * type.BlockSize, 1024 + (5 * type.BlockSize), 2304];

    private static BlockRow Spelled<TFormat>(TensorType type)
        where TFormat : struct, IBlockFormat
    {
        delegate*<MatMulProblem*, int, int, void> run = &BlockMatMul<TFormat, Block128<SpelledDot>>.Run;
        return new BlockRow($"{type.Name}-arm-spelled", (BlockType)type, Isa.None, (nint)run);
    }

    /// <summary>SDOT as plain arithmetic.</summary>
    internal readonly struct SpelledDot : IBlockDot128
    {
        public static Vector128<int> Dot(Vector128<int> start, Vector128<sbyte> left, Vector128<sbyte> right)
        {
            for (int i = 0; i < 16; i++)
                start = start.WithElement(i / 4, start[i / 4] + (left[i] * right[i]));
            return start;
        }
    }
}

/// <summary>
/// A matmul with random weights (every bit pattern except scales that are not finite) and activations quantized in blocks of 32 as the
/// definition says: m = max|x|, code = round(x · 127/m), step = m/127. Every operand has exactly its size.
/// </summary>
internal sealed unsafe class BlockProblem : IDisposable
{
    private readonly GuardPageMemory _weights, _codes, _scales, _sums, _outputs;
    private readonly BlockType _type;
    private readonly int _rows, _columns, _tokens, _codeStride;
    private MatMulProblem _problem;

    public BlockProblem(BlockType type, int rows, int columns, int tokens, int seed, bool atEnd = true)
    {
        const int block = 32;
        var random = new Random(seed);
        (_type, _rows, _columns, _tokens, _codeStride) = (type, rows, columns, tokens, (columns + 255) / 256 * 256);
        int rowBytes = columns / type.BlockSize * type.BlockBytes, blocks = columns / block;
        _weights = new GuardPageMemory(rows * rowBytes, atEnd);
        _codes = new GuardPageMemory(tokens * _codeStride, atEnd);
        _scales = new GuardPageMemory(tokens * blocks * sizeof(float), atEnd);
        _sums = new GuardPageMemory(tokens * blocks * sizeof(int), atEnd);
        _outputs = new GuardPageMemory(tokens * rows * sizeof(float), atEnd);

        random.NextBytes(new Span<byte>(_weights.Pointer, rows * rowBytes));
        for (int at = 0; at < rows * rowBytes; at += type.BlockBytes)
            foreach (int offset in type.ScaleOffsets)
                Unsafe.WriteUnaligned(_weights.Pointer + at + offset, BitConverter.HalfToUInt16Bits((Half)((random.NextDouble() - 0.3) * 0.1)));

        float* steps = (float*)_scales.Pointer;
        int* sums = (int*)_sums.Pointer;
        sbyte* codes = (sbyte*)_codes.Pointer;
        Span<float> x = stackalloc float[block];
        for (int i = 0; i < tokens * blocks; i++)
        {
            // One block in seven is all zeros and one in eleven all extremes.
            foreach (ref float value in x)
                value = i % 7 == 6 ? 0 : i % 11 == 10 ? random.Next(2) - 0.5f : (float)(random.NextDouble() + random.NextDouble() - 1);
            float maximum = 0;
            foreach (float value in x)
                maximum = MathF.Max(maximum, MathF.Abs(value));
            steps[i] = maximum / 127;
            for (int j = 0; j < block; j++)
            {
                sbyte code = maximum == 0 ? (sbyte)0 : (sbyte)MathF.Round(x[j] * (127 / maximum));
                codes[((long)(i / blocks) * _codeStride) + (i % blocks * block) + j] = code;
                sums[i] += code;
            }
        }

        _problem = new MatMulProblem
        {
            Weights = _weights.Pointer,
            RowBytes = rowBytes,
            Columns = columns,
            Tokens = tokens,
            Codes = codes,
            CodeStride = _codeStride,
            Scales = steps,
            Sums = sums,
            BlockStride = blocks,
            Output = (float*)_outputs.Pointer,
            OutputStride = rows,
        };
    }

    /// <summary>[tokens, rows] after running rows [start, end); the others are NaN.</summary>
    public float[] Run(BlockRow row, int start, int end)
    {
        Span<float> outputs = new(_outputs.Pointer, _tokens * _rows);
        outputs.Fill(float.NaN);
        MatMulProblem problem = _problem;
        ((delegate*<MatMulProblem*, int, int, void>)row.Run)(&problem, start, end);
        return outputs.ToArray();
    }

    /// <summary>The sum in float64 of one output, and the largest weight times Σ|x| that bounds its rounding.</summary>
    public (double Sum, double Magnitude) Exact(int token, int row)
    {
        var tensor = new Tensor
        {
            Name = "weights",
            Type = _type,
            Shape = [_columns, _rows],
            Data = _weights.Pointer,
            ByteCount = _rows * _problem.RowBytes,
            Path = "memory",
            FileOffset = 0,
        };
        float[] weights = new float[_columns];
        tensor.DecodeRow(row, weights);
        double sum = 0, magnitude = 0;
        for (int i = 0; i < _columns; i++)
        {
            double x = (double)_problem.Codes[(token * _codeStride) + i] * _problem.Scales[(token * _problem.BlockStride) + (i / 32)];
            sum += weights[i] * x;
            magnitude += Math.Abs(x);
        }

        return (sum, magnitude * weights.Max(Math.Abs));
    }

    public void Dispose()
    {
        _weights.Dispose();
        _codes.Dispose();
        _scales.Dispose();
        _sums.Dispose();
        _outputs.Dispose();
    }
}
