using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Tern.Kernels;

/// <summary>
/// The matmul over <see cref="TernaryWords"/> with 512-bit vectors. Nothing is multiplied by a weight: what three columns can add up to is
/// looked up.
/// <code>
///   up to 8 tokens    the lanes are rows: a word gives digits by fixed-point products, a digit looks up its three columns' sum in a
///                     register (VPERMW, VPERMB), tables made from the token's activations before the first row
///   more tokens       the lanes are 32 tokens: <see cref="TernaryRussians"/>
/// </code>
/// </summary>
internal static unsafe class TernaryWordsAvx512<TLookup>
    where TLookup : struct, ITernaryLookup
{
    /// <summary>Most tokens that share the digits of a word.</summary>
    private const int LookupTokens = 8;

    /// <summary>From here on 32 lanes of tokens, some of them empty, are faster than looking up for 8 at a time twice.</summary>
    private const int RussianTokensMin = 14;

    private const int BlockRows = TernaryWords.BlockRows;

    /// <summary>How far ahead of the words in hand the next ones are asked for, in bytes.</summary>
    private const int AheadBytes = 4096;

    public static int TileTokens(int tokens) => tokens < RussianTokensMin ? Math.Min(tokens, LookupTokens) : TernaryRussians.Tokens;

    /// <summary>Rows of a chunk: tables of many tokens are worth making for many rows only.</summary>
    public static int RowMultiple(int tileTokens) => tileTokens > LookupTokens ? 1280 : BlockRows;

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
        public static void Run(MatMulProblem* problem, int start, int end)
        {
            int words = TernaryWords.WordsOf(problem->Columns);
            long tokenShorts = (long)words * LookupTables.WordShorts;
            int* sums = stackalloc int[LookupTokens * BlockRows]; // [token, 64]
            for (int row = start / BlockRows * BlockRows; row < end; row += BlockRows)
            {
                ushort* block = TernaryWords.Row(problem->Weights, words, row);
                for (int token = 0; token < problem->Tokens;)
                {
                    short* tables = (short*)problem->Scratch + (token * tokenShorts);
                    int left = problem->Tokens - token;
                    int count = left > 4 ? Math.Min(left, 8) : left == 3 ? 3 : left == 4 ? 4 : 1;
                    if (count > 4)
                        Sum8(block, tables, tokenShorts, words, count - 1, sums);
                    else if (count > 1)
                        Sum4(block, tables, tokenShorts, words, count - 1, sums);
                    else
                        Sum1(block, tables, words, sums);
                    for (int i = 0; i < count; i++)
                        Store(problem, token + i, row, Math.Max(start, row), Math.Min(end, row + BlockRows), sums + (i * BlockRows));
                    token += count;
                }
            }
        }

        /// <summary>y = (float)Σ t·a / s · scale of rows [start, end) of a block.</summary>
        private static void Store(MatMulProblem* problem, int token, int blockRow, int start, int end, int* sums)
        {
            Vector512<int> correction = Vector512.Create(TWay.SumsCodes ? problem->Sums[token] : 0);
            Vector512<float> scale = Vector512.Create(problem->Scales[token]);
            float* y = problem->Output + (token * problem->OutputStride);
            float* rowScales = problem->RowScales;
            for (int row = blockRow; row < end; row += Vector512<float>.Count)
            {
                Vector512<float> unscaled = Vector512.ConvertToSingle(Vector512.Load(sums + (row - blockRow)) - correction) / scale;
                if (row >= start && row + Vector512<float>.Count <= end)
                {
                    (unscaled * Vector512.Load(rowScales + row)).Store(y + row);
                    continue;
                }

                for (int i = Math.Max(start - row, 0); i < Math.Min(end - row, Vector512<float>.Count); i++)
                    y[row + i] = unscaled[i] * rowScales[row + i];
            }
        }

        /// <summary>One token: 64 rows at a time, each table loaded once for both halves.</summary>
        private static void Sum1(ushort* word, short* table, int words, int* sums)
        {
            Vector512<ushort> three = Vector512.Create((ushort)3), twentySeven = Vector512.Create((ushort)27);
            Vector512<int> sum0 = default, sum1 = default, sum2 = default, sum3 = default;
            for (int first = 0; first < words; first += TWay.SegmentWords)
            {
                Vector512<short> even0 = default, even1 = default, odd0 = default, odd1 = default;
                for (int i = Math.Min(TWay.SegmentWords, words - first); i > 0; i--, word += BlockRows, table += LookupTables.WordShorts)
                {
                    Sse.Prefetch0((byte*)word + AheadBytes);
                    Sse.Prefetch0((byte*)word + AheadBytes + 64);
                    Vector512<ushort> rest0 = Vector512.Load(word), rest1 = Vector512.Load(word + 32);
                    Vector512<short> entries = Vector512.Load(table);
                    even0 += TWay.Look(entries, Digit(rest0, twentySeven));
                    even1 += TWay.Look(entries, Digit(rest1, twentySeven));
                    (rest0, rest1) = (rest0 * twentySeven, rest1 * twentySeven);
                    entries = Vector512.Load(table + LookupTables.Entries);
                    odd0 += TWay.Look(entries, Digit(rest0, twentySeven));
                    odd1 += TWay.Look(entries, Digit(rest1, twentySeven));
                    (rest0, rest1) = (rest0 * twentySeven, rest1 * twentySeven);
                    entries = Vector512.Load(table + (2 * LookupTables.Entries));
                    even0 += TWay.Look(entries, Digit(rest0, twentySeven));
                    even1 += TWay.Look(entries, Digit(rest1, twentySeven));
                    (rest0, rest1) = (rest0 * twentySeven, rest1 * twentySeven);
                    entries = Vector512.Load(table + (3 * LookupTables.Entries));
                    odd0 += TWay.Look(entries, Digit(rest0, three));
                    odd1 += TWay.Look(entries, Digit(rest1, three));
                }

                (even0, even1) = (even0 + odd0, even1 + odd1);
                sum0 += Vector512.WidenLower(even0);
                sum1 += Vector512.WidenUpper(even0);
                sum2 += Vector512.WidenLower(even1);
                sum3 += Vector512.WidenUpper(even1);
            }

            sum0.Store(sums);
            sum1.Store(sums + 16);
            sum2.Store(sums + 32);
            sum3.Store(sums + 48);
        }

        /// <summary>Three or four tokens; where there are three, the last one is computed twice.</summary>
        private static void Sum4(ushort* word, short* table, long tokenShorts, int words, int last, int* sums)
        {
            Vector512<ushort> three = Vector512.Create((ushort)3), twentySeven = Vector512.Create((ushort)27);
            short* t0 = table, t1 = t0 + tokenShorts, t2 = t1 + tokenShorts, t3 = t0 + (last * tokenShorts);
            new Span<int>(sums, 4 * BlockRows).Clear();
            for (int first = 0; first < words; first += TWay.SegmentWords)
            {
                Vector512<short> a0 = default, a1 = default, a2 = default, a3 = default;
                Vector512<short> b0 = default, b1 = default, b2 = default, b3 = default;
                for (int i = Math.Min(TWay.SegmentWords, words - first); i > 0; i--, word += BlockRows)
                {
                    Sse.Prefetch0((byte*)word + AheadBytes);
                    Sse.Prefetch0((byte*)word + AheadBytes + 64);
                    Vector512<ushort> restA = Vector512.Load(word), restB = Vector512.Load(word + 32);
                    for (int table3 = 0; table3 < 4; table3++)
                    {
                        Vector512<ushort> digits = table3 < 3 ? twentySeven : three;
                        Vector512<short> a = Digit(restA, digits), b = Digit(restB, digits);
                        Vector512<short> entries = Vector512.Load(t0);
                        a0 += TWay.Look(entries, a);
                        b0 += TWay.Look(entries, b);
                        entries = Vector512.Load(t1);
                        a1 += TWay.Look(entries, a);
                        b1 += TWay.Look(entries, b);
                        entries = Vector512.Load(t2);
                        a2 += TWay.Look(entries, a);
                        b2 += TWay.Look(entries, b);
                        entries = Vector512.Load(t3);
                        a3 += TWay.Look(entries, a);
                        b3 += TWay.Look(entries, b);
                        (restA, restB) = (restA * twentySeven, restB * twentySeven);
                        t0 += LookupTables.Entries;
                        t1 += LookupTables.Entries;
                        t2 += LookupTables.Entries;
                        t3 += LookupTables.Entries;
                    }
                }

                Add(a0, b0, sums);
                Add(a1, b1, sums + BlockRows);
                Add(a2, b2, sums + (2 * BlockRows));
                Add(a3, b3, sums + (3 * BlockRows));
            }
        }

        /// <summary>
        /// Five to eight tokens, 32 rows at a time; where there are fewer than eight, the last one is computed again. The tables of a segment
        /// stay in the first-level cache for both halves of the block.
        /// </summary>
        private static void Sum8(ushort* word, short* table, long tokenShorts, int words, int last, int* sums)
        {
            const int segment = 12;
            short** tables = stackalloc short*[8];
            new Span<int>(sums, 8 * BlockRows).Clear();
            for (int first = 0; first < words; first += segment)
            {
                for (int i = 0; i < 8; i++)
                    tables[i] = table + (Math.Min(i, last) * tokenShorts) + ((long)first * LookupTables.WordShorts);
                int count = Math.Min(segment, words - first);
                SumHalf8(word + ((long)first * BlockRows), tables, count, sums);
                SumHalf8(word + ((long)first * BlockRows) + 32, tables, count, sums + 32);
            }
        }

        private static void SumHalf8(ushort* word, short** tables, int words, int* sums)
        {
            Vector512<ushort> three = Vector512.Create((ushort)3), twentySeven = Vector512.Create((ushort)27);
            short* t0 = tables[0], t1 = tables[1], t2 = tables[2], t3 = tables[3], t4 = tables[4], t5 = tables[5], t6 = tables[6], t7 = tables[7];
            Vector512<short> a0 = default, a1 = default, a2 = default, a3 = default, a4 = default, a5 = default, a6 = default, a7 = default;
            nint place = 0;
            for (int i = 0; i < words; i++, word += BlockRows)
            {
                Sse.Prefetch0((byte*)word + AheadBytes);
                Vector512<ushort> rest = Vector512.Load(word);
                for (int table = 0; table < 4; table++, place += LookupTables.Entries)
                {
                    Vector512<short> digits = Digit(rest, table < 3 ? twentySeven : three);
                    a0 += TWay.Look(Vector512.Load(t0 + place), digits);
                    a1 += TWay.Look(Vector512.Load(t1 + place), digits);
                    a2 += TWay.Look(Vector512.Load(t2 + place), digits);
                    a3 += TWay.Look(Vector512.Load(t3 + place), digits);
                    a4 += TWay.Look(Vector512.Load(t4 + place), digits);
                    a5 += TWay.Look(Vector512.Load(t5 + place), digits);
                    a6 += TWay.Look(Vector512.Load(t6 + place), digits);
                    a7 += TWay.Look(Vector512.Load(t7 + place), digits);
                    rest *= twentySeven;
                }
            }

            AddHalf(a0, sums);
            AddHalf(a1, sums + BlockRows);
            AddHalf(a2, sums + (2 * BlockRows));
            AddHalf(a3, sums + (3 * BlockRows));
            AddHalf(a4, sums + (4 * BlockRows));
            AddHalf(a5, sums + (5 * BlockRows));
            AddHalf(a6, sums + (6 * BlockRows));
            AddHalf(a7, sums + (7 * BlockRows));
        }

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
