using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Tern.Machine;
using Tern.Numerics;

namespace Tern.Kernels;

/// <summary>
/// Q1_0 with AVX-512. Four columns of weights -1 and +1 have sixteen sums with the codes of a token. A table of these sums, made once for
/// all rows, turns VPERMW into 32 rows times 4 columns of products; the index is four bits of the weights.
/// <code>
///   group     32 rows: bits, then scales; the last group is filled up with zeros
///   bits      [unit of 128 columns][8][lane] of 16 bits: column 16 i + j is bit j. Lane 2r is row r, lane 2r + 1 is row 16 + r
///   scales    [unit][row] fp16
///
///   scratch   tables  [block][token][8][16] int16: entry e of table i is Σ over j in 0 … 3 of (bit j of e ? a : -a), a of column 4i + j
///             steps   [block][token]
///             sums    [group of 32 rows][token][32]
/// </code>
/// The compiler of .NET 10 encodes a constant distance wrongly in the broadcasting load that the tables come by (as if it read 16 bytes);
/// distances are therefore kept in registers, in <see cref="Distances"/>.
/// A block's sum is at most 32 · 127 and stays in 16 bits; even and odd lanes are widened apart.
/// </summary>
internal static unsafe class BlockSigns
{
    /// <summary>Rows of a group.</summary>
    public const int Rows = 32;

    private const int Block = 32, UnitColumns = 128, UnitBlocks = 4, FileUnitBytes = 18, FileBits = 2;
    private const int UnitBytes = UnitColumns / 8 * Rows, ScaleBytes = Rows * sizeof(ushort);
    private const int TableShorts = 16, BlockTables = 8, TableBytes = TableShorts * sizeof(short), BlockTableBytes = BlockTables * TableBytes;
    private const int TokensMax = 16;

    /// <summary>Rows that run through a unit's tables one after another: their sums stay in the first-level cache beside the tables.</summary>
    private const int RowsTogether = 8 * Rows;

    /// <summary>Tokens of a problem: their tables stay in the second-level cache.</summary>
    public static MatMulSplit Split(in MatMulShape shape) => BlockLanes.EvenTiles(in shape, TokensMax, Rows);

    public static long ScratchBytes(int columns, int tokens) =>
        StepsAt(columns, tokens) + StepsBytes(columns, tokens) + ((long)tokens * RowsTogether * sizeof(float));

    private static long StepsAt(int columns, int tokens) => columns / Block * (long)tokens * BlockTableBytes;

    private static long StepsBytes(int columns, int tokens) =>
        ((columns / Block * (long)tokens * sizeof(float)) + BlockLanes.CacheLine - 1) / BlockLanes.CacheLine * BlockLanes.CacheLine;

    private static long GroupBytes(int columns) => columns / UnitColumns * (long)(UnitBytes + ScaleBytes);

    /// <summary>Makes the tables of all tokens.</summary>
    public static void Prepare(MatMulProblem* problem)
    {
        int blocks = problem->Columns / Block;
        float* allSteps = (float*)(problem->Scratch + StepsAt(problem->Columns, problem->Tokens));
        for (int token = 0; token < problem->Tokens; token++)
        {
            sbyte* codes = problem->Codes + ((long)token * problem->CodeStride);
            float* from = problem->Scales + ((long)token * problem->BlockStride), steps = allSteps + token;
            short* tables = (short*)(problem->Scratch + ((long)token * BlockTableBytes));
            for (int block = 0; block < blocks; block++, steps += problem->Tokens)
            {
                *steps = from[block];
                for (int i = 0; i < BlockTables; i++, codes += 4)
                    Table(codes).Store(tables + (i * TableShorts));
                tables += (long)problem->Tokens * BlockTables * TableShorts;
            }
        }
    }

    /// <summary>Rows from <paramref name="start"/>, a multiple of 32.</summary>
    public static void Run(MatMulProblem* problem, int start, int end)
    {
        int tokens = problem->Tokens, together = tokens == 1 ? Rows : RowsTogether;
        float* sums = (float*)(problem->Scratch + StepsAt(problem->Columns, tokens) + StepsBytes(problem->Columns, tokens));
        long groupBytes = GroupBytes(problem->Columns);
        for (int row = start; row < end; row += together)
        {
            int rows = Math.Min(together, end - row);
            byte* group = problem->Weights + (row / Rows * groupBytes);
            if (tokens == 1)
                OneToken(problem, group, sums);
            else
                Tokens(problem, group, (rows + Rows - 1) / Rows, sums);

            for (int done = 0; done < rows; done += Rows)
            {
                int count = Math.Min(Rows, rows - done);
                for (int token = 0; token < tokens; token++, sums += Rows)
                    new ReadOnlySpan<float>(sums, count).CopyTo(new Span<float>(problem->Output + (token * problem->OutputStride) + row + done, count));
            }

            sums -= (rows + Rows - 1) / Rows * tokens * Rows;
        }
    }

