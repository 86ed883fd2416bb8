using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Tern.Kernels;
using Tern.Machine;
using Tern.Numerics;

namespace Tern.Tests.Kernels;

/// <summary>All rows of the block types, and the ARM loop with its ARM instructions spelled out.</summary>
internal static unsafe class BlockRows
{
    private static readonly KernelRow[] s_all =
    [
        .. BlockKernels.Rows,
        Spelled<Q1_0Blocks>(TensorType.Q1_0), Spelled<Q2_0Blocks>(TensorType.Q2_0), Spelled<Q2_0G128Blocks>(TensorType.Q2_0_G128),
        Spelled<Q8_0Blocks>(TensorType.Q8_0), Spelled<Q4_0Blocks>(TensorType.Q4_0), Spelled<Q4_1Blocks>(TensorType.Q4_1),
        Spelled<Q5_0Blocks>(TensorType.Q5_0), Spelled<Q4_KBlocks>(TensorType.Q4_K), Spelled<Q6_KBlocks>(TensorType.Q6_K),
    ];

    /// <summary>Those that this processor can run.</summary>
    public static IReadOnlyList<KernelRow> Runnable { get; } = [.. s_all.Where(row => (row.Needs & ~Cpu.Available) == 0)];

    public static KernelRow Find(string name) => Runnable.Single(row => row.Name == name);

    public static BlockType TypeOf(KernelRow row) => (BlockType)row.Layout.Native!;

    public static KernelRow ScalarOf(BlockType type) => s_all.Single(row => row.Layout.Native == type && row.Name.EndsWith("-scalar", StringComparison.Ordinal));

    /// <summary>Column counts that reach every loop: one block, an odd number of blocks, more than a tile.</summary>
    public static int[] Columns(BlockType type) => [type.BlockSize, 3 * type.BlockSize, 1024 + (5 * type.BlockSize), 2304, 4096];

    private static KernelRow Spelled<TFormat>(TensorType type)
        where TFormat : struct, IBlockFormat => new()
        {
            Name = $"{type.Name}-arm-spelled",
            Needs = Isa.None,
            Layout = WeightLayout.Of(type),
            Form = ActivationForm.Int8PerBlock,
            Run = &BlockMatMul<TFormat, SpelledDot>.Run,
        };

    /// <summary>SDOT and ADDP as plain arithmetic.</summary>
    internal readonly struct SpelledDot : IBlockDot128
    {
        public static Vector128<int> Dot(Vector128<int> start, Vector128<sbyte> left, Vector128<sbyte> right)
        {
            for (int i = 0; i < 16; i++)
                start = start.WithElement(i / 4, start[i / 4] + (left[i] * right[i]));
            return start;
        }

        public static Vector128<int> Sum4(Vector128<int> a, Vector128<int> b, Vector128<int> c, Vector128<int> d) =>
            Vector128.Create(Vector128.Sum(a), Vector128.Sum(b), Vector128.Sum(c), Vector128.Sum(d));
    }
}

/// <summary>What the numbers of a problem are like.</summary>
internal enum BlockData
{
    /// <summary>Weights of any bits, scales of usual sizes, activations like noise.</summary>
    Random,

    /// <summary>Every bit of the codes is set, every activation is +127.</summary>
    AllOnes,

    /// <summary>No bit of the codes is set, every activation is -127.</summary>
    AllZeros,

    /// <summary>Codes all set or all clear, block by block, and activations of either sign at their limit.</summary>
    Extremes,

    /// <summary>Scales from the smallest subnormal fp16 to the largest, and steps from 2^-140 to 2^60.</summary>
    WildScales,
}

/// <summary>
/// A matmul with random weights (every bit pattern except scales that are not finite) and activations quantized in blocks of 32 as the
/// definition says: m = max|x|, code = round(x · 127/m), step = m/127. Every operand has exactly its size and touches a page that nobody
/// may read; so do the packed weights and the scratch of rows that have them.
/// </summary>
internal sealed unsafe class BlockProblem : IDisposable
{
    private const int Block = 32;

    private readonly GuardPageMemory _weights, _codes, _scales, _sums, _outputs;
    private readonly BlockType _type;
    private readonly int _rows, _columns, _tokens;
    private readonly bool _atEnd;
    private MatMulProblem _problem;

