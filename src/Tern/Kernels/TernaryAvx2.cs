using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Tern.Kernels;

/// <summary>
/// Ternary dot products with VPMADDUBSW at 256 bits: pairs of code·a summed to 16 bits. Codes are masked where they stand, after one shift
/// of 4 bits, so that half of them count four times:
/// <code>
/// packed byte      | w[p] | w[32+p] | w[64+p] | w[96+p] |        ×4 = "coarse": |a|·2·4·2 ≤ 2048 a step, two steps a block
/// high = byte >> 4 |      |         |  ×4     |  ×1     |        ×1 = "fine":   |a|·2·2   ≤  512 a step, two steps a block
/// low  = byte      |      |         |  ×4     |  ×1     |        8 blocks: coarse ≤ 32768 (reached only at -32768), fine ≤ 8192
/// </code>
/// Before 16 bits can overflow, fine + coarse / 4 goes to 32 bits.
/// </summary>
internal readonly unsafe struct TernaryAvx2 : ITernaryIsa
{
    private const int BlocksPerWiden = 8;

    public static int TileTokens => 2;

    /// <summary>64 steps of 32 columns, each at most 2·2·128 in a 16-bit lane.</summary>
    public static int PanelColumns => 2048;

    public static Vector128<int> Dot4(byte* row0, byte* row1, byte* row2, byte* row3, sbyte* x, int blocks, byte* ahead)
    {
        Vector256<int> total0 = default, total1 = default, total2 = default, total3 = default;
        for (long done = 0; done < blocks;)
        {
            long stop = Math.Min(done + BlocksPerWiden, blocks);
            Vector256<short> fine0 = default, fine1 = default, fine2 = default, fine3 = default;
            Vector256<short> coarse0 = default, coarse1 = default, coarse2 = default, coarse3 = default;
            for (; done < stop; done++)
            {
                Prefetch(ahead + done * 128);
                AddBlock(row0 + done * 32, x + done * 128, ref fine0, ref coarse0);
                AddBlock(row1 + done * 32, x + done * 128, ref fine1, ref coarse1);
                AddBlock(row2 + done * 32, x + done * 128, ref fine2, ref coarse2);
                AddBlock(row3 + done * 32, x + done * 128, ref fine3, ref coarse3);
            }

            total0 += Widen(fine0 + (coarse0 >> 2));
            total1 += Widen(fine1 + (coarse1 >> 2));
            total2 += Widen(fine2 + (coarse2 >> 2));
            total3 += Widen(fine3 + (coarse3 >> 2));
        }

        return Sum4(total0, total1, total2, total3);
    }

    public static void Unpack(byte* packed, int blocks, byte* codes)
    {
        Vector256<byte> mask = Vector256.Create((byte)3);
        for (int block = 0; block < blocks; block++, packed += 32, codes += 128)
        {
            Vector256<ushort> bytes = Vector256.Load(packed).AsUInt16();
            ((bytes >> 6).AsByte() & mask).Store(codes);
            ((bytes >> 4).AsByte() & mask).Store(codes + 32);
            ((bytes >> 2).AsByte() & mask).Store(codes + 64);
            (bytes.AsByte() & mask).Store(codes + 96);
        }
    }

    public static void Tile(byte* codes, int rowStride, sbyte** x, int columns, Vector128<int>* sums)
    {
        sbyte* x0 = x[0], x1 = x[1];
        byte* row0 = codes, row1 = codes + rowStride, row2 = codes + 2 * rowStride, row3 = codes + 3 * rowStride;
        Vector256<short> sum00 = default, sum10 = default, sum20 = default, sum30 = default;
        Vector256<short> sum01 = default, sum11 = default, sum21 = default, sum31 = default;
        for (long column = 0; column < columns; column += 32)
        {
            Vector256<sbyte> a0 = Vector256.Load(x0 + column), a1 = Vector256.Load(x1 + column);
            Vector256<byte> w = Vector256.Load(row0 + column);
            sum00 += Avx2.MultiplyAddAdjacent(w, a0);
            sum01 += Avx2.MultiplyAddAdjacent(w, a1);
            w = Vector256.Load(row1 + column);
            sum10 += Avx2.MultiplyAddAdjacent(w, a0);
            sum11 += Avx2.MultiplyAddAdjacent(w, a1);
            w = Vector256.Load(row2 + column);
            sum20 += Avx2.MultiplyAddAdjacent(w, a0);
            sum21 += Avx2.MultiplyAddAdjacent(w, a1);
            w = Vector256.Load(row3 + column);
            sum30 += Avx2.MultiplyAddAdjacent(w, a0);
            sum31 += Avx2.MultiplyAddAdjacent(w, a1);
        }

        sums[0] += Sum4(Widen(sum00), Widen(sum10), Widen(sum20), Widen(sum30));
        sums[1] += Sum4(Widen(sum01), Widen(sum11), Widen(sum21), Widen(sum31));
    }

    /// <summary>Asks for the two cache lines of 128 bytes.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Prefetch(byte* address)
    {
        Sse.Prefetch0(address);
        Sse.Prefetch0(address + 64);
    }

    /// <summary>The sums of four vectors, as one vector.</summary>
    public static Vector128<int> Sum4(Vector256<int> a, Vector256<int> b, Vector256<int> c, Vector256<int> d)
    {
        Vector256<int> halves = Avx2.HorizontalAdd(Avx2.HorizontalAdd(a, b), Avx2.HorizontalAdd(c, d));
        return halves.GetLower() + halves.GetUpper();
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void AddBlock(byte* packed, sbyte* x, ref Vector256<short> fine, ref Vector256<short> coarse)
    {
        Vector256<byte> fineMask = Vector256.Create((byte)0x03), coarseMask = Vector256.Create((byte)0x0C);
        Vector256<byte> low = Vector256.Load(packed);
        Vector256<byte> high = (low.AsUInt16() >> 4).AsByte();
        coarse += Avx2.MultiplyAddAdjacent(high & coarseMask, Vector256.Load(x));
        fine += Avx2.MultiplyAddAdjacent(high & fineMask, Vector256.Load(x + 32));
        coarse += Avx2.MultiplyAddAdjacent(low & coarseMask, Vector256.Load(x + 64));
        fine += Avx2.MultiplyAddAdjacent(low & fineMask, Vector256.Load(x + 96));
    }

    private static Vector256<int> Widen(Vector256<short> sums) => Avx2.MultiplyAddAdjacent(sums, Vector256<short>.One);
}
