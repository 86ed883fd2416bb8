using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Tern.Kernels;

/// <summary>
/// The layout of 1.6 bits per weight: ten ternary digits in a word of 16 bits, 64 rows side by side, so that a vector holds the same columns
/// of many rows and no sum runs across its lanes.
/// <code>
///   block of 64 rows      word 0                word 1                      word W - 1         W = ⌈K / 10⌉
///                       [ r0 r1 r2 … r63 ]    [ r0 r1 r2 … r63 ]    …     [ r0 … r63 ]         128 bytes each
///
///   digit d of word j   is code + 1 of column d · W + j; columns beyond K have code 0, rows beyond the last have none but code 0
///   a word              x = ⌊n · 2^16 / 3^10⌋ + 1 of n = Σ digit d · 3^(9 - d), so that ⌊27 x / 2^16⌋ is the number of its first three
///                       digits and 27 x mod 2^16 a word of the rest: high and low half of one product
/// </code>
/// The fixed-point trick is that of the five digits of a byte in TQ1_0 (formats of llama.cpp), in 16 bits.
/// </summary>
internal static unsafe class TernaryWords
{
    /// <summary>Rows side by side.</summary>
    public const int BlockRows = 64;

    /// <summary>Digits in a word.</summary>
    public const int Digits = 10;

    private const uint Range = 59049; // 3^10

    /// <summary>Words of a row.</summary>
    public static int WordsOf(long columns) => (int)((columns + Digits - 1) / Digits);

    /// <summary>Bytes of a matrix.</summary>
    public static long ByteCount(long rows, long columns) => (rows + BlockRows - 1) / BlockRows * BlockRows * WordsOf(columns) * sizeof(ushort);

    /// <summary>The words of row <paramref name="row"/>: the first one; the next stand <see cref="BlockRows"/> further each.</summary>
    public static ushort* Row(byte* weights, int words, int row) =>
        (ushort*)weights + ((long)(row / BlockRows) * words * BlockRows) + (row % BlockRows);

    /// <summary>Codes from one row to the next in what <see cref="PackBlock"/> reads: all digits, and room to read vectors at the end.</summary>
    public static int CodeStride(long columns) => (WordsOf(columns) * Digits) + Vector256<ushort>.Count;

    /// <summary>Packs up to 64 rows.</summary>
    /// <param name="codes">[rows, <see cref="CodeStride"/>] codes -1, 0, +1 in the order of columns, 0 from column K on.</param>
    /// <param name="rows">1 to 64.</param>
    /// <param name="words">Words of a row.</param>
    /// <param name="block">[words, 64].</param>
    public static void PackBlock(sbyte* codes, int rows, int words, ushort* block)
    {
        int stride = (words * Digits) + Vector256<ushort>.Count;
        for (int row = 0; row < rows; row++)
            PackRow(codes + ((long)row * stride), words, block + row);

        ushort zeros = Word(Range / 2); // ten digits of 1
        for (int word = 0; word < words; word++)
            new Span<ushort>(block + (word * BlockRows) + rows, BlockRows - rows).Fill(zeros);
    }

    [SkipLocalsInit]
    private static void PackRow(sbyte* codes, int words, ushort* to)
    {
        ushort* packed = stackalloc ushort[Vector256<ushort>.Count];
        for (int word = 0; word < words; word += Vector256<ushort>.Count)
        {
            Vector256<ushort> number = default;
            for (int digit = 0; digit < Digits; digit++)
            {
                Vector256<short> code = Vector256.WidenLower(Vector128.Load(codes + (digit * words) + word).ToVector256Unsafe());
                number = (number * 3) + (code + Vector256<short>.One).AsUInt16();
            }

            (Vector256<uint> lower, Vector256<uint> upper) = Vector256.Widen(number);
            Vector256.Narrow(Words(lower), Words(upper)).Store(packed);
            int count = Math.Min(Vector256<ushort>.Count, words - word);
            for (int i = 0; i < count; i++)
                to[(word + i) * BlockRows] = packed[i];
        }
    }

    /// <summary>⌊n · 2^16 / 3^10⌋ + 1: an estimate that is right or one too large, which shows when it is taken apart again.</summary>
    private static Vector256<uint> Words(Vector256<uint> n)
    {
        Vector256<uint> word = n + (n * 7200u >>> 16) + Vector256<uint>.One;
        Vector256<uint> tooLarge = Vector256.GreaterThan((word * Range >>> 16).AsInt32(), n.AsInt32()).AsUInt32();
        return word + tooLarge;
    }

    private static ushort Word(uint n) => (ushort)(((n << 16) / Range) + 1);
}