    public BlockProblem(BlockType type, int rows, int columns, int tokens, int seed, bool atEnd = true, BlockData data = BlockData.Random)
    {
        var random = new Random(seed);
        (_type, _rows, _columns, _tokens, _atEnd) = (type, rows, columns, tokens, atEnd);
        int codeStride = (columns + 255) / 256 * 256;
        int rowBytes = columns / type.BlockSize * type.BlockBytes, blocks = columns / Block;
        _weights = new GuardPageMemory(rows * rowBytes, atEnd);
        _codes = new GuardPageMemory(tokens * codeStride, atEnd);
        _scales = new GuardPageMemory(tokens * blocks * sizeof(float), atEnd);
        _sums = new GuardPageMemory(tokens * blocks * sizeof(int), atEnd);
        _outputs = new GuardPageMemory(tokens * rows * sizeof(float), atEnd);

        random.NextBytes(new Span<byte>(_weights.Pointer, rows * rowBytes));
        for (int at = 0; at < rows * rowBytes; at += type.BlockBytes)
        {
            Span<byte> storage = new(_weights.Pointer + at, type.BlockBytes);
            if (data is BlockData.AllOnes or BlockData.AllZeros or BlockData.Extremes)
                storage.Fill(data == BlockData.AllOnes || (data == BlockData.Extremes && random.Next(2) == 0) ? (byte)0xFF : (byte)0);
            foreach (int offset in type.ScaleOffsets)
                Unsafe.WriteUnaligned(_weights.Pointer + at + offset, Scale(random, data));
        }

        float* steps = (float*)_scales.Pointer;
        int* sums = (int*)_sums.Pointer;
        sbyte* codes = (sbyte*)_codes.Pointer;
        Span<float> x = stackalloc float[Block];
        for (int i = 0; i < tokens * blocks; i++)
        {
            foreach (ref float value in x)
                value = Activation(random, data, i);
            float maximum = 0;
            foreach (float value in x)
                maximum = MathF.Max(maximum, MathF.Abs(value));
            steps[i] = data == BlockData.WildScales ? MathF.ScaleB(random.NextSingle() + 1, random.Next(-140, 60)) : maximum / 127;
            for (int j = 0; j < Block; j++)
            {
                sbyte code = maximum == 0 ? (sbyte)0 : (sbyte)MathF.Round(x[j] * (127 / maximum));
                codes[((long)(i / blocks) * codeStride) + (i % blocks * Block) + j] = code;
                sums[i] += code;
            }
        }

        _problem = new MatMulProblem
        {
            Weights = _weights.Pointer,
            RowBytes = rowBytes,
            Rows = rows,
            Columns = columns,
            Tokens = tokens,
            Codes = codes,
            CodeStride = codeStride,
            Scales = steps,
            Sums = sums,
            BlockStride = blocks,
            Output = (float*)_outputs.Pointer,
            OutputStride = rows,
        };
    }

    /// <summary>[tokens, rows] after running rows [start, end); the others are NaN.</summary>
    public float[] Run(KernelRow row, int start, int end)
    {
        Span<float> outputs = new(_outputs.Pointer, _tokens * _rows);
        outputs.Fill(float.NaN);
        using var pool = new WorkerPool(1);
        using NativeBuffer<byte>? packed = row.Layout.Pack(Tensor(), pool);
        using GuardPageMemory? weights = packed is null ? null : new GuardPageMemory(packed.Span, _atEnd);
        int tileTokens = row.Split is null ? _tokens : row.Split(new MatMulShape(_rows, 1, _tokens, 1)).TileTokens;
        long scratchBytes = row.ScratchBytes is null ? 0 : (row.ScratchBytes(_columns, tileTokens) + 63) / 64 * 64;
        using var scratch = new GuardPageMemory((int)scratchBytes, _atEnd);
        for (int token = 0; token < _tokens; token += tileTokens)
        {
            MatMulProblem problem = _problem;
            problem.Weights = weights is null ? problem.Weights : weights.Pointer;
            problem.Scratch = scratch.Pointer;
            problem.Tokens = Math.Min(tileTokens, _tokens - token);
            problem.Codes += token * problem.CodeStride;
            problem.Scales += token * problem.BlockStride;
            problem.Sums += token * problem.BlockStride;
            problem.Output += token * problem.OutputStride;
            if (row.Prepare is not null)
                row.Prepare(&problem);
            row.Run(&problem, start, end);
        }

        return outputs.ToArray();
    }

    /// <summary>The sum in float64 of one output, and the largest weight times Σ|x| that bounds its rounding.</summary>
    public (double Sum, double Magnitude) Exact(int token, int row)
    {
        float[] weights = new float[_columns];
        Tensor().DecodeRow(row, weights);
        double sum = 0, magnitude = 0;
        for (int i = 0; i < _columns; i++)
        {
            double x = (double)_problem.Codes[(token * _problem.CodeStride) + i] * _problem.Scales[(token * _problem.BlockStride) + (i / Block)];
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

    private static ushort Scale(Random random, BlockData data)
    {
        if (data == BlockData.WildScales)
            return (ushort)((random.Next(0x7C00) >> (random.Next(3) * 4)) | (random.Next(2) << 15));
        return BitConverter.HalfToUInt16Bits((Half)((random.NextDouble() - 0.3) * 0.1));
    }

    /// <summary>In random data one block in seven is all zeros and one in eleven all extremes.</summary>
    private static float Activation(Random random, BlockData data, int block) => data switch
    {
        BlockData.AllOnes => 0.5f,
        BlockData.AllZeros => -0.5f,
        BlockData.Extremes => random.Next(2) - 0.5f,
        _ when block % 7 == 6 => 0,
        _ when block % 11 == 10 => random.Next(2) - 0.5f,
        _ => (float)(random.NextDouble() + random.NextDouble() - 1),
    };

    private Tensor Tensor() => new()
    {
        Name = "weights",
        Type = _type,
        Shape = [_columns, _rows],
        Data = _weights.Pointer,
        ByteCount = _rows * _problem.RowBytes,
        Path = "memory",
        FileOffset = 0,
    };
}
