using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Tern.Kernels;

/// <summary>
/// Ternary dot products with VPMADDUBSW at 512 bits (.NET has no 512-bit VPDPBUSD). The 32 packed bytes of a block are broadcast to both
/// halves; one mask takes other codes from each half, so that activations are read in their natural order:
/// <code>
/// broadcast >> 4, masked   | lower half: w[0..31] ×4  | upper half: w[32..63] ×1  |  · activations 0..63 of the block
/// broadcast, masked        | lower half: w[64..95] ×4 | upper half: w[96..127] ×1 |  · activations 64..127
/// </code>
/// A 16-bit lane grows by at most |a|·2·4·2 = 2048 a step, two steps a block: after 8 blocks (32768, reached only at -32768) it is widened.
/// </summary>
internal readonly unsafe struct TernaryAvx512 : ITernaryIsa
{
    private const int BlocksPerWiden = 8;

    public static int TileTokens => 4;

    /// <summary>64 steps of 64 columns, each at most 2·2·128 in a 16-bit lane.</summary>
    public static int PanelColumns => 4096;

    public static Vector128<int> Dot4(byte* row0, byte* row1, byte* row2, byte* row3, sbyte* x, int blocks, byte* ahead)
    {
        Vector512<byte> mask = Vector512.Create(
            0x0C0C_0C0C_0C0C_0C0CUL, 0x0C0C_0C0C_0C0C_0C0CUL, 0x0C0C_0C0C_0C0C_0C0CUL, 0x0C0C_0C0C_0C0C_0C0CUL,
            0x0303_0303_0303_0303UL, 0x0303_0303_0303_0303UL, 0x0303_0303_0303_0303UL, 0x0303_0303_0303_0303UL).AsByte();
        Vector512<int> total0 = default, total1 = default, total2 = default, total3 = default;
        for (long done = 0; done < blocks;)
        {
            long stop = Math.Min(done + BlocksPerWiden, blocks);
            Vector512<short> sum0 = default, sum1 = default, sum2 = default, sum3 = default;
            for (; done < stop; done++)
            {
                Vector512<sbyte> a0 = Vector512.Load(x + done * 128), a1 = Vector512.Load(x + done * 128 + 64);
                TernaryAvx2.Prefetch(ahead + done * 128);
                sum0 = AddBlock(sum0, row0 + done * 32, mask, a0, a1);
                sum1 = AddBlock(sum1, row1 + done * 32, mask, a0, a1);
                sum2 = AddBlock(sum2, row2 + done * 32, mask, a0, a1);
                sum3 = AddBlock(sum3, row3 + done * 32, mask, a0, a1);
            }

            total0 += Widen(sum0);
            total1 += Widen(sum1);
            total2 += Widen(sum2);
            total3 += Widen(sum3);
        }

        return TernaryAvx2.Sum4(
            (total0.GetLower() >> 2) + total0.GetUpper(),
            (total1.GetLower() >> 2) + total1.GetUpper(),
            (total2.GetLower() >> 2) + total2.GetUpper(),
            (total3.GetLower() >> 2) + total3.GetUpper());
    }

    public static void Unpack(byte* packed, int blocks, byte* codes) => TernaryAvx2.Unpack(packed, blocks, codes);

    public static void Tile(byte* codes, int rowStride, sbyte** x, int columns, Vector128<int>* sums)
    {
        sbyte* x0 = x[0], x1 = x[1], x2 = x[2], x3 = x[3];
        byte* row0 = codes, row1 = codes + rowStride, row2 = codes + 2 * rowStride, row3 = codes + 3 * rowStride;
        Vector512<short> sum00 = default, sum10 = default, sum20 = default, sum30 = default;
        Vector512<short> sum01 = default, sum11 = default, sum21 = default, sum31 = default;
        Vector512<short> sum02 = default, sum12 = default, sum22 = default, sum32 = default;
        Vector512<short> sum03 = default, sum13 = default, sum23 = default, sum33 = default;
        for (long column = 0; column < columns; column += 64)
        {
            Vector512<byte> w0 = Vector512.Load(row0 + column), w1 = Vector512.Load(row1 + column);
            Vector512<byte> w2 = Vector512.Load(row2 + column), w3 = Vector512.Load(row3 + column);
            Vector512<sbyte> a = Vector512.Load(x0 + column);
            sum00 += Avx512BW.MultiplyAddAdjacent(w0, a);
            sum10 += Avx512BW.MultiplyAddAdjacent(w1, a);
            sum20 += Avx512BW.MultiplyAddAdjacent(w2, a);
            sum30 += Avx512BW.MultiplyAddAdjacent(w3, a);
            a = Vector512.Load(x1 + column);
            sum01 += Avx512BW.MultiplyAddAdjacent(w0, a);
            sum11 += Avx512BW.MultiplyAddAdjacent(w1, a);
            sum21 += Avx512BW.MultiplyAddAdjacent(w2, a);
            sum31 += Avx512BW.MultiplyAddAdjacent(w3, a);
            a = Vector512.Load(x2 + column);
            sum02 += Avx512BW.MultiplyAddAdjacent(w0, a);
            sum12 += Avx512BW.MultiplyAddAdjacent(w1, a);
            sum22 += Avx512BW.MultiplyAddAdjacent(w2, a);
            sum32 += Avx512BW.MultiplyAddAdjacent(w3, a);
            a = Vector512.Load(x3 + column);
            sum03 += Avx512BW.MultiplyAddAdjacent(w0, a);
            sum13 += Avx512BW.MultiplyAddAdjacent(w1, a);
            sum23 += Avx512BW.MultiplyAddAdjacent(w2, a);
            sum33 += Avx512BW.MultiplyAddAdjacent(w3, a);
        }

        sums[0] += Sum4(sum00, sum10, sum20, sum30);
        sums[1] += Sum4(sum01, sum11, sum21, sum31);
        sums[2] += Sum4(sum02, sum12, sum22, sum32);
        sums[3] += Sum4(sum03, sum13, sum23, sum33);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<short> AddBlock(Vector512<short> sum, byte* packed, Vector512<byte> mask, Vector512<sbyte> a0, Vector512<sbyte> a1)
    {
        Vector512<byte> low = Avx512F.BroadcastVector256ToVector512((ulong*)packed).AsByte();
        Vector512<byte> high = (low.AsUInt16() >> 4).AsByte();
        return sum + Avx512BW.MultiplyAddAdjacent(high & mask, a0) + Avx512BW.MultiplyAddAdjacent(low & mask, a1);
    }

    private static Vector512<int> Widen(Vector512<short> sums) => Avx512BW.MultiplyAddAdjacent(sums, Vector512<short>.One);

    private static Vector128<int> Sum4(Vector512<short> a, Vector512<short> b, Vector512<short> c, Vector512<short> d)
    {
        Vector512<int> a32 = Widen(a), b32 = Widen(b), c32 = Widen(c), d32 = Widen(d);
        return TernaryAvx2.Sum4(
            a32.GetLower() + a32.GetUpper(), b32.GetLower() + b32.GetUpper(), c32.GetLower() + c32.GetUpper(), d32.GetLower() + d32.GetUpper());
    }
}
