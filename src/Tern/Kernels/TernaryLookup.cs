using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Tern.Kernels;

/// <summary>How a vector of base-27 digits looks up the sums of three columns. There are two ways, which processors differ in.</summary>
internal unsafe interface ITernaryLookup
{
    /// <summary>Words whose sums fit 16 bits for every activation in -128..127.</summary>
    static abstract int SegmentWords { get; }

    /// <summary>Whether the sums are Σ code · a with codes 0..2, from which Σ a must be taken off, and not Σ (code - 1) · a.</summary>
    static abstract bool SumsCodes { get; }

    /// <summary>
    /// The four tables of each word, one for each digit that <see cref="LookupTables"/> names.
    /// </summary>
    /// <param name="x">[10 · words] activations.</param>
    /// <param name="words">Words of a row.</param>
    /// <param name="tables">[words, 4, 32].</param>
    static abstract void Fill(short* x, int words, short* tables);

    /// <summary>Digits 0..26 in the form that looks up.</summary>
    static abstract Vector512<short> Index(Vector512<ushort> digits);

    static abstract Vector512<short> Look(Vector512<short> table, Vector512<short> index);
}

/// <summary>VPERMW: 32 entries of 16 bits. Intel's cores take two steps for it, AMD's one.</summary>
internal readonly unsafe struct WordLookup : ITernaryLookup
{
    public static int SegmentWords => 25; // 25 words · 10 digits · 128 = 32,000

    public static bool SumsCodes => false;

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Fill(short* x, int words, short* tables)
    {
        Vector512<short> one = Vector512<short>.One;
        Vector512<short> high = LookupTables.Codes(9) - one, middle = LookupTables.Codes(3) - one, low = LookupTables.Codes(1) - one;
        for (int word = 0; word < words; word++, x++, tables += LookupTables.WordShorts)
        {
            for (int i = 0; i < 3; i++)
                LookupTables.Sums(x + (3 * i * words), words, high, middle, low).Store(tables + (i * LookupTables.Entries));
            (low * x[9 * words]).Store(tables + (3 * LookupTables.Entries));
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<short> Index(Vector512<ushort> digits) => digits.AsInt16();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<short> Look(Vector512<short> table, Vector512<short> index) => Avx512BW.PermuteVar32x16(table, index);
}

/// <summary>
/// VPERMB, which is one step wherever it exists. The low byte of entry d stands at d, its high byte at 64 - d, so that one product, by
/// 256 · 255 + 1, makes both indices of a digit. At d = 0 both are the same byte: codes count from 0 here, so entry 0 is 0.
/// </summary>
internal readonly unsafe struct ByteLookup : ITernaryLookup
{
    public static int SegmentWords => 12; // 12 words · 10 digits · 2 · 128 = 30,720

    public static bool SumsCodes => true;

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Fill(short* x, int words, short* tables)
    {
        byte* places = stackalloc byte[Vector512<byte>.Count];
        for (int i = 0; i < Vector512<byte>.Count; i++)
            places[i] = (byte)(i < LookupTables.Entries ? 2 * i : (2 * (Vector512<byte>.Count - i)) + 1);
        Vector512<byte> order = Vector512.Load(places);
        Vector512<short> high = LookupTables.Codes(9), middle = LookupTables.Codes(3), low = LookupTables.Codes(1);
        for (int word = 0; word < words; word++, x++, tables += LookupTables.WordShorts)
        {
            for (int i = 0; i < 3; i++)
                Ordered(LookupTables.Sums(x + (3 * i * words), words, high, middle, low), order).Store(tables + (i * LookupTables.Entries));
            Ordered(low * x[9 * words], order).Store(tables + (3 * LookupTables.Entries));
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<short> Index(Vector512<ushort> digits) => (digits * 0xFF01).AsInt16();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<short> Look(Vector512<short> table, Vector512<short> index) =>
        Avx512Vbmi.PermuteVar64x8(table.AsByte(), index.AsByte()).AsInt16();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<short> Ordered(Vector512<short> entries, Vector512<byte> order) =>
        Avx512Vbmi.PermuteVar64x8(entries.AsByte(), order).AsInt16();
}

/// <summary>The tables that the digits of a word index: columns 0-2, 3-5, 6-8 of the word's ten, 27 entries each, and column 9, three entries.</summary>
internal static unsafe class LookupTables
{
    /// <summary>Entries of a table, those that no digit reaches included.</summary>
    public const int Entries = 32;

    /// <summary>Shorts of the tables of one word.</summary>
    public const int WordShorts = 4 * Entries;

    /// <summary>In lane d the code (0..2) of the digit that counts <paramref name="place"/> (9, 3 or 1) in d.</summary>
    public static Vector512<short> Codes(int place)
    {
        short* codes = stackalloc short[Entries];
        for (int i = 0; i < Entries; i++)
            codes[i] = (short)(i / place % 3);
        return Vector512.Load(codes);
    }

    /// <summary>high · x[0] + middle · x[words] + low · x[2 · words]</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<short> Sums(short* x, int words, Vector512<short> high, Vector512<short> middle, Vector512<short> low) =>
        (high * x[0]) + (middle * x[words]) + (low * x[2 * words]);
}
