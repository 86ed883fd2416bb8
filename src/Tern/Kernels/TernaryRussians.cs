using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Tern.Kernels;

/// <summary>
/// Many tokens at once over <see cref="TernaryWords"/>, by the method of the Four Russians (Arlazarov, Dinic, Kronrod, Faradžev, 1970): the
/// 81 sums that four columns can give are added up once, for 32 tokens in the lanes of a vector, and every row then only looks up and adds.
/// <code>
///   panel of 3 words = 30 columns:  seven groups of four columns and one of two
///       word 0   digits 0-3 | 4-7 | 8 9 ─┐                tables  [0] [1] [2] [3] [4] [5]   81 entries of 64 bytes each
///       word 1   digits 0-3 | 4-7 | 8 9 ─┴─ group 6               [6] 8 9 of words 0 and 1  81 entries
///       word 2   digits 0-3 | 4-7 | 8 9 ─── group 7               [7] 8 9 of word 2          9 entries        36 KiB, in the first-level cache
///
///   for each segment of rows                   what is summed up of a row's 32 tokens: 16 bits for up to 8 panels, then added to 32 bits
///     for each panel                           make the tables
///       for each block of 64 rows              words → eight table offsets per row, side by side; sum += table[offset] eight times
/// </code>
/// </summary>
internal static unsafe class TernaryRussians
{
    /// <summary>Tokens in the lanes.</summary>
    public const int Tokens = 32;

    /// <summary>With fewer rows than this, making the tables takes longer than it saves.</summary>
    public const int RowsMin = 512;

    private const int PanelWords = 3;

    /// <summary>Panels whose sums fit 16 bits for every activation in -128..127: 8 · 30 · 128 = 30,720.</summary>
    private const int PanelsPerSum = 8;

    /// <summary>Most rows whose sums are kept at a time, so that they stay in the second-level cache.</summary>
    private const int SegmentRows = 3584;

    private const int EntryBytes = Tokens * sizeof(short), GroupEntries = 81, GroupBytes = GroupEntries * EntryBytes, Groups = 8;
    private const int TableBytes = ((7 * GroupEntries) + 9) * EntryBytes;
    private const int BlockRows = TernaryWords.BlockRows;
    private const int HalfRows = 32;

    private static int ColumnsOf(int words) => words * TernaryWords.Digits;

    /// <summary>What the scratch of a worker holds, in this order.</summary>
    private readonly struct Scratch
    {
        public Scratch(byte* memory, int words)
        {
            X = (short*)memory;
            Tables = memory + ((long)ColumnsOf(words) * EntryBytes);
            Offsets = (ushort*)(Tables + TableBytes);
            Sums = (short*)(Offsets + (BlockRows * Groups));
            LongSums = (int*)(Sums + (SegmentRows * Tokens));
        }

        /// <summary>[10 · words, 32] activations of the tokens.</summary>
        public readonly short* X;

        /// <summary>[7, 81, 32] and [9, 32] sums of four columns, of two.</summary>
        public readonly byte* Tables;

        /// <summary>[64, 8] where the entries of a row stand in their tables.</summary>
        public readonly ushort* Offsets;

        /// <summary>[rows, 32] sums of up to <see cref="PanelsPerSum"/> panels.</summary>
        public readonly short* Sums;

        /// <summary>[rows, 32] sums.</summary>
        public readonly int* LongSums;
    }

    public static long ScratchBytes(int words) =>
        ((long)ColumnsOf(words) * EntryBytes) + TableBytes + (BlockRows * Groups * sizeof(ushort)) + ((long)SegmentRows * Tokens * (sizeof(short) + sizeof(int)));

