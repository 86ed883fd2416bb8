using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Tern.Machine;
using Tern.Numerics;

namespace Tern.Kernels;

/// <summary>What all packed layouts of block types share: a lane of a vector is a row of weights, so that no sum is taken across lanes.</summary>
internal static class BlockLanes
{
    /// <summary>Rows of a group.</summary>
    public const int Rows = 16;

    /// <summary>Columns of a block.</summary>
    public const int Block = 32;

    /// <summary>How far ahead of the codes in hand memory is asked for.</summary>
    public const int AheadBytes = 4096;

    public const int CacheLine = 64;

    /// <summary>Tokens of a problem: their codes, spread out, stay in the second-level cache.</summary>
    public static MatMulSplit Split(in MatMulShape shape) => EvenTiles(in shape, 64, Rows);

    /// <summary>Tiles of at most <paramref name="most"/> tokens that are as large as each other.</summary>
    public static MatMulSplit EvenTiles(in MatMulShape shape, int most, int rowMultiple)
    {
        int tiles = (shape.Tokens + most - 1) / most;
        int tokens = (shape.Tokens + tiles - 1) / tiles;
        return new MatMulSplit(tokens, (shape with { Tokens = tokens }).ChunkRows(rowMultiple));
    }
}

/// <summary>
/// Block types packed at load in groups of sixteen rows, the last group filled up with zeros.
/// <code>
///   group     codes of 16 rows, then their headers, filled up to 64 bytes
///   codes     [block of 32 columns][vector][row][4 bytes]        see IBlockCodes
///   headers   [columns that share a scale], each
///               scale             [row] fp16
///               factors           [block][row] int8     types with factors
///               minimum           [row] fp16            types with minimums
///               minimum factors   [block][row] int8     types with both
///               sub-scales        [half block][row] int8
/// </code>
/// Before its first rows a worker spreads out the tokens' codes in its scratch, block by block, with what the bias of the codes makes of
/// them; a record of a token is
/// <code>
///   32 codes | Σ -bias·a of both halves, as IBlockOffsets wants it | step | (float)Σa
/// </code>
/// </summary>
internal static unsafe class BlockLanes<TFormat, TCodes>
    where TFormat : struct, IBlockFormat
    where TCodes : struct, IBlockCodes
{
    public const int OffsetsAt = 32, StepAt = 40, SumAt = 44, RecordBytes = 48;

    private const int UnitBytesMax = 256;

    /// <summary>Blocks that share a header.</summary>
    public static int HeaderBlocks => TFormat.HasOneScale ? TFormat.UnitColumns / BlockLanes.Block : 1;

    /// <summary>Where things stand in a header. Asked for once a group, and not inlined: a loop has only so much room for inlining.</summary>
    public static BlockHeader Header
    {
        [MethodImpl(MethodImplOptions.NoInlining)]
        get
        {
            BlockHeader header = default;
            int blockBytes = HeaderBlocks * BlockLanes.Rows;
            header.FactorsAt = BlockLanes.Rows * sizeof(ushort);
            header.MinimumAt = header.FactorsAt + (TFormat.HasFactors ? blockBytes : 0);
            header.MinimumFactorsAt = header.MinimumAt + (TFormat.HasMinimums ? BlockLanes.Rows * sizeof(ushort) : 0);
            header.SubScalesAt = header.MinimumFactorsAt + (TFormat.HasMinimums && TFormat.HasFactors ? blockBytes : 0);
            header.Bytes = header.SubScalesAt + (TFormat.HasSubScales ? 2 * blockBytes : 0);
            return header;
        }
    }

    /// <summary>Bytes of the codes of a block.</summary>
    public static int CodeBytes => TCodes.Vectors * BlockLanes.Rows * sizeof(uint);

    /// <summary>Bytes of sixteen rows.</summary>
    public static long GroupBytes(int columns)
    {
        long blocks = columns / BlockLanes.Block;
        return ((blocks * CodeBytes) + (blocks / HeaderBlocks * Header.Bytes) + BlockLanes.CacheLine - 1) / BlockLanes.CacheLine * BlockLanes.CacheLine;
    }

    /// <summary>Records of all tokens, then [tokens, 16] accumulators, then as many corrections.</summary>
    public static long ScratchBytes(int columns, int tokens) =>
        (columns / BlockLanes.Block * (long)tokens * RecordBytes) + BlockLanes.CacheLine + (2L * tokens * BlockLanes.Rows * sizeof(float));

    /// <summary>Where the accumulators begin.</summary>
    public static float* Accumulators(MatMulProblem* problem)
    {
        long records = problem->Columns / BlockLanes.Block * (long)problem->Tokens * RecordBytes;
        return (float*)(problem->Scratch + ((records + BlockLanes.CacheLine - 1) / BlockLanes.CacheLine * BlockLanes.CacheLine));
    }

    /// <summary>Spreads out the tokens' codes, [block, token] records.</summary>
    public static void Prepare<TOffsets>(MatMulProblem* problem)
        where TOffsets : struct, IBlockOffsets
    {
        int blocks = problem->Columns / BlockLanes.Block;
        for (int token = 0; token < problem->Tokens; token++)
        {
            sbyte* codes = problem->Codes + ((long)token * problem->CodeStride);
            float* steps = problem->Scales + ((long)token * problem->BlockStride);
            int* sums = problem->Sums + ((long)token * problem->BlockStride);
            byte* record = problem->Scratch + ((long)token * RecordBytes);
            for (int block = 0; block < blocks; block++, codes += BlockLanes.Block, record += (long)problem->Tokens * RecordBytes)
            {
                Vector128<sbyte> left = Vector128.Load(codes), right = Vector128.Load(codes + 16);
                left.Store((sbyte*)record);
                right.Store((sbyte*)record + 16);
                *(ulong*)(record + OffsetsAt) = TOffsets.Of(left, right, TCodes.IsWide, TFormat.HasSubScales, TFormat.Bias);
                *(float*)(record + StepAt) = steps[block];
                *(float*)(record + SumAt) = sums[block];
            }
        }
    }

    /// <summary>Writes the results of a group: [tokens, 16] sums, and what the minimums add.</summary>
    public static void Store(MatMulProblem* problem, int row, int rows, float* sums)
    {
        float* corrections = sums + (problem->Tokens * BlockLanes.Rows);
        float* output = problem->Output + row;
        for (int token = 0; token < problem->Tokens; token++, output += problem->OutputStride, sums += BlockLanes.Rows, corrections += BlockLanes.Rows)
            for (int i = 0; i < rows; i++)
                output[i] = TFormat.HasMinimums ? sums[i] + corrections[i] : sums[i];
    }

    /// <summary>Asks for the codes that come up <see cref="BlockLanes.AheadBytes"/> further on.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Prefetch(byte* codes)
    {
        for (int at = 0; at < CodeBytes; at += BlockLanes.CacheLine)
            Sse.Prefetch0(codes + BlockLanes.AheadBytes + at);
    }

    /// <summary>The weights in this layout.</summary>
    public static NativeBuffer<byte> Pack(Tensor tensor, WorkerPool pool, WeightArena? arena)
    {
        (int rows, int columns) = ((int)tensor.Rows, (int)tensor.Columns);
        int groups = (rows + BlockLanes.Rows - 1) / BlockLanes.Rows;
        NativeBuffer<byte> packed = WeightArena.Take(arena, groups * GroupBytes(columns));
        Packing packing = new()
        {
            From = tensor.Data,
            RowBytes = (long)tensor.Type.ByteCount((UInt128)columns, 1),
            To = packed.Pointer,
            Rows = rows,
            Columns = columns,
        };
        pool.Run(&PackGroups, &packing, groups, 1);
        return packed;
    }

    private static void PackGroups(void* state, int start, int end, int worker)
    {
        var packing = (Packing*)state;
        for (int group = start; group < end; group++)
        {
            byte* to = packing->To + (group * GroupBytes(packing->Columns));
            int first = group * BlockLanes.Rows;
            for (int row = first; row < Math.Min(first + BlockLanes.Rows, packing->Rows); row++)
                PackRow(packing->From + (row * packing->RowBytes), packing->Columns / BlockLanes.Block, to, row - first);
        }
    }

    private static void PackRow(byte* unit, int blocks, byte* group, int row)
    {
        byte* header = group + ((long)blocks * CodeBytes);
        BlockHeader at = Header;
        byte* half = stackalloc byte[UnitBytesMax];
        byte* codes = stackalloc byte[UnitBytesMax];
        int unitBlocks = TFormat.UnitColumns / BlockLanes.Block;
        for (int block = 0; block < blocks; block += unitBlocks, unit += TFormat.UnitBytes)
        {
            if (blocks - block < unitBlocks)
            {
                // An odd number of blocks leaves half a unit, which must not be read as a whole one.
                new ReadOnlySpan<byte>(unit, TFormat.UnitBytes / 2).CopyTo(new Span<byte>(half, UnitBytesMax));
                unit = half;
            }

            TFormat.Unpack(unit, codes, 2 * BlockLanes.Block);
            for (int part = 0; part < Math.Min(unitBlocks, blocks - block); part++, group += CodeBytes)
            {
                TCodes.Pack((uint*)(codes + (part * BlockLanes.Block)), (uint*)group + row);
                if (part % HeaderBlocks == 0)
                {
                    PackHeader(unit, part, header, in at, row);
                    header += at.Bytes;
                }
            }
        }
    }

    private static void PackHeader(byte* unit, int first, byte* header, in BlockHeader at, int row)
    {
        ((ushort*)header)[row] = TFormat.Scale(unit, first);
        if (TFormat.HasMinimums)
            ((ushort*)(header + at.MinimumAt))[row] = TFormat.Minimum(unit, first).Bits;
        for (int part = 0; part < HeaderBlocks; part++)
        {
            int lane = (part * BlockLanes.Rows) + row;
            if (TFormat.HasFactors)
                ((sbyte*)header + at.FactorsAt)[lane] = (sbyte)TFormat.Factor(unit, first + part);
            if (TFormat.HasFactors && TFormat.HasMinimums)
                ((sbyte*)header + at.MinimumFactorsAt)[lane] = (sbyte)TFormat.Minimum(unit, first + part).Factor;
            for (int i = 2 * part; TFormat.HasSubScales && i < 2 * (part + 1); i++)
                ((sbyte*)header + at.SubScalesAt)[(i * BlockLanes.Rows) + row] = (sbyte)TFormat.SubScale(unit, (2 * first) + i);
        }
    }

    private struct Packing
    {
        public byte* From;
        public long RowBytes;
        public byte* To;
        public int Rows;
        public int Columns;
    }
}

