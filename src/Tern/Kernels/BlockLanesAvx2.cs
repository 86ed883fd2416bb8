using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Tern.Kernels;

/// <summary>How four code vectors of eight rows are multiplied: the only difference between AVX2 and AVX-VNNI.</summary>
internal unsafe interface IBlockDot256
{
    /// <summary>Whether <see cref="Half"/> takes whole bytes.</summary>
    static abstract bool TakesBytes { get; }

    /// <summary>offset + Σ w·a of 16 columns, in lanes that <see cref="Sum"/> makes sums of rows of.</summary>
    static abstract Vector256<int> Half(
        Vector256<byte> code0, Vector256<byte> code1, Vector256<byte> code2, Vector256<byte> code3, byte* activations, Vector256<int> offset);

    /// <summary>The sum of each row of one or, added, two halves.</summary>
    static abstract Vector256<int> Sum(Vector256<int> half);

    /// <summary>Adds two halves before their sums.</summary>
    static abstract Vector256<int> Join(Vector256<int> left, Vector256<int> right);
}

/// <summary>
/// The matmul of packed block types with 256-bit vectors: eight rows at a time, so that a group is gone through twice, the second time
/// in the cache.
/// </summary>
internal static unsafe class BlockLanesAvx2<TFormat, TCodes, TDot>
    where TFormat : struct, IBlockFormat
    where TCodes : struct, IBlockCodes
    where TDot : struct, IBlockDot256
{
    private const int Eight = 8;

    /// <summary>Rows from <paramref name="start"/>, a multiple of 16.</summary>
    public static void Run(MatMulProblem* problem, int start, int end)
    {
        float* sums = BlockLanes<TFormat, TCodes>.Accumulators(problem);
        long groupBytes = BlockLanes<TFormat, TCodes>.GroupBytes(problem->Columns);
        for (int row = start; row < end; row += BlockLanes.Rows)
        {
            new Span<float>(sums, 2 * problem->Tokens * BlockLanes.Rows).Clear();
            for (int first = 0; first < BlockLanes.Rows; first += Eight)
                HalfGroup(problem, problem->Weights + (row / BlockLanes.Rows * groupBytes), first, sums + first);
            BlockLanes<TFormat, TCodes>.Store(problem, row, Math.Min(BlockLanes.Rows, end - row), sums);
        }
    }

    /// <summary>Rows <paramref name="first"/> … first + 7 of a group.</summary>
    private static void HalfGroup(MatMulProblem* problem, byte* codes, int first, float* sums)
    {
        int blocks = problem->Columns / BlockLanes.Block, tokens = problem->Tokens;
        BlockHeader at = BlockLanes<TFormat, TCodes>.Header;
        byte* header = codes + ((long)blocks * BlockLanes<TFormat, TCodes>.CodeBytes), record = problem->Scratch;
        codes += first * sizeof(uint);
        for (int block = 0; block < blocks; block += BlockLanes<TFormat, TCodes>.HeaderBlocks, header += at.Bytes)
        {
            Vector256<float> headerScale = BlockFloats.EightHalves(header + (first * sizeof(ushort)));
            byte* factors = header + at.FactorsAt + first, subScales = header + at.SubScalesAt + first;
            if (TFormat.HasMinimums)
                Correct(header, in at, first, record, tokens, sums + (tokens * BlockLanes.Rows));
            for (int part = 0; part < BlockLanes<TFormat, TCodes>.HeaderBlocks; part++)
            {
                Vector256<float> scale = headerScale;
                if (TFormat.HasFactors)
                    scale *= BlockFloats.EightBytes(factors + (part * BlockLanes.Rows));
                BlockLanes<TFormat, TCodes>.Prefetch(codes);
                Add(codes, scale, subScales + (2 * part * BlockLanes.Rows), record, tokens, sums);
                codes += BlockLanes<TFormat, TCodes>.CodeBytes;
                record += (long)tokens * BlockLanes<TFormat, TCodes>.RecordBytes;
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Add(byte* codes, Vector256<float> scale, byte* subScales, byte* record, int tokens, float* sums)
    {
        Vector256<byte> code0 = TCodes.Take256(codes, 0), code1 = TCodes.Take256(codes, 1);
        Vector256<byte> code2 = TCodes.Take256(codes, 2), code3 = TCodes.Take256(codes, 3);
        Vector256<byte> code4 = TCodes.Take256(codes, 4), code5 = TCodes.Take256(codes, 5);
        Vector256<byte> code6 = TCodes.Take256(codes, 6), code7 = TCodes.Take256(codes, 7);
        Vector256<float> factorLeft = default, factorRight = default;
        if (TFormat.HasSubScales)
            (factorLeft, factorRight) = (BlockFloats.EightBytes(subScales), BlockFloats.EightBytes(subScales + BlockLanes.Rows));

        for (int token = 0; token < tokens; token++, record += BlockLanes<TFormat, TCodes>.RecordBytes, sums += BlockLanes.Rows)
        {
            Vector256<int> start = Offset(record, 0), next = Offset(record, 4);
            Vector256<float> sum;
            if (TCodes.IsWide && !TDot.TakesBytes)
            {
                // Whole bytes would saturate: their low and high halves are multiplied apart.
                Vector256<int> low = TDot.Join(
                    TDot.Half(Low(code0), Low(code1), Low(code2), Low(code3), record, default),
                    TDot.Half(Low(code4), Low(code5), Low(code6), Low(code7), record + 16, default));
                Vector256<int> high = TDot.Join(
                    TDot.Half(High(code0), High(code1), High(code2), High(code3), record, start),
                    TDot.Half(High(code4), High(code5), High(code6), High(code7), record + 16, next));
                sum = Avx.ConvertToVector256Single(TDot.Sum(low) + (TDot.Sum(high) << 4));
            }
            else
            {
                Vector256<int> left = TDot.Half(code0, code1, code2, code3, record, start);
                Vector256<int> right = TDot.Half(code4, code5, code6, code7, record + 16, next);

                // Floats hold every number of the sum with sub-scales exactly: all are whole and less than 2^24.
                sum = TFormat.HasSubScales
                    ? Fma.MultiplyAdd(ToSingle(left), factorLeft, ToSingle(right) * factorRight)
                    : ToSingle(TDot.Join(left, right));
            }

            Vector256<float> step = Vector256.Create(*(float*)(record + BlockLanes<TFormat, TCodes>.StepAt));
            Fma.MultiplyAdd(sum, scale * step, Vector256.Load(sums)).Store(sums);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<float> ToSingle(Vector256<int> halves) => Avx.ConvertToVector256Single(TDot.Sum(halves));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<byte> Low(Vector256<byte> codes) => codes & Vector256.Create((byte)15);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<byte> High(Vector256<byte> codes) => (codes.AsUInt16() >> 4).AsByte() & Vector256.Create((byte)15);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<int> Offset(byte* record, int at) => Vector256.Create(*(int*)(record + BlockLanes<TFormat, TCodes>.OffsetsAt + at));

    /// <summary>What the minimums of the blocks of a header add.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Correct(byte* header, in BlockHeader at, int first, byte* record, int tokens, float* corrections)
    {
        Vector256<float> headerMinimum = BlockFloats.EightHalves(header + at.MinimumAt + (first * sizeof(ushort)));
        byte* factors = header + at.MinimumFactorsAt + first;
        for (int part = 0; part < BlockLanes<TFormat, TCodes>.HeaderBlocks; part++, factors += BlockLanes.Rows)
        {
            Vector256<float> minimum = headerMinimum;
            if (TFormat.HasFactors)
                minimum *= BlockFloats.EightBytes(factors);
            for (int token = 0; token < tokens; token++, record += BlockLanes<TFormat, TCodes>.RecordBytes)
            {
                float* to = corrections + (token * BlockLanes.Rows);
                Vector256<float> step = Vector256.Create(*(float*)(record + BlockLanes<TFormat, TCodes>.StepAt));
                Vector256<float> sum = Vector256.Create(*(float*)(record + BlockLanes<TFormat, TCodes>.SumAt));
                Fma.MultiplyAdd(minimum * step, sum, Vector256.Load(to)).Store(to);
            }
        }
    }
}

/// <summary>VPMADDUBSW, VPADDW, and one VPMADDWD; see <see cref="BlockLanesAvx512{TFormat, TCodes}"/> for why 16 bits are enough.</summary>
internal readonly unsafe struct BlockDotAvx2 : IBlockDot256
{
    public static bool TakesBytes => false;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<int> Half(
        Vector256<byte> code0, Vector256<byte> code1, Vector256<byte> code2, Vector256<byte> code3, byte* activations, Vector256<int> offset) =>
        (offset.AsInt16() + Dot(code0, activations) + Dot(code1, activations + 4) + (Dot(code2, activations + 8) + Dot(code3, activations + 12))).AsInt32();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<int> Sum(Vector256<int> half) => Avx2.MultiplyAddAdjacent(half.AsInt16(), Vector256<short>.One);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<int> Join(Vector256<int> left, Vector256<int> right) => (left.AsInt16() + right.AsInt16()).AsInt32();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<short> Dot(Vector256<byte> code, byte* activations) =>
        Avx2.MultiplyAddAdjacent(code, Vector256.Create(*(int*)activations).AsSByte());
}

/// <summary>VPDPBUSD: four products of bytes into 32 bits at once.</summary>
internal readonly unsafe struct BlockDotAvxVnni : IBlockDot256
{
    public static bool TakesBytes => true;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<int> Half(
        Vector256<byte> code0, Vector256<byte> code1, Vector256<byte> code2, Vector256<byte> code3, byte* activations, Vector256<int> offset)
    {
        Vector256<int> sum = Dot(offset, code0, activations);
        sum = Dot(sum, code1, activations + 4);
        sum = Dot(sum, code2, activations + 8);
        return Dot(sum, code3, activations + 12);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<int> Sum(Vector256<int> half) => half;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<int> Join(Vector256<int> left, Vector256<int> right) => left + right;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<int> Dot(Vector256<int> start, Vector256<byte> code, byte* activations) =>
        AvxVnni.MultiplyWideningAndAdd(start, code, Vector256.Create(*(int*)activations).AsSByte());
}