    /// <summary>Turns the codes of up to 32 tokens: the activations of a column stand side by side, zeros for tokens that are not there.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Prepare(MatMulProblem* problem, int words)
    {
        short* x = new Scratch(problem->Scratch, words).X;
        int columns = problem->Columns;
        new Span<short>(x + ((long)columns * Tokens), (ColumnsOf(words) - columns) * Tokens).Clear();
        sbyte** rows = stackalloc sbyte*[Tokens];
        sbyte* none = stackalloc sbyte[16];
        new Span<sbyte>(none, 16).Clear();
        for (int column = 0; column < columns; column += 16)
        {
            for (int token = 0; token < Tokens; token++)
                rows[token] = token < problem->Tokens ? problem->Codes + ((long)token * problem->CodeStride) + column : none;
            int count = Math.Min(16, columns - column);
            for (int token = 0; token < Tokens; token += 16)
                Turn16(rows + token, x + ((long)column * Tokens) + token, count);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Run(MatMulProblem* problem, int start, int end)
    {
        int words = TernaryWords.WordsOf(problem->Columns);
        var scratch = new Scratch(problem->Scratch, words);
        int first = start / BlockRows * BlockRows;
        for (int segment = first; segment < end; segment += SegmentRows)
        {
            int rows = (Math.Min(SegmentRows, end - segment) + BlockRows - 1) / BlockRows * BlockRows;
            Sum(problem, words, segment, rows, in scratch);
            Store(problem, segment, Math.Max(start, segment), Math.Min(end, segment + SegmentRows), scratch.LongSums);
        }
    }

    /// <summary>Sums of rows [first, first + rows), whole blocks.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Sum(MatMulProblem* problem, int words, int first, int rows, in Scratch scratch)
    {
        new Span<int>(scratch.LongSums, rows * Tokens).Clear();
        int panels = (words + PanelWords - 1) / PanelWords;
        for (int panel = 0; panel < panels; panel++)
        {
            int word = panel * PanelWords;
            int count = Math.Min(PanelWords, words - word);
            FillTables(scratch.X, words, word, count, scratch.Tables);
            bool begins = panel % PanelsPerSum == 0;
            bool ends = panel % PanelsPerSum == PanelsPerSum - 1 || panel == panels - 1;
            for (int row = 0; row < rows; row += BlockRows)
            {
                ushort* block = TernaryWords.Row(problem->Weights, words, first + row) + (word * BlockRows);
                ReadOffsets(block, count, scratch.Offsets);
                ReadOffsets(block + HalfRows, count, scratch.Offsets + (HalfRows * Groups));
                Ask(block + (PanelWords * BlockRows));
                short* sums = scratch.Sums + (row * Tokens);
                if (ends)
                    AddLong((ulong*)scratch.Offsets, scratch.Tables, sums, scratch.LongSums + (row * Tokens), begins);
                else if (begins)
                    Begin((ulong*)scratch.Offsets, scratch.Tables, sums);
                else
                    Add((ulong*)scratch.Offsets, scratch.Tables, sums);
            }
        }
    }

    /// <summary>Asks for the words of the next panel, which a later round of this block reads.</summary>
    private static void Ask(ushort* words)
    {
        for (int i = 0; i < PanelWords * BlockRows * sizeof(ushort); i += 64)
            Sse.Prefetch1((byte*)words + i);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Add(ulong* offsets, byte* tables, short* sums)
    {
        for (nint row = 0; row < BlockRows; row++, offsets += 2, sums += Tokens)
        {
            Sse.Prefetch0(sums + (16 * Tokens));
            Look(offsets, tables, Vector512.Load(sums)).Store(sums);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Begin(ulong* offsets, byte* tables, short* sums)
    {
        for (nint row = 0; row < BlockRows; row++, offsets += 2, sums += Tokens)
            Look(offsets, tables, Vector512<short>.Zero).Store(sums);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void AddLong(ulong* offsets, byte* tables, short* sums, int* longSums, bool begins)
    {
        for (nint row = 0; row < BlockRows; row++, offsets += 2, sums += Tokens, longSums += Tokens)
        {
            Vector512<short> sum = Look(offsets, tables, begins ? Vector512<short>.Zero : Vector512.Load(sums));
            (Vector512.Load(longSums) + Vector512.WidenLower(sum)).Store(longSums);
            (Vector512.Load(longSums + 16) + Vector512.WidenUpper(sum)).Store(longSums + 16);
        }
    }

    /// <summary>The eight entries of a row; offsets come four to a word, because loads are what there are most of here.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<short> Look(ulong* offsets, byte* tables, Vector512<short> sum)
    {
        ulong even = offsets[0], odd = offsets[1];
        sum += Vector512.Load((short*)(tables + (ushort)even));
        sum += Vector512.Load((short*)(tables + (4 * GroupBytes) + (ushort)odd));
        (even, odd) = (even >> 16, odd >> 16);
        sum += Vector512.Load((short*)(tables + GroupBytes + (ushort)even));
        sum += Vector512.Load((short*)(tables + (5 * GroupBytes) + (ushort)odd));
        (even, odd) = (even >> 16, odd >> 16);
        sum += Vector512.Load((short*)(tables + (2 * GroupBytes) + (ushort)even));
        sum += Vector512.Load((short*)(tables + (6 * GroupBytes) + (ushort)odd));
        sum += Vector512.Load((short*)(tables + (3 * GroupBytes) + (even >> 16)));
        sum += Vector512.Load((short*)(tables + (7 * GroupBytes) + (odd >> 16)));
        return sum;
    }

    /// <summary>
    /// Table offsets of 32 rows, [32, 8]; words that are not there give offset 0 in tables of zeros. Rows come out in the order of
    /// <see cref="RowAt"/>: eight vectors of 32 rows are turned inside their 128-bit lanes.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void ReadOffsets(ushort* words, int count, ushort* offsets)
    {
        Vector512<ushort> eightyOne = Vector512.Create((ushort)81), nine = Vector512.Create((ushort)9);
        Vector512<ushort> g0, g1, g2 = default, g3 = default, g4 = default, g5 = default, g6, g7 = default;
        Vector512<ushort> rest = Vector512.Load(words);
        g0 = Avx512BW.MultiplyHigh(rest, eightyOne);
        rest *= eightyOne;
        g1 = Avx512BW.MultiplyHigh(rest, eightyOne);
        rest *= eightyOne;
        g6 = Avx512BW.MultiplyHigh(rest, nine) * nine;
        if (count > 1)
        {
            rest = Vector512.Load(words + BlockRows);
            g2 = Avx512BW.MultiplyHigh(rest, eightyOne);
            rest *= eightyOne;
            g3 = Avx512BW.MultiplyHigh(rest, eightyOne);
            rest *= eightyOne;
            g6 += Avx512BW.MultiplyHigh(rest, nine);
        }

        if (count > 2)
        {
            rest = Vector512.Load(words + (2 * BlockRows));
            g4 = Avx512BW.MultiplyHigh(rest, eightyOne);
            rest *= eightyOne;
            g5 = Avx512BW.MultiplyHigh(rest, eightyOne);
            rest *= eightyOne;
            g7 = Avx512BW.MultiplyHigh(rest, nine);
        }

        Vector512<uint> a = Low(g0, g1), b = High(g0, g1), c = Low(g2, g3), d = High(g2, g3);
        Vector512<uint> e = Low(g4, g5), f = High(g4, g5), g = Low(g6, g7), h = High(g6, g7);
        Vector512<ulong> left = Low(a, c), right = Low(e, g);
        Put(left, right, offsets);
        (left, right) = (High(a, c), High(e, g));
        Put(left, right, offsets + 64);
        (left, right) = (Low(b, d), Low(f, h));
        Put(left, right, offsets + 128);
        (left, right) = (High(b, d), High(f, h));
        Put(left, right, offsets + 192);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<uint> Low(Vector512<ushort> a, Vector512<ushort> b) => Avx512BW.UnpackLow(a << 6, b << 6).AsUInt32();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<uint> High(Vector512<ushort> a, Vector512<ushort> b) => Avx512BW.UnpackHigh(a << 6, b << 6).AsUInt32();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<ulong> Low(Vector512<uint> a, Vector512<uint> b) => Avx512F.UnpackLow(a, b).AsUInt64();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<ulong> High(Vector512<uint> a, Vector512<uint> b) => Avx512F.UnpackHigh(a, b).AsUInt64();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Put(Vector512<ulong> left, Vector512<ulong> right, ushort* offsets)
    {
        Avx512F.UnpackLow(left, right).AsUInt16().Store(offsets);
        Avx512F.UnpackHigh(left, right).AsUInt16().Store(offsets + 32);
    }

    /// <summary>Where the sums of a row of a block stand: lane 8 q + i of the words' vector comes out as row 4 i + q.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static int RowAt(int row) => (row / HalfRows * HalfRows) + (row % 8 * 4) + (row % HalfRows / 8);

    /// <summary>y = (float)Σ t·a / s · scale, [32 tokens] a row turned to [rows] a token, four by four.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Store(MatMulProblem* problem, int segment, int start, int end, int* sums)
    {
        float* scales = stackalloc float[Tokens];
        float* products = stackalloc float[4 * Tokens];
        for (int token = 0; token < Tokens; token++)
            scales[token] = token < problem->Tokens ? problem->Scales[token] : 1;
        Vector512<float> scale0 = Vector512.Load(scales), scale1 = Vector512.Load(scales + 16);
        for (int row = start; row < end; row += 4)
        {
            int count = Math.Min(4, end - row);
            for (int i = 0; i < count; i++)
            {
                int block = (row + i - segment) / BlockRows * BlockRows;
                int* sum = sums + ((block + RowAt((row + i - segment) % BlockRows)) * Tokens);
                Vector512<float> rowScale = Vector512.Create(problem->RowScales[row + i]);
                (Vector512.ConvertToSingle(Vector512.Load(sum)) / scale0 * rowScale).Store(products + (i * Tokens));
                (Vector512.ConvertToSingle(Vector512.Load(sum + 16)) / scale1 * rowScale).Store(products + (i * Tokens) + 16);
            }

            float* y = problem->Output + row;
            if (count < 4)
            {
                for (int token = 0; token < problem->Tokens; token++)
                    for (int i = 0; i < count; i++)
                        y[(token * problem->OutputStride) + i] = products[(i * Tokens) + token];
                continue;
            }

            for (int token = 0; token < problem->Tokens; token += 4)
            {
                float* from = products + token;
                Vector128<float> r0 = Vector128.Load(from), r1 = Vector128.Load(from + Tokens), r2 = Vector128.Load(from + (2 * Tokens)), r3 = Vector128.Load(from + (3 * Tokens));
                Vector128<float> low01 = Sse.UnpackLow(r0, r1), low23 = Sse.UnpackLow(r2, r3), high01 = Sse.UnpackHigh(r0, r1), high23 = Sse.UnpackHigh(r2, r3);
                float* to = y + (token * problem->OutputStride);
                Sse.MoveLowToHigh(low01, low23).Store(to);
                if (token + 1 < problem->Tokens)
                    Sse.MoveHighToLow(low23, low01).Store(to + problem->OutputStride);
                if (token + 2 < problem->Tokens)
                    Sse.MoveLowToHigh(high01, high23).Store(to + (2 * problem->OutputStride));
                if (token + 3 < problem->Tokens)
                    Sse.MoveHighToLow(high23, high01).Store(to + (3 * problem->OutputStride));
            }
        }
    }

    /// <summary>The tables of a panel: of the words that it has, zeros for those that it lacks at the end of a row.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void FillTables(short* x, int words, int word, int count, byte* tables)
    {
        for (int i = 0; i < PanelWords; i++, tables += 2 * GroupBytes)
        {
            Columns low = i < count ? new Columns(x, words, word + i, 0) : default;
            Columns high = i < count ? new Columns(x, words, word + i, 4) : default;
            FillFour(low, i < count ? new Columns(x, words, word + i, 2) : default, (short*)tables);
            FillFour(high, i < count ? new Columns(x, words, word + i, 6) : default, (short*)(tables + GroupBytes));
        }

        FillFour(new Columns(x, words, word, 8), count > 1 ? new Columns(x, words, word + 1, 8) : default, (short*)tables);
        Columns last = count > 2 ? new Columns(x, words, word + 2, 8) : default;
        FillTwo(default, last, (short*)(tables + GroupBytes));
    }

    /// <summary>Entry 9 a + b = entry a of the first two columns + entry b of the last two.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void FillFour(Columns first, Columns last, short* table)
    {
        Vector512<short> high = -first.A - first.B;
        for (int a = 0; a < 9; a++, table += 9 * Tokens)
        {
            FillTwo(high, last, table);
            high += a % 3 == 2 ? first.A - first.B - first.B : first.B;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void FillTwo(Vector512<short> sum, Columns last, short* table)
    {
        Vector512<short> minus = sum - last.A, plus = sum + last.A;
        (minus - last.B).Store(table);
        minus.Store(table + Tokens);
        (minus + last.B).Store(table + (2 * Tokens));
        (sum - last.B).Store(table + (3 * Tokens));
        sum.Store(table + (4 * Tokens));
        (sum + last.B).Store(table + (5 * Tokens));
        (plus - last.B).Store(table + (6 * Tokens));
        plus.Store(table + (7 * Tokens));
        (plus + last.B).Store(table + (8 * Tokens));
    }

    /// <summary>Sixteen tokens' bytes of up to 16 columns, turned and widened: column c goes to x + 32 c.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Turn16(sbyte** rows, short* x, int columns)
    {
        Vector128<sbyte>* block = stackalloc Vector128<sbyte>[16];
        Vector128<sbyte>* other = stackalloc Vector128<sbyte>[16];
        for (int i = 0; i < 16; i++)
            block[i] = Vector128.Load(rows[i]);

        // Each round pairs rows 8 apart: after four, byte c of row r stands at byte r of row c.
        for (int round = 0; round < 4; round++)
        {
            for (int i = 0; i < 8; i++)
            {
                other[2 * i] = Sse2.UnpackLow(block[i], block[i + 8]);
                other[(2 * i) + 1] = Sse2.UnpackHigh(block[i], block[i + 8]);
            }

            Vector128<sbyte>* swap = block;
            block = other;
            other = swap;
        }

        for (int i = 0; i < columns; i++)
            Avx2.ConvertToVector256Int16(block[i]).Store(x + (i * Tokens));
    }

    /// <summary>Activations of two neighbouring digits of a word, 32 tokens each.</summary>
    private readonly struct Columns(short* x, int words, int word, int digit)
    {
        public readonly Vector512<short> A = Vector512.Load(x + ((((long)digit * words) + word) * Tokens));

        public readonly Vector512<short> B = Vector512.Load(x + ((((long)(digit + 1) * words) + word) * Tokens));
    }
}
