using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Tern.Kernels;

/// <summary>
/// The matmul over <see cref="TernaryWords"/> with 512-bit vectors. Nothing is multiplied by a weight: what three columns can add up to is
/// looked up.
/// <code>
///   few tokens        the lanes are rows: a word gives digits by fixed-point products, a digit looks up its three columns' sum in a
///                     register (VPERMW, VPERMB), tables made from the token's activations before the first row
///   many tokens       the lanes are 32 tokens: <see cref="TernaryRussians"/>
/// </code>
/// The loops skip tiered compilation: what profiling makes of them ran a third slower here, and the first prompt would wait for it.
/// </summary>
internal static unsafe class TernaryWordsAvx512<TLookup>
    where TLookup : struct, ITernaryLookup
{
    /// <summary>Most tokens that share a reading of the words.</summary>
    private const int LookupTokens = 8;

    /// <summary>Most tokens that share the digits of a word: with eight, nothing more was gained.</summary>
    private const int SharingTokens = 4;

    /// <summary>From here on 32 lanes of tokens, some of them empty, are faster than tiles of <see cref="LookupTokens"/>.</summary>
    private const int RussianTokensMin = 20;

    private const int BlockRows = TernaryWords.BlockRows;

    /// <summary>Blocks that go side by side.</summary>
    private const int GroupBlocks = 4, GroupRows = GroupBlocks * BlockRows;

    /// <summary>Words whose tables for <see cref="SharingTokens"/> tokens stay in the first-level cache (12 KiB), and whose sums fit 16 bits.</summary>
    private const int SharedWords = 12;

    /// <summary>Where the words stand that a block reads after the other blocks of its group had their turn.</summary>
    private const int SharedBytes = SharedWords * BlockRows * sizeof(ushort);

    /// <summary>How far ahead of the words in hand the next ones are asked for, in bytes.</summary>
    private const int AheadBytes = 1024;

    /// <summary>Few tokens: chunks of rows. Many: tables are worth making for many rows only, so the rows are cut as little as the workers allow.</summary>
    public static MatMulSplit Split(in MatMulShape shape)
    {
        if (shape.Tokens < RussianTokensMin)
            return new MatMulSplit(Math.Min(shape.Tokens, LookupTokens), shape.Rows >= 4 * shape.Threads * GroupRows ? GroupRows : BlockRows);

        int tiles = (shape.Tokens + TernaryRussians.Tokens - 1) / TernaryRussians.Tokens;
        long rows = Math.Max(TernaryRussians.RowsMin, (long)shape.Rows * tiles / (4 * shape.Threads));
        return new MatMulSplit(TernaryRussians.Tokens, (int)Math.Min((rows + BlockRows - 1) / BlockRows * BlockRows, int.MaxValue));
    }

    public static long ScratchBytes(int columns, int tileTokens)
    {
        int words = TernaryWords.WordsOf(columns);
        long lookup = ((long)Math.Min(tileTokens, LookupTokens) * words * LookupTables.WordShorts * sizeof(short)) + (words * TernaryWords.Digits * sizeof(short));
        return tileTokens > LookupTokens ? Math.Max(lookup, TernaryRussians.ScratchBytes(words)) : lookup;
    }

    /// <summary>Makes the tables of the tile's tokens, or turns its activations for the lanes of <see cref="TernaryRussians"/>.</summary>
    public static void Prepare(MatMulProblem* problem)
    {
        int words = TernaryWords.WordsOf(problem->Columns);
        if (problem->Tokens > LookupTokens)
        {
            TernaryRussians.Prepare(problem, words);
            return;
        }

        int tableShorts = words * LookupTables.WordShorts;
        short* x = (short*)problem->Scratch + ((long)problem->Tokens * tableShorts); // [10 · words]
        for (int token = 0; token < problem->Tokens; token++)
        {
            Widen(problem->Codes + ((long)token * problem->CodeStride), problem->Columns, x, words * TernaryWords.Digits);
            short* tables = (short*)problem->Scratch + ((long)token * tableShorts);
            if (IsFew(problem->Tokens))
                WordLookup.Fill(x, words, tables);
            else
                TLookup.Fill(x, words, tables);
        }
    }

    public static void Run(MatMulProblem* problem, int start, int end)
    {
        if (problem->Tokens > LookupTokens)
            TernaryRussians.Run(problem, start, end);
        else if (IsFew(problem->Tokens))
            Lookups<WordLookup>.Run(problem, start, end);
        else
            Lookups<TLookup>.Run(problem, start, end);
    }

    /// <summary>One or two tokens run one by one, with the tables that take the fewest steps to make and to use so.</summary>
    private static bool IsFew(int tokens) => tokens <= 2;

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Widen(sbyte* codes, int columns, short* x, int count)
    {
        int i = 0;
        for (; i <= columns - Vector512<short>.Count; i += Vector512<short>.Count)
            Avx512BW.ConvertToVector512Int16(Vector256.Load(codes + i)).Store(x + i);
        for (; i < count; i++)
            x[i] = i < columns ? codes[i] : (short)0;
    }

    /// <summary>The loops over rows and words for one way to look up.</summary>
    private static class Lookups<TWay>
        where TWay : struct, ITernaryLookup
    {
        [SkipLocalsInit]
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public static void Run(MatMulProblem* problem, int start, int end)
        {
            int words = TernaryWords.WordsOf(problem->Columns);
            long tokenShorts = (long)words * LookupTables.WordShorts;
            int* sums = stackalloc int[SharingTokens * GroupRows]; // [token, GroupRows]
            for (int row = start / BlockRows * BlockRows; row < end; row += GroupRows)
            {
                int blocks = (Math.Min(GroupRows, end - row) + BlockRows - 1) / BlockRows;
                ushort* first = TernaryWords.Row(problem->Weights, words, row);
                for (int token = 0; token < problem->Tokens;)
                {
                    short* tables = (short*)problem->Scratch + (token * tokenShorts);
                    int left = problem->Tokens - token;
                    int count = left >= 3 ? Math.Min(left, SharingTokens) : 1;
                    if (count > 1)
                        Sum4(first, blocks, tables, tokenShorts, words, count - 1, sums);
                    else if (blocks == GroupBlocks)
                        Sum1Group(first, tables, words, sums);
                    else
                        Sum1(first, blocks, tables, words, sums);
                    for (int i = 0; i < count; i++)
                        Store(problem, token + i, row, Math.Max(start, row), Math.Min(end, row + GroupRows), sums + (i * GroupRows));
                    token += count;
                }
            }
        }

        /// <summary>y = (float)Σ t·a / s · scale of rows [start, end), whose sums begin at <paramref name="firstRow"/>.</summary>
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private static void Store(MatMulProblem* problem, int token, int firstRow, int start, int end, int* sums)
        {
            Vector512<int> correction = Vector512.Create(TWay.SumsCodes ? problem->Sums[token] : 0);
            Vector512<float> scale = Vector512.Create(problem->Scales[token]);
            float* y = problem->Output + (token * problem->OutputStride);
            float* rowScales = problem->RowScales;
            for (int row = firstRow; row < end; row += Vector512<float>.Count)
            {
                Vector512<float> unscaled = Vector512.ConvertToSingle(Vector512.Load(sums + (row - firstRow)) - correction) / scale;
                if (row >= start && row + Vector512<float>.Count <= end)
                {
                    (unscaled * Vector512.Load(rowScales + row)).Store(y + row);
                    continue;
                }

                for (int i = Math.Max(start - row, 0); i < Math.Min(end - row, Vector512<float>.Count); i++)
                    y[row + i] = unscaled[i] * rowScales[row + i];
            }
        }

        /// <summary>One token, block by block.</summary>
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private static void Sum1(ushort* word, int blocks, short* tables, int words, int* sums)
        {
            Vector512<ushort> three = Vector512.Create((ushort)3), twentySeven = Vector512.Create((ushort)27);
            for (int block = 0; block < blocks; block++, sums += BlockRows)
            {
                short* table = tables;
                new Span<int>(sums, BlockRows).Clear();
                for (int first = 0; first < words; first += TWay.SegmentWords)
                {
                    Vector512<short> a = default, b = default;
                    for (int i = Math.Min(TWay.SegmentWords, words - first); i > 0; i--, word += BlockRows, table += LookupTables.WordShorts)
                    {
                        Ask(word);
                        Vector512<ushort> restA = Vector512.Load(word), restB = Vector512.Load(word + 32);
                        Vector512<short> entries = Vector512.Load(table);
                        (a, b) = (a + Look(entries, restA, twentySeven), b + Look(entries, restB, twentySeven));
                        (restA, restB) = (restA * twentySeven, restB * twentySeven);
                        entries = Vector512.Load(table + LookupTables.Entries);
                        (a, b) = (a + Look(entries, restA, twentySeven), b + Look(entries, restB, twentySeven));
                        (restA, restB) = (restA * twentySeven, restB * twentySeven);
                        entries = Vector512.Load(table + (2 * LookupTables.Entries));
                        (a, b) = (a + Look(entries, restA, twentySeven), b + Look(entries, restB, twentySeven));
                        (restA, restB) = (restA * twentySeven, restB * twentySeven);
                        entries = Vector512.Load(table + (3 * LookupTables.Entries));
                        (a, b) = (a + Look(entries, restA, three), b + Look(entries, restB, three));
                    }

                    Add(a, b, sums);
                }
            }
        }

        /// <summary>
        /// One token, four blocks side by side: the processor fetches ahead within a page only, and four streams from memory were 1.35 times as
        /// fast as one; each table serves all of them.
        /// </summary>
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private static void Sum1Group(ushort* word0, short* table, int words, int* sums)
        {
            Vector512<ushort> three = Vector512.Create((ushort)3), twentySeven = Vector512.Create((ushort)27);
            ushort* word1 = word0 + (words * BlockRows), word2 = word1 + (words * BlockRows), word3 = word2 + (words * BlockRows);
            new Span<int>(sums, GroupRows).Clear();
            for (int i = 0; i < AheadBytes; i += 64)
            {
                Sse.Prefetch0((byte*)word0 + i);
                Sse.Prefetch0((byte*)word1 + i);
                Sse.Prefetch0((byte*)word2 + i);
                Sse.Prefetch0((byte*)word3 + i);
            }

            for (int first = 0; first < words; first += TWay.SegmentWords)
            {
                Vector512<short> a0 = default, a1 = default, a2 = default, a3 = default;
                Vector512<short> b0 = default, b1 = default, b2 = default, b3 = default;
                for (int i = Math.Min(TWay.SegmentWords, words - first); i > 0; i--, table += LookupTables.WordShorts)
                {
                    Ask(word0);
                    Ask(word1);
                    Ask(word2);
                    Ask(word3);
                    Vector512<ushort> restA0 = Vector512.Load(word0), restA1 = Vector512.Load(word1), restA2 = Vector512.Load(word2), restA3 = Vector512.Load(word3);
                    Vector512<ushort> restB0 = Vector512.Load(word0 + 32), restB1 = Vector512.Load(word1 + 32), restB2 = Vector512.Load(word2 + 32), restB3 = Vector512.Load(word3 + 32);
                    Vector512<short> entries = Vector512.Load(table);
                    (a0, a1, a2, a3) = (a0 + Look(entries, restA0, twentySeven), a1 + Look(entries, restA1, twentySeven), a2 + Look(entries, restA2, twentySeven), a3 + Look(entries, restA3, twentySeven));
                    (b0, b1, b2, b3) = (b0 + Look(entries, restB0, twentySeven), b1 + Look(entries, restB1, twentySeven), b2 + Look(entries, restB2, twentySeven), b3 + Look(entries, restB3, twentySeven));
                    (restA0, restA1, restA2, restA3) = (restA0 * twentySeven, restA1 * twentySeven, restA2 * twentySeven, restA3 * twentySeven);
                    (restB0, restB1, restB2, restB3) = (restB0 * twentySeven, restB1 * twentySeven, restB2 * twentySeven, restB3 * twentySeven);
                    entries = Vector512.Load(table + LookupTables.Entries);
                    (a0, a1, a2, a3) = (a0 + Look(entries, restA0, twentySeven), a1 + Look(entries, restA1, twentySeven), a2 + Look(entries, restA2, twentySeven), a3 + Look(entries, restA3, twentySeven));
                    (b0, b1, b2, b3) = (b0 + Look(entries, restB0, twentySeven), b1 + Look(entries, restB1, twentySeven), b2 + Look(entries, restB2, twentySeven), b3 + Look(entries, restB3, twentySeven));
                    (restA0, restA1, restA2, restA3) = (restA0 * twentySeven, restA1 * twentySeven, restA2 * twentySeven, restA3 * twentySeven);
                    (restB0, restB1, restB2, restB3) = (restB0 * twentySeven, restB1 * twentySeven, restB2 * twentySeven, restB3 * twentySeven);
                    entries = Vector512.Load(table + (2 * LookupTables.Entries));
                    (a0, a1, a2, a3) = (a0 + Look(entries, restA0, twentySeven), a1 + Look(entries, restA1, twentySeven), a2 + Look(entries, restA2, twentySeven), a3 + Look(entries, restA3, twentySeven));
                    (b0, b1, b2, b3) = (b0 + Look(entries, restB0, twentySeven), b1 + Look(entries, restB1, twentySeven), b2 + Look(entries, restB2, twentySeven), b3 + Look(entries, restB3, twentySeven));
                    (restA0, restA1, restA2, restA3) = (restA0 * twentySeven, restA1 * twentySeven, restA2 * twentySeven, restA3 * twentySeven);
                    (restB0, restB1, restB2, restB3) = (restB0 * twentySeven, restB1 * twentySeven, restB2 * twentySeven, restB3 * twentySeven);
                    entries = Vector512.Load(table + (3 * LookupTables.Entries));
                    (a0, a1, a2, a3) = (a0 + Look(entries, restA0, three), a1 + Look(entries, restA1, three), a2 + Look(entries, restA2, three), a3 + Look(entries, restA3, three));
                    (b0, b1, b2, b3) = (b0 + Look(entries, restB0, three), b1 + Look(entries, restB1, three), b2 + Look(entries, restB2, three), b3 + Look(entries, restB3, three));
                    word0 += BlockRows;
                    word1 += BlockRows;
                    word2 += BlockRows;
                    word3 += BlockRows;
                }

                Add(a0, b0, sums);
                Add(a1, b1, sums + BlockRows);
                Add(a2, b2, sums + (2 * BlockRows));
                Add(a3, b3, sums + (3 * BlockRows));
            }
        }

        /// <summary>Three or four tokens; where there are three, the last one is computed twice. The tables of a segment stay in the first-level cache for all blocks.</summary>
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private static void Sum4(ushort* word, int blocks, short* table, long tokenShorts, int words, int last, int* sums)
        {
            new Span<int>(sums, SharingTokens * GroupRows).Clear();
            for (int first = 0; first < words; first += SharedWords)
            {
                int count = Math.Min(SharedWords, words - first);
                for (int block = 0; block < blocks; block++)
                    SumBlock4(word + ((((long)block * words) + first) * BlockRows), table + ((long)first * LookupTables.WordShorts), tokenShorts, count, last, sums + (block * BlockRows));
            }
        }

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private static void SumBlock4(ushort* word, short* table, long tokenShorts, int words, int last, int* sums)
        {
            Vector512<ushort> three = Vector512.Create((ushort)3), twentySeven = Vector512.Create((ushort)27);
            short* t0 = table, t1 = t0 + tokenShorts, t2 = t1 + tokenShorts, t3 = t0 + (last * tokenShorts);
            Vector512<short> a0 = default, a1 = default, a2 = default, a3 = default;
            Vector512<short> b0 = default, b1 = default, b2 = default, b3 = default;
            nint place = 0;
            for (; words > 0; words--, word += BlockRows)
            {
                Sse.Prefetch1((byte*)word + SharedBytes);
                Sse.Prefetch1((byte*)word + SharedBytes + 64);
                Vector512<ushort> restA = Vector512.Load(word), restB = Vector512.Load(word + 32);
                for (int digit = 0; digit < 4; digit++, place += LookupTables.Entries)
                {
                    Vector512<ushort> range = digit < 3 ? twentySeven : three;
                    Vector512<short> a = Digit(restA, range), b = Digit(restB, range);
                    Vector512<short> entries = Vector512.Load(t0 + place);
                    (a0, b0) = (a0 + TWay.Look(entries, a), b0 + TWay.Look(entries, b));
                    entries = Vector512.Load(t1 + place);
                    (a1, b1) = (a1 + TWay.Look(entries, a), b1 + TWay.Look(entries, b));
                    entries = Vector512.Load(t2 + place);
                    (a2, b2) = (a2 + TWay.Look(entries, a), b2 + TWay.Look(entries, b));
                    entries = Vector512.Load(t3 + place);
                    (a3, b3) = (a3 + TWay.Look(entries, a), b3 + TWay.Look(entries, b));
                    (restA, restB) = (restA * twentySeven, restB * twentySeven);
                }
            }

            Add(a0, b0, sums);
            Add(a1, b1, sums + GroupRows);
            Add(a2, b2, sums + (2 * GroupRows));
            Add(a3, b3, sums + (3 * GroupRows));
        }

        /// <summary>Asks for what one of several streams will read soon.</summary>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static void Ask(ushort* word)
        {
            Sse.Prefetch0((byte*)word + AheadBytes);
            Sse.Prefetch0((byte*)word + AheadBytes + 64);
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static Vector512<short> Look(Vector512<short> entries, Vector512<ushort> rest, Vector512<ushort> range) => TWay.Look(entries, Digit(rest, range));

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static Vector512<short> Digit(Vector512<ushort> rest, Vector512<ushort> range) => TWay.Index(Avx512BW.MultiplyHigh(rest, range));

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static void Add(Vector512<short> lower, Vector512<short> upper, int* sums)
        {
            AddHalf(lower, sums);
            AddHalf(upper, sums + 32);
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static void AddHalf(Vector512<short> values, int* sums)
        {
            (Vector512.Load(sums) + Vector512.WidenLower(values)).Store(sums);
            (Vector512.Load(sums + 16) + Vector512.WidenUpper(values)).Store(sums + 16);
        }
    }
}
