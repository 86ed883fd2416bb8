using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Tern.Numerics;

namespace Tern.Kernels;

/// <summary>
/// Four weight rows by up to <see cref="PairsMax"/> pairs of 32-column blocks, unpacked to bytes once for all tokens. A pair is what the
/// sixteen lanes of the definition hold.
/// <code>
///   Codes      [pair][row 0..3][64]   weight + bias of columns 64 pair … 64 pair + 63
///   Scales     [pair][16]             d_w of rows 0..3 of the even block, again, d_w of rows 0..3 of the odd block, again
///   Minimums   [pair][8]              m_w of rows 0..3 of the even block, then of the odd block
///   SubScales  [pair][row 0..3][32]   sub-scales of 16 columns, eight times each: as many as there are pairs of codes
/// </code>
/// </summary>
internal unsafe struct BlockTile
{
    public const int Rows = 4, PairColumns = 64, PairsMax = 16;

    /// <summary>Bytes of <see cref="Codes"/> from one pair to the next.</summary>
    public const int PairCodes = Rows * PairColumns;

    /// <summary>Shorts of <see cref="SubScales"/> from one pair to the next.</summary>
    public const int PairSubScales = Rows * PairColumns / 2;

    public byte* Codes;
    public float* Scales;
    public float* Minimums;
    public short* SubScales;
}

/// <summary>The two steps of the matmul of blocks that an instruction set does its own way.</summary>
internal unsafe interface IBlockIsa
{
    /// <summary>Unpacks a unit of one row.</summary>
    static abstract void Unpack<TFormat>(byte* unit, byte* codes, short* subScales)
        where TFormat : struct, IBlockFormat;

    /// <summary>Adds the products of a tile with one token to the lanes of the tile's rows.</summary>
    /// <param name="tile">Unpacked weights.</param>
    /// <param name="pairs">Pairs of blocks in the tile.</param>
    /// <param name="activations">[64 · pairs] codes.</param>
    /// <param name="steps">[2 · pairs] values of one code step.</param>
    /// <param name="lanes">[4, 16] accumulators.</param>
    static abstract void Accumulate<TFormat>(in BlockTile tile, int pairs, sbyte* activations, float* steps, float* lanes)
        where TFormat : struct, IBlockFormat;
}