    private static void OneToken(MatMulProblem* problem, byte* bits, float* sums)
    {
        int units = problem->Columns / UnitColumns;
        byte* scales = bits + ((long)units * UnitBytes);
        byte* tables = problem->Scratch;
        Distances distances = Distances.Unknown();
        float* steps = (float*)(problem->Scratch + StepsAt(problem->Columns, 1));
        Vector512<float> low = default, high = default;
        for (int unit = 0; unit < units; unit++, scales += ScaleBytes)
        {
            Vector512<float> scaleLow = BlockFloats.Halves(scales), scaleHigh = BlockFloats.Halves(scales + (ScaleBytes / 2));
            for (int part = 0; part < UnitBlocks; part++, bits += 128, tables += BlockTableBytes, steps++)
            {
                Sse.Prefetch0(bits + BlockLanes.AheadBytes);
                Sse.Prefetch0(bits + BlockLanes.AheadBytes + 64);
                Vector512<ushort> first = Vector512.LoadAligned((ushort*)bits), second = Vector512.LoadAligned((ushort*)(bits + 64));
                Vector512<short> sum = Sum(tables, distances, first, first >> 4, first >> 8, first >> 12)
                    + Sum(tables + distances.Four, distances, second, second >> 4, second >> 8, second >> 12);
                Vector512<float> step = Vector512.Create(*steps);
                low = Avx512F.FusedMultiplyAdd(Even(sum), scaleLow * step, low);
                high = Avx512F.FusedMultiplyAdd(Odd(sum), scaleHigh * step, high);
            }
        }

        low.Store(sums);
        high.Store(sums + 16);
    }