/// <summary>Where things stand in a header of sixteen rows, in bytes.</summary>
internal struct BlockHeader
{
    public int FactorsAt;
    public int MinimumAt;
    public int MinimumFactorsAt;
    public int SubScalesAt;
    public int Bytes;
}

/// <summary>What the bias of the codes takes away from their products, as an instruction set wants it: 32 bits for each half of a block.</summary>
internal interface IBlockOffsets
{
    /// <summary>Of sixteen and sixteen columns; <paramref name="isWide"/> codes have bias 128.</summary>
    static abstract ulong Of(Vector128<sbyte> left, Vector128<sbyte> right, bool isWide, bool hasSubScales, int bias);
}

/// <summary>Two 16-bit sums for each half, of columns 0, 1 and of columns 2, 3 of every four, as the lanes of VPMADDUBSW begin.</summary>
internal readonly struct BlockOffsets16 : IBlockOffsets
{
    /// <summary>Wide codes are taken as 16 · high + low; the 128 are 8 of the high half. Without sub-scales the two halves are one sum.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Of(Vector128<sbyte> left, Vector128<sbyte> right, bool isWide, bool hasSubScales, int bias)
    {
        bias = isWide ? 8 : bias;
        if (bias == 0)
            return 0;

        Vector128<short> first = Fold(left) * (short)-bias, second = Fold(right) * (short)-bias;
        return hasSubScales
            ? first.AsUInt32().ToScalar() | ((ulong)second.AsUInt32().ToScalar() << 32)
            : (first + second).AsUInt32().ToScalar();
    }

    /// <summary>Sums of even and of odd pairs in the first two lanes.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<short> Fold(Vector128<sbyte> x)
    {
        Vector128<short> pairs = Ssse3.MultiplyAddAdjacent(Vector128<byte>.One, x);
        pairs += Sse2.ShiftRightLogical128BitLane(pairs, 8);
        return pairs + Sse2.ShiftRightLogical128BitLane(pairs, 4);
    }
}

/// <summary>One 32-bit sum for each half, as the lanes of VPDPBUSD begin.</summary>
internal readonly struct BlockOffsets32 : IBlockOffsets
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Of(Vector128<sbyte> left, Vector128<sbyte> right, bool isWide, bool hasSubScales, int bias)
    {
        bias = isWide ? ByteCodes.Bias : bias;
        return bias == 0 ? 0 : Sum(left, bias) | ((ulong)Sum(right, bias) << 32);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static uint Sum(Vector128<sbyte> x, int bias)
    {
        Vector128<int> fours = Sse2.MultiplyAddAdjacent(Ssse3.MultiplyAddAdjacent(Vector128<byte>.One, x), Vector128<short>.One);
        return (uint)(Vector128.Sum(fours) * -bias);
    }
}