/// <summary>
/// The loop over rows, tokens and columns of the matmul of blocks: the same for every format and instruction set.
/// <code>
///   for four rows at a time              the last few are padded with a row that is there, whose results are dropped
///     for sixteen tokens at a time
///       for 1,024 columns at a time      unpack the four rows, then every token reads them from the first-level cache
/// </code>
/// </summary>
internal static unsafe class BlockMatMul<TFormat, TIsa>
    where TFormat : struct, IBlockFormat
    where TIsa : struct, IBlockIsa
{
    private const int TokensMax = 16, Lanes = 16, Block = 32, CacheLine = 64;
    private const int UnitBytesMax = 256, PartsMax = 2 * BlockTile.PairsMax;

    private static int PairsPerUnit => TFormat.UnitColumns / BlockTile.PairColumns;

    private static int PartsPerUnit => TFormat.UnitColumns / Block;

    private static int ScalesPerUnit => TFormat.HasOneScale ? 1 : PartsPerUnit;

    /// <summary>One allocation on the stack, carved into aligned buffers.</summary>
    private struct Scratch
    {
        public BlockTile Tile;
        public float* Accumulators;   // [TokensMax, Rows, Lanes]
        public float* Corrections;    // [TokensMax, Rows]
        public ushort* Bits;          // [2, PartsMax, Rows] fp16 scales, minimums
        public float* Singles;        // [PartsMax, Rows] the scales as float32
        public float* Factors;        // [2, PartsMax, Rows] of scales, minimums
        public byte* LastUnits;       // [Rows, UnitBytesMax]
    }

    private const int ScratchBytes = (BlockTile.PairsMax * ((2 * BlockTile.PairCodes) + ((Lanes + (2 * BlockTile.Rows)) * sizeof(float))))
        + (TokensMax * BlockTile.Rows * (Lanes + 1) * sizeof(float))
        + (PartsMax * BlockTile.Rows * ((3 * sizeof(float)) + (2 * sizeof(ushort))))
        + (BlockTile.Rows * UnitBytesMax) + CacheLine;

    [SkipLocalsInit]
    public static void Run(MatMulProblem* problem, int start, int end)
    {
        byte* memory = stackalloc byte[ScratchBytes];
        Scratch scratch = Carve(memory + (CacheLine - ((nuint)memory % CacheLine)));
        byte** rows = stackalloc byte*[BlockTile.Rows];
        for (int row = start; row < end; row += BlockTile.Rows)
        {
            for (int r = 0; r < BlockTile.Rows; r++)
                rows[r] = problem->Weights + (Math.Min(row + r, end - 1) * problem->RowBytes);
            for (int token = 0; token < problem->Tokens; token += TokensMax)
                Tile(problem, rows, row, Math.Min(BlockTile.Rows, end - row), token, Math.Min(TokensMax, problem->Tokens - token), in scratch);
        }
    }

    private static Scratch Carve(byte* memory)
    {
        Scratch scratch = default;
        scratch.Tile.Codes = memory;
        scratch.Tile.SubScales = (short*)(scratch.Tile.Codes + (BlockTile.PairsMax * BlockTile.PairCodes));
        scratch.Tile.Scales = (float*)(scratch.Tile.SubScales + (BlockTile.PairsMax * BlockTile.PairSubScales));
        scratch.Tile.Minimums = scratch.Tile.Scales + (BlockTile.PairsMax * Lanes);
        scratch.Accumulators = scratch.Tile.Minimums + (BlockTile.PairsMax * 2 * BlockTile.Rows);
        scratch.Corrections = scratch.Accumulators + (TokensMax * BlockTile.Rows * Lanes);
        scratch.Singles = scratch.Corrections + (TokensMax * BlockTile.Rows);
        scratch.Factors = scratch.Singles + (PartsMax * BlockTile.Rows);
        scratch.Bits = (ushort*)(scratch.Factors + (2 * PartsMax * BlockTile.Rows));
        scratch.LastUnits = (byte*)(scratch.Bits + (2 * PartsMax * BlockTile.Rows));
        return scratch;
    }

    private static void Tile(MatMulProblem* problem, byte** rows, int row, int rowCount, int firstToken, int tokens, in Scratch scratch)
    {
        const int laneStride = BlockTile.Rows * Lanes;
        new Span<float>(scratch.Accumulators, tokens * laneStride).Clear();
        new Span<float>(scratch.Corrections, tokens * BlockTile.Rows).Clear();
        int pairs = problem->Columns / BlockTile.PairColumns;
        for (int pair = 0; pair < pairs; pair += BlockTile.PairsMax)
        {
            int count = Math.Min(BlockTile.PairsMax, pairs - pair);
            long offset = (long)(pair / PairsPerUnit) * TFormat.UnitBytes;
            Fill(rows[0] + offset, rows[1] + offset, rows[2] + offset, rows[3] + offset, count / PairsPerUnit, in scratch);
            for (int token = 0; token < tokens; token++)
            {
                sbyte* codes = problem->Codes + ((long)(firstToken + token) * problem->CodeStride) + (pair * BlockTile.PairColumns);
                long block = ((long)(firstToken + token) * problem->BlockStride) + (2 * pair);
                TIsa.Accumulate<TFormat>(in scratch.Tile, count, codes, problem->Scales + block, scratch.Accumulators + (token * laneStride));
                if (TFormat.HasMinimums)
                    Correct(in scratch.Tile, count, problem->Scales + block, problem->Sums + block, scratch.Corrections + (token * BlockTile.Rows));
            }
        }

        if (problem->Columns % BlockTile.PairColumns != 0)
            LastBlock(problem, rows, pairs, firstToken, tokens, in scratch);

        for (int token = 0; token < tokens; token++)
        {
            float* output = problem->Output + ((firstToken + token) * problem->OutputStride) + row;
            for (int r = 0; r < rowCount; r++)
            {
                float sum = Fold(scratch.Accumulators + (token * laneStride) + (r * Lanes));
                output[r] = TFormat.HasMinimums ? sum + scratch.Corrections[(token * BlockTile.Rows) + r] : sum;
            }
        }
    }

    /// <summary>
    /// An odd number of 32-column blocks leaves half a unit. It is completed in our own memory with zeros, whose scale 0 adds nothing;
    /// the codes behind it are the activations' padding.
    /// </summary>
    private static void LastBlock(MatMulProblem* problem, byte** rows, int pairs, int firstToken, int tokens, in Scratch scratch)
    {
        byte* units = scratch.LastUnits;
        new Span<byte>(units, BlockTile.Rows * UnitBytesMax).Clear();
        for (int r = 0; r < BlockTile.Rows; r++)
            new ReadOnlySpan<byte>(rows[r] + ((long)pairs * TFormat.UnitBytes), TFormat.UnitBytes / 2).CopyTo(new Span<byte>(units + (r * UnitBytesMax), UnitBytesMax));
        Fill(units, units + UnitBytesMax, units + (2 * UnitBytesMax), units + (3 * UnitBytesMax), 1, in scratch);

        float* steps = stackalloc float[2];
        int* sums = stackalloc int[2];
        for (int token = 0; token < tokens; token++)
        {
            sbyte* codes = problem->Codes + ((long)(firstToken + token) * problem->CodeStride) + (pairs * BlockTile.PairColumns);
            long block = ((long)(firstToken + token) * problem->BlockStride) + (2 * pairs);
            (steps[0], steps[1]) = (problem->Scales[block], 0);
            (sums[0], sums[1]) = (problem->Sums[block], 0);
            TIsa.Accumulate<TFormat>(in scratch.Tile, 1, codes, steps, scratch.Accumulators + (token * BlockTile.Rows * Lanes));
            if (TFormat.HasMinimums)
                Correct(in scratch.Tile, 1, steps, sums, scratch.Corrections + (token * BlockTile.Rows));
        }
    }

    /// <summary>
    /// Unpacks units of four rows. The fp16 scales are collected first and converted together: one at a time, that would cost as much as
    /// the products.
    /// </summary>
    private static void Fill(byte* unit0, byte* unit1, byte* unit2, byte* unit3, int units, in Scratch scratch)
    {
        byte* codes = scratch.Tile.Codes;
        short* subScales = scratch.Tile.SubScales;
        ushort* bits = scratch.Bits, minimumBits = bits + (PartsMax * BlockTile.Rows);
        float* factors = scratch.Factors, minimumFactors = factors + (PartsMax * BlockTile.Rows);
        for (int unit = 0; unit < units; unit++)
        {
            TIsa.Unpack<TFormat>(unit0, codes, subScales);
            TIsa.Unpack<TFormat>(unit1, codes + BlockTile.PairColumns, subScales + (BlockTile.PairColumns / 2));
            TIsa.Unpack<TFormat>(unit2, codes + (2 * BlockTile.PairColumns), subScales + BlockTile.PairColumns);
            TIsa.Unpack<TFormat>(unit3, codes + (3 * BlockTile.PairColumns), subScales + (3 * BlockTile.PairColumns / 2));
            codes += PairsPerUnit * BlockTile.PairCodes;
            subScales += PairsPerUnit * BlockTile.PairSubScales;
            for (int part = 0; part < PartsPerUnit; part++)
            {
                if (part < ScalesPerUnit)
                    bits = Put(bits, TFormat.Scale(unit0, part), TFormat.Scale(unit1, part), TFormat.Scale(unit2, part), TFormat.Scale(unit3, part));
                if (TFormat.HasFactors)
                    factors = Put(factors, TFormat.Factor(unit0, part), TFormat.Factor(unit1, part), TFormat.Factor(unit2, part), TFormat.Factor(unit3, part));
                if (!TFormat.HasMinimums)
                    continue;

                (ushort bits0, int factor0) = TFormat.Minimum(unit0, part);
                (ushort bits1, int factor1) = TFormat.Minimum(unit1, part);
                (ushort bits2, int factor2) = TFormat.Minimum(unit2, part);
                (ushort bits3, int factor3) = TFormat.Minimum(unit3, part);
                minimumBits = Put(minimumBits, bits0, bits1, bits2, bits3);
                minimumFactors = Put(minimumFactors, factor0, factor1, factor2, factor3);
            }

            unit0 += TFormat.UnitBytes;
            unit1 += TFormat.UnitBytes;
            unit2 += TFormat.UnitBytes;
            unit3 += TFormat.UnitBytes;
        }

        SpreadScales(units, in scratch);
        if (TFormat.HasMinimums)
            SpreadMinimums(units, in scratch);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static T* Put<T>(T* to, T value0, T value1, T value2, T value3)
        where T : unmanaged
    {
        (to[0], to[1], to[2], to[3]) = (value0, value1, value2, value3);
        return to + 4;
    }

    private static void SpreadScales(int units, in Scratch scratch)
    {
        int count = units * ScalesPerUnit * BlockTile.Rows;
        float* from = scratch.Singles, factors = scratch.Factors, to = scratch.Tile.Scales;
        Halves.ToSingles(new ReadOnlySpan<ushort>(scratch.Bits, count), new Span<float>(from, count));
        for (int unit = 0; unit < units; unit++, from += ScalesPerUnit * BlockTile.Rows)
        {
            for (int part = 0; part < PartsPerUnit; part++, to += 2 * BlockTile.Rows)
            {
                Vector128<float> scales = Vector128.Load(from + (TFormat.HasOneScale ? 0 : part * BlockTile.Rows));
                if (TFormat.HasFactors)
                {
                    scales *= Vector128.Load(factors);
                    factors += BlockTile.Rows;
                }

                scales.Store(to);
                scales.Store(to + BlockTile.Rows);
            }
        }
    }

    private static void SpreadMinimums(int units, in Scratch scratch)
    {
        int count = units * PartsPerUnit * BlockTile.Rows;
        float* factors = scratch.Factors + (PartsMax * BlockTile.Rows), to = scratch.Tile.Minimums;
        Halves.ToSingles(new ReadOnlySpan<ushort>(scratch.Bits + (PartsMax * BlockTile.Rows), count), new Span<float>(to, count));
        for (int i = 0; i < count; i += BlockTile.Rows)
            (Vector128.Load(to + i) * Vector128.Load(factors + i)).Store(to + i);
    }

    /// <summary>corr = fma(m_w · step, Σa, corr) for four rows, block after block.</summary>
    private static void Correct(in BlockTile tile, int pairs, float* steps, int* sums, float* corrections)
    {
        Vector128<float> correction = Vector128.Load(corrections);
        for (int block = 0; block < 2 * pairs; block++)
        {
            Vector128<float> minimum = Vector128.Load(tile.Minimums + (block * BlockTile.Rows)) * Vector128.Create(steps[block]);
            correction = Vector128.FusedMultiplyAdd(minimum, Vector128.Create((float)sums[block]), correction);
        }

        correction.Store(corrections);
    }

    /// <summary>Sixteen lanes to one: 16 → 8 → 4 → 2 → 1, lane i += lane i + half.</summary>
    private static float Fold(float* lanes)
    {
        Vector128<float> four = (Vector128.Load(lanes) + Vector128.Load(lanes + 8)) + (Vector128.Load(lanes + 4) + Vector128.Load(lanes + 12));
        return (four[0] + four[2]) + (four[1] + four[3]);
    }
}