    /// <summary>Several groups unit by unit, so that a unit's tables are read from the first-level cache by all but the first.</summary>
    private static void Tokens(MatMulProblem* problem, byte* weights, int groups, float* sums)
    {
        int units = problem->Columns / UnitColumns, tokens = problem->Tokens;
        long groupBytes = GroupBytes(problem->Columns);
        byte* tables = problem->Scratch;
        float* steps = (float*)(problem->Scratch + StepsAt(problem->Columns, tokens));
        new Span<float>(sums, groups * tokens * Rows).Clear();
        for (int unit = 0; unit < units; unit++, tables += UnitBlocks * tokens * BlockTableBytes, steps += UnitBlocks * tokens)
        {
            byte* bits = weights + ((long)unit * UnitBytes), scales = weights + ((long)units * UnitBytes) + ((long)unit * ScaleBytes);
            for (int group = 0; group < groups; group++, bits += groupBytes, scales += groupBytes)
                Unit(bits, scales, tables, steps, tokens, sums + (group * tokens * Rows));
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Unit(byte* bits, byte* scales, byte* tables, float* steps, int tokens, float* sums)
    {
        Distances distances = Distances.Unknown();
        Vector512<float> scaleLow = BlockFloats.Halves(scales), scaleHigh = BlockFloats.Halves(scales + (ScaleBytes / 2));
        for (int part = 0; part < UnitBlocks; part++, bits += 128)
        {
            Vector512<ushort> first = Vector512.LoadAligned((ushort*)bits), second = Vector512.LoadAligned((ushort*)(bits + 64));
            Vector512<ushort> first1 = first >> 4, first2 = first >> 8, first3 = first >> 12;
            Vector512<ushort> second1 = second >> 4, second2 = second >> 8, second3 = second >> 12;
            float* to = sums;
            for (int token = 0; token < tokens; token++, tables += BlockTableBytes, steps++, to += Rows)
            {
                Vector512<short> sum = Sum(tables, distances, first, first1, first2, first3)
                    + Sum(tables + distances.Four, distances, second, second1, second2, second3);
                Vector512<float> step = Vector512.Create(*steps);
                Avx512F.FusedMultiplyAdd(Even(sum), scaleLow * step, Vector512.Load(to)).Store(to);
                Avx512F.FusedMultiplyAdd(Odd(sum), scaleHigh * step, Vector512.Load(to + 16)).Store(to + 16);
            }
        }
    }

    /// <summary>The sums of 32 rows over 16 columns. VPERMW has 32 entries: a table stands in both halves, whatever the fifth bit is.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<short> Sum(
        byte* tables, Distances distances, Vector512<ushort> index0, Vector512<ushort> index1, Vector512<ushort> index2, Vector512<ushort> index3) =>
        (Find(tables, index0) + Find(tables + distances.One, index1)) + (Find(tables + distances.Two, index2) + Find(tables + distances.Three, index3));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<short> Find(byte* table, Vector512<ushort> index) =>
        Avx512BW.PermuteVar32x16(Avx512F.BroadcastVector256ToVector512((ulong*)table).AsInt16(), index.AsInt16());

    /// <summary>Bytes from a table to the following ones.</summary>
    private readonly struct Distances
    {
        public readonly nint One, Two, Three, Four;

        private Distances(nint one) => (One, Two, Three, Four) = (one, 2 * one, 3 * one, 4 * one);

        /// <summary>The distances, as values that the compiler does not know.</summary>
        public static Distances Unknown()
        {
            nint one = TableBytes;
            return new Distances(Volatile.Read(ref one));
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Even(Vector512<short> sums) =>
        Avx512F.ConvertToVector512Single(Avx512BW.MultiplyAddAdjacent(sums, Vector512.Create(1).AsInt16()));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Odd(Vector512<short> sums) => Avx512F.ConvertToVector512Single(sums.AsInt32() >> 16);

    /// <summary>The sixteen sums of four codes.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<short> Table(sbyte* codes)
    {
        Vector256<short> bit0 = Vector256.Create(0x0001_FFFF).AsInt16(), bit1 = Vector256.Create(0x0001_0001_FFFF_FFFF).AsInt16();
        Vector256<short> bit2 = Vector256.Create(-1L, 0x0001_0001_0001_0001, -1L, 0x0001_0001_0001_0001).AsInt16();
        Vector256<short> bit3 = Vector256.Create(-1L, -1L, 0x0001_0001_0001_0001, 0x0001_0001_0001_0001).AsInt16();
        return (Avx2.Sign(Vector256.Create((short)codes[0]), bit0) + Avx2.Sign(Vector256.Create((short)codes[1]), bit1))
            + (Avx2.Sign(Vector256.Create((short)codes[2]), bit2) + Avx2.Sign(Vector256.Create((short)codes[3]), bit3));
    }

    /// <summary>The weights in this layout.</summary>
    public static NativeBuffer<byte> Pack(Tensor tensor, WorkerPool pool, WeightArena? arena)
    {
        (int rows, int columns) = ((int)tensor.Rows, (int)tensor.Columns);
        int groups = (rows + Rows - 1) / Rows;
        NativeBuffer<byte> packed = WeightArena.Take(arena, groups * GroupBytes(columns));
        Packing packing = new() { From = tensor.Data, To = packed.Pointer, Rows = rows, Columns = columns };
        pool.Run(&PackGroups, &packing, groups, 1);
        return packed;
    }

    private static void PackGroups(void* state, int start, int end, int worker)
    {
        var packing = (Packing*)state;
        int units = packing->Columns / UnitColumns;
        for (int group = start; group < end; group++)
        {
            var bits = (ushort*)(packing->To + (group * GroupBytes(packing->Columns)));
            ushort* scales = bits + ((long)units * UnitBytes / sizeof(ushort));
            int first = group * Rows;
            for (int row = 0; row < Math.Min(Rows, packing->Rows - first); row++)
            {
                byte* unit = packing->From + ((long)(first + row) * units * FileUnitBytes);
                ushort* lane = bits + (row % 16 * 2) + (row / 16);
                for (int done = 0; done < units; done++, unit += FileUnitBytes)
                {
                    scales[(done * Rows) + row] = *(ushort*)unit;
                    for (int i = 0; i < 8; i++, lane += Rows)
                        *lane = ((ushort*)(unit + FileBits))[i];
                }
            }
        }
    }

    private struct Packing
    {
        public byte* From;
        public byte* To;
        public int Rows;
        public int Columns;
    }
}
