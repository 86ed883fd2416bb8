using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Tern.Kernels;

/// <summary>
/// The matmul of packed block types with 512-bit vectors: sixteen rows at a time, VPMADDUBSW and VPADDW. With weights w, no 16-bit sum of
/// two products saturates (2 · 63 · 127 = 16,002), and what a lane holds at the end of a half with sub-scales (8 · 32 · 127 = 32,512) or of
/// a whole block without (16 · 16 · 127 = 32,512) is exact; on the way there it may wrap.
/// </summary>
internal static unsafe class BlockLanesAvx512<TFormat, TCodes>
    where TFormat : struct, IBlockFormat
    where TCodes : struct, IBlockCodes
{
    /// <summary>Rows from <paramref name="start"/>, a multiple of 16.</summary>
    public static void Run(MatMulProblem* problem, int start, int end)
    {
        float* sums = BlockLanes<TFormat, TCodes>.Accumulators(problem);
        long groupBytes = BlockLanes<TFormat, TCodes>.GroupBytes(problem->Columns);
        for (int row = start; row < end; row += BlockLanes.Rows)
        {
            Group(problem, problem->Weights + (row / BlockLanes.Rows * groupBytes), sums);
            BlockLanes<TFormat, TCodes>.Store(problem, row, Math.Min(BlockLanes.Rows, end - row), sums);
        }
    }

    private static void Group(MatMulProblem* problem, byte* codes, float* sums)
    {
        int blocks = problem->Columns / BlockLanes.Block, tokens = problem->Tokens;
        BlockHeader at = BlockLanes<TFormat, TCodes>.Header;
        byte* header = codes + ((long)blocks * BlockLanes<TFormat, TCodes>.CodeBytes), record = problem->Scratch;
        new Span<float>(sums, 2 * tokens * BlockLanes.Rows).Clear();
        for (int block = 0; block < blocks; block += BlockLanes<TFormat, TCodes>.HeaderBlocks, header += at.Bytes)
        {
            Vector512<float> headerScale = BlockFloats.Halves(header);
            byte* factors = header + at.FactorsAt, subScales = header + at.SubScalesAt;
            if (TFormat.HasMinimums)
                Correct(header, in at, record, tokens, sums + (tokens * BlockLanes.Rows));
            for (int part = 0; part < BlockLanes<TFormat, TCodes>.HeaderBlocks; part++)
            {
                Vector512<float> scale = headerScale;
                if (TFormat.HasFactors)
                    scale *= BlockFloats.Bytes(factors + (part * BlockLanes.Rows));
                BlockLanes<TFormat, TCodes>.Prefetch(codes);
                if (TCodes.IsWide)
                    AddWide(codes, scale, record, tokens, sums);
                else
                    Add(codes, scale, subScales + (2 * part * BlockLanes.Rows), record, tokens, sums);
                codes += BlockLanes<TFormat, TCodes>.CodeBytes;
                record += (long)tokens * BlockLanes<TFormat, TCodes>.RecordBytes;
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Add(byte* codes, Vector512<float> scale, byte* subScales, byte* record, int tokens, float* sums)
    {
        Vector512<byte> code0 = TCodes.Take512(codes, 0), code1 = TCodes.Take512(codes, 1);
        Vector512<byte> code2 = TCodes.Take512(codes, 2), code3 = TCodes.Take512(codes, 3);
        Vector512<byte> code4 = TCodes.Take512(codes, 4), code5 = TCodes.Take512(codes, 5);
        Vector512<byte> code6 = TCodes.Take512(codes, 6), code7 = TCodes.Take512(codes, 7);
        Vector512<short> factorLeft = default, factorRight = default;
        if (TFormat.HasSubScales)
            (factorLeft, factorRight) = (Twice(subScales), Twice(subScales + BlockLanes.Rows));

        for (int token = 0; token < tokens; token++, record += BlockLanes<TFormat, TCodes>.RecordBytes, sums += BlockLanes.Rows)
        {
            Vector512<short> left = Dot(code0, record) + Dot(code1, record + 4) + (Dot(code2, record + 8) + Dot(code3, record + 12));
            Vector512<short> right = Dot(code4, record + 16) + Dot(code5, record + 20) + (Dot(code6, record + 24) + Dot(code7, record + 28));
            if (TFormat.Bias != 0)
                left += Offset(record, 0);
            Vector512<int> sum;
            if (TFormat.HasSubScales)
            {
                right += Offset(record, 4);
                sum = Avx512BW.MultiplyAddAdjacent(left, factorLeft) + Avx512BW.MultiplyAddAdjacent(right, factorRight);
            }
            else
            {
                sum = Avx512BW.MultiplyAddAdjacent(left + right, Vector512<short>.One);
            }

            Accumulate(sum, scale, record, sums);
        }
    }

    /// <summary>Whole bytes would saturate: their low and high halves are multiplied apart.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void AddWide(byte* codes, Vector512<float> scale, byte* record, int tokens, float* sums)
    {
        Vector512<byte> low0 = Low(codes, 0), low1 = Low(codes, 1), low2 = Low(codes, 2), low3 = Low(codes, 3);
        Vector512<byte> low4 = Low(codes, 4), low5 = Low(codes, 5), low6 = Low(codes, 6), low7 = Low(codes, 7);
        Vector512<byte> high0 = High(codes, 0), high1 = High(codes, 1), high2 = High(codes, 2), high3 = High(codes, 3);
        Vector512<byte> high4 = High(codes, 4), high5 = High(codes, 5), high6 = High(codes, 6), high7 = High(codes, 7);
        for (int token = 0; token < tokens; token++, record += BlockLanes<TFormat, TCodes>.RecordBytes, sums += BlockLanes.Rows)
        {
            Vector512<short> low = Dot(low0, record) + Dot(low1, record + 4) + (Dot(low2, record + 8) + Dot(low3, record + 12));
            low += Dot(low4, record + 16) + Dot(low5, record + 20) + (Dot(low6, record + 24) + Dot(low7, record + 28));
            Vector512<short> high = Offset(record, 0) + Dot(high0, record) + Dot(high1, record + 4) + (Dot(high2, record + 8) + Dot(high3, record + 12));
            high += Dot(high4, record + 16) + Dot(high5, record + 20) + (Dot(high6, record + 24) + Dot(high7, record + 28));
            Vector512<int> sum = Avx512BW.MultiplyAddAdjacent(low, Vector512<short>.One) + Avx512BW.MultiplyAddAdjacent(high, Vector512.Create((short)16));
            Accumulate(sum, scale, record, sums);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<byte> Low(byte* codes, int index) => TCodes.Take512(codes, index) & Vector512.Create((byte)15);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<byte> High(byte* codes, int index) =>
        (TCodes.Take512(codes, index).AsUInt16() >> 4).AsByte() & Vector512.Create((byte)15);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<short> Dot(Vector512<byte> code, byte* activations) =>
        Avx512BW.MultiplyAddAdjacent(code, Vector512.Create(*(int*)activations).AsSByte());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<short> Offset(byte* record, int at) =>
        Vector512.Create(*(int*)(record + BlockLanes<TFormat, TCodes>.OffsetsAt + at)).AsInt16();

    /// <summary>Sub-scales as both 16-bit halves of their lanes.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<short> Twice(byte* subScales)
    {
        Vector512<int> factors = Avx512F.ConvertToVector512Int32(Vector128.Load((sbyte*)subScales));
        return ((factors << 16) | (factors & Vector512.Create(0xFFFF))).AsInt16();
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Accumulate(Vector512<int> sum, Vector512<float> scale, byte* record, float* sums)
    {
        Vector512<float> step = Vector512.Create(*(float*)(record + BlockLanes<TFormat, TCodes>.StepAt));
        Avx512F.FusedMultiplyAdd(Avx512F.ConvertToVector512Single(sum), scale * step, Vector512.Load(sums)).Store(sums);
    }

    /// <summary>What the minimums of the blocks of a header add.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Correct(byte* header, in BlockHeader at, byte* record, int tokens, float* corrections)
    {
        Vector512<float> headerMinimum = BlockFloats.Halves(header + at.MinimumAt);
        byte* factors = header + at.MinimumFactorsAt;
        for (int part = 0; part < BlockLanes<TFormat, TCodes>.HeaderBlocks; part++, factors += BlockLanes.Rows)
        {
            Vector512<float> minimum = headerMinimum;
            if (TFormat.HasFactors)
                minimum *= BlockFloats.Bytes(factors);
            for (int token = 0; token < tokens; token++, record += BlockLanes<TFormat, TCodes>.RecordBytes)
            {
                float* to = corrections + (token * BlockLanes.Rows);
                Vector512<float> step = Vector512.Create(*(float*)(record + BlockLanes<TFormat, TCodes>.StepAt));
                Vector512<float> sum = Vector512.Create(*(float*)(record + BlockLanes<TFormat, TCodes>.SumAt));
                Avx512F.FusedMultiplyAdd(minimum * step, sum, Vector512.Load(to)).Store(to);
            }
        }
    }
}

/// <summary>Numbers of sixteen or eight rows as floats.</summary>
internal static unsafe class BlockFloats
{
    private const int Sign = unchecked((int)0x8000_0000), Magnitude = 0x7FFF << 13;

    /// <summary>
    /// What makes fp16 of a float whose bits are those of an fp16, shifted: the difference of the exponents' biases. The product is exact
    /// for subnormals, too; infinity and NaN are refused at load.
    /// </summary>
    private const float Rebias = 5.192296858534828e33f; // 2^112

    /// <summary>Sixteen finite fp16.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Halves(byte* bits)
    {
        Vector512<int> shifted = Avx512F.ConvertToVector512Int32(Vector256.Load((short*)bits)) << 13;
        return (shifted & Vector512.Create(Sign | Magnitude)).AsSingle() * Vector512.Create(Rebias);
    }

    /// <summary>Eight finite fp16.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> EightHalves(byte* bits)
    {
        Vector256<int> shifted = Avx2.ConvertToVector256Int32(Vector128.Load((short*)bits)) << 13;
        return (shifted & Vector256.Create(Sign | Magnitude)).AsSingle() * Vector256.Create(Rebias);
    }

    /// <summary>Sixteen int8.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Bytes(byte* values) =>
        Avx512F.ConvertToVector512Single(Avx512F.ConvertToVector512Int32(Vector128.Load((sbyte*)values)));

    /// <summary>Eight int8.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> EightBytes(byte* values) =>
        Avx.ConvertToVector256Single(Avx2.ConvertToVector256Int32((sbyte*)values));
}
