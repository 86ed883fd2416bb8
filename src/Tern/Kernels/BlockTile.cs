using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Tern.Numerics;

namespace Tern.Kernels;

/// <summary>
/// Four weight rows by up to <see cref="PairsMax"/> pairs of 32-column blocks, unpacked to bytes once for all tokens.
/// <code>
///   Codes      [pair][row 0..3][64]   weight + bias of columns 64 pair … 64 pair + 63
///   Scales     [block][row 0..3]      d_w
///   Minimums   [block][row 0..3]      m_w
///   SubScales  [pair][row 0..3][4]    sub-scales of 16 columns
/// </code>
/// </summary>
internal unsafe struct BlockTile
{
    public const int Rows = 4, PairColumns = 64, PairsMax = 16;

    /// <summary>Bytes of <see cref="Codes"/> from one pair to the next.</summary>
    public const int PairCodes = Rows * PairColumns;

    /// <summary>Shorts of <see cref="SubScales"/> from one row to the next.</summary>
    public const int RowSubScales = PairColumns / 16;

    public byte* Codes;
    public float* Scales;
    public float* Minimums;
    public short* SubScales;
}

/// <summary>
/// The matmul of blocks on the file's own bytes with 128-bit vectors: the loop over rows, tokens and columns is the same for every format.
/// <code>
///   for four rows at a time              the last few are padded with a row that is there, whose results are dropped
///     for sixteen tokens at a time
///       for 1,024 columns at a time      unpack the four rows, then every token reads them from the first-level cache
/// </code>
/// </summary>
internal static unsafe class BlockMatMul<TFormat, TDot>
    where TFormat : struct, IBlockFormat
    where TDot : struct, IBlockDot128
{
    private const int TokensMax = 16, Block = 32, CacheLine = 64;
    private const int UnitBytesMax = 256, PartsMax = 2 * BlockTile.PairsMax;

    private static int PairsPerUnit => TFormat.UnitColumns / BlockTile.PairColumns;

    private static int PartsPerUnit => TFormat.UnitColumns / Block;

    /// <summary>One allocation on the stack, carved into aligned buffers.</summary>
    private struct Scratch
    {
        public BlockTile Tile;
        public float* Accumulators;   // [TokensMax, Rows]
        public float* Corrections;    // [TokensMax, Rows]
        public byte* LastUnits;       // [Rows, UnitBytesMax]
    }

    private const int ScratchBytes = (BlockTile.PairsMax * (BlockTile.PairCodes + (BlockTile.Rows * BlockTile.RowSubScales * sizeof(short))))
        + (2 * PartsMax * BlockTile.Rows * sizeof(float))
        + (2 * TokensMax * BlockTile.Rows * sizeof(float))
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
        scratch.Tile.Scales = (float*)(scratch.Tile.SubScales + (BlockTile.PairsMax * BlockTile.Rows * BlockTile.RowSubScales));
        scratch.Tile.Minimums = scratch.Tile.Scales + (PartsMax * BlockTile.Rows);
        scratch.Accumulators = scratch.Tile.Minimums + (PartsMax * BlockTile.Rows);
        scratch.Corrections = scratch.Accumulators + (TokensMax * BlockTile.Rows);
        scratch.LastUnits = (byte*)(scratch.Corrections + (TokensMax * BlockTile.Rows));
        return scratch;
    }

    private static void Tile(MatMulProblem* problem, byte** rows, int row, int rowCount, int firstToken, int tokens, in Scratch scratch)
    {
        new Span<float>(scratch.Accumulators, tokens * BlockTile.Rows).Clear();
        new Span<float>(scratch.Corrections, tokens * BlockTile.Rows).Clear();
        int pairs = problem->Columns / BlockTile.PairColumns;
        for (int pair = 0; pair < pairs; pair += BlockTile.PairsMax)
        {
            int count = Math.Min(BlockTile.PairsMax, pairs - pair);
            long offset = (long)(pair / PairsPerUnit) * TFormat.UnitBytes;
            for (int r = 0; r < BlockTile.Rows; r++)
                Fill(rows[r] + offset, r, count / PairsPerUnit, in scratch.Tile);
            Accumulate(problem, 2 * pair, 2 * count, firstToken, tokens, in scratch);
        }

        if (problem->Columns % BlockTile.PairColumns != 0)
        {
            // An odd number of 32-column blocks leaves half a unit, which is completed in our own memory.
            new Span<byte>(scratch.LastUnits, BlockTile.Rows * UnitBytesMax).Clear();
            for (int r = 0; r < BlockTile.Rows; r++)
            {
                byte* unit = scratch.LastUnits + (r * UnitBytesMax);
                new ReadOnlySpan<byte>(rows[r] + ((long)pairs * TFormat.UnitBytes), TFormat.UnitBytes / 2).CopyTo(new Span<byte>(unit, UnitBytesMax));
                Fill(unit, r, 1, in scratch.Tile);
            }

            Accumulate(problem, 2 * pairs, 1, firstToken, tokens, in scratch);
        }

        for (int token = 0; token < tokens; token++)
        {
            float* output = problem->Output + ((firstToken + token) * problem->OutputStride) + row;
            for (int r = 0; r < rowCount; r++)
            {
                float sum = scratch.Accumulators[(token * BlockTile.Rows) + r];
                output[r] = TFormat.HasMinimums ? sum + scratch.Corrections[(token * BlockTile.Rows) + r] : sum;
            }
        }
    }

    /// <summary>Unpacks units of one row.</summary>
    private static void Fill(byte* unit, int row, int units, in BlockTile tile)
    {
        byte* codes = tile.Codes + (row * BlockTile.PairColumns);
        short* subScales = tile.SubScales + (row * BlockTile.RowSubScales);
        float* scales = tile.Scales + row, minimums = tile.Minimums + row;
        for (int done = 0; done < units; done++, unit += TFormat.UnitBytes)
        {
            TFormat.Unpack(unit, codes, BlockTile.PairCodes);
            codes += PairsPerUnit * BlockTile.PairCodes;
            for (int sixteen = 0; TFormat.HasSubScales && sixteen < 2 * PartsPerUnit; sixteen++)
                subScales[(sixteen / 4 * BlockTile.Rows * BlockTile.RowSubScales) + (sixteen % 4)] = (short)TFormat.SubScale(unit, sixteen);
            subScales += PairsPerUnit * BlockTile.Rows * BlockTile.RowSubScales;
            for (int part = 0; part < PartsPerUnit; part++, scales += BlockTile.Rows, minimums += BlockTile.Rows)
            {
                *scales = Halves.ToSingle(TFormat.Scale(unit, part)) * TFormat.Factor(unit, part);
                if (!TFormat.HasMinimums)
                    continue;

                (ushort bits, int factor) = TFormat.Minimum(unit, part);
                *minimums = Halves.ToSingle(bits) * factor;
            }
        }
    }

    /// <summary>Adds the products of the tile's blocks, which begin at block <paramref name="first"/> of a row, with every token.</summary>
    private static void Accumulate(MatMulProblem* problem, int first, int blocks, int firstToken, int tokens, in Scratch scratch)
    {
        for (int token = 0; token < tokens; token++)
        {
            sbyte* x = problem->Codes + ((long)(firstToken + token) * problem->CodeStride) + (first * Block);
            long at = ((long)(firstToken + token) * problem->BlockStride) + first;
            Vector128<float> sums = Vector128.Load(scratch.Accumulators + (token * BlockTile.Rows));
            Vector128<float> corrections = Vector128.Load(scratch.Corrections + (token * BlockTile.Rows));
            for (int block = 0; block < blocks; block++, x += Block, at++)
            {
                int pair = block / 2, odd = block % 2;
                byte* codes = scratch.Tile.Codes + (pair * BlockTile.PairCodes) + (odd * Block);
                short* subScales = scratch.Tile.SubScales + (pair * BlockTile.Rows * BlockTile.RowSubScales) + (odd * 2);
                Vector128<sbyte> left = Vector128.Load(x), right = Vector128.Load(x + 16);
                Vector128<int> startLeft = Start(left), startRight = Start(right);
                Vector128<int> sum = TDot.Sum4(
                    Row(codes, left, right, startLeft, startRight, subScales),
                    Row(codes + BlockTile.PairColumns, left, right, startLeft, startRight, subScales + BlockTile.RowSubScales),
                    Row(codes + (2 * BlockTile.PairColumns), left, right, startLeft, startRight, subScales + (2 * BlockTile.RowSubScales)),
                    Row(codes + (3 * BlockTile.PairColumns), left, right, startLeft, startRight, subScales + (3 * BlockTile.RowSubScales)));

                Vector128<float> step = Vector128.Create(problem->Scales[at]);
                Vector128<float> scale = Vector128.Load(scratch.Tile.Scales + (block * BlockTile.Rows)) * step;
                sums = Vector128.FusedMultiplyAdd(scale, Vector128.ConvertToSingle(sum), sums);
                if (!TFormat.HasMinimums)
                    continue;

                Vector128<float> minimum = Vector128.Load(scratch.Tile.Minimums + (block * BlockTile.Rows)) * step;
                corrections = Vector128.FusedMultiplyAdd(minimum, Vector128.Create((float)problem->Sums[at]), corrections);
            }

            sums.Store(scratch.Accumulators + (token * BlockTile.Rows));
            corrections.Store(scratch.Corrections + (token * BlockTile.Rows));
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<int> Start(Vector128<sbyte> x) =>
        TFormat.Bias == 0 ? Vector128<int>.Zero : TDot.Dot(Vector128<int>.Zero, Vector128.Create((sbyte)-TFormat.Bias), x);

    /// <summary>Four sums whose sum is that of a block of a row.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<int> Row(
        byte* codes, Vector128<sbyte> left, Vector128<sbyte> right, Vector128<int> startLeft, Vector128<int> startRight, short* subScales)
    {
        Vector128<int> sum = TDot.Dot(startLeft, Vector128.Load(codes).AsSByte(), left);
        if (!TFormat.HasSubScales)
            return TDot.Dot(sum + startRight, Vector128.Load(codes + 16).AsSByte(), right);

        Vector128<int> second = TDot.Dot(startRight, Vector128.Load(codes + 16).AsSByte(), right);
        return (sum * Vector128.Create((int)subScales[0])) + (second * Vector128.Create((int)subScales[1]));
    }
}
