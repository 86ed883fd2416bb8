using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Tern.Kernels;

/// <summary>
/// Ternary dot products with VPDPBUSD at 256 bits: four products a step, straight to 32 bits. Packed codes are masked where they stand
/// after one shift, as in <see cref="TernaryAvx2"/>: half of them count four times and have an accumulator of their own.
/// </summary>
internal readonly unsafe struct TernaryAvxVnni : ITernaryIsa
{
    public static int TileTokens => 3;

    public static int PanelColumns => 4096;

    public static Vector128<int> Dot4(byte* row0, byte* row1, byte* row2, byte* row3, sbyte* x, int blocks, byte* ahead)
    {
        Vector256<int> fine0 = default, fine1 = default, fine2 = default, fine3 = default;
        Vector256<int> coarse0 = default, coarse1 = default, coarse2 = default, coarse3 = default;
        for (long block = 0; block < blocks; block++)
        {
            TernaryAvx2.Prefetch(ahead + block * 128);
            AddBlock(row0 + block * 32, x + block * 128, ref fine0, ref coarse0);
            AddBlock(row1 + block * 32, x + block * 128, ref fine1, ref coarse1);
            AddBlock(row2 + block * 32, x + block * 128, ref fine2, ref coarse2);
            AddBlock(row3 + block * 32, x + block * 128, ref fine3, ref coarse3);
        }

        return TernaryAvx2.Sum4(fine0 + (coarse0 >> 2), fine1 + (coarse1 >> 2), fine2 + (coarse2 >> 2), fine3 + (coarse3 >> 2));
    }

    public static void Unpack(byte* packed, int blocks, byte* codes) => TernaryAvx2.Unpack(packed, blocks, codes);

    public static void Tile(byte* codes, int rowStride, sbyte** x, int columns, Vector128<int>* sums)
    {
        sbyte* x0 = x[0], x1 = x[1], x2 = x[2];
        byte* row0 = codes, row1 = codes + rowStride, row2 = codes + 2 * rowStride, row3 = codes + 3 * rowStride;
        Vector256<int> sum00 = default, sum10 = default, sum20 = default, sum30 = default;
        Vector256<int> sum01 = default, sum11 = default, sum21 = default, sum31 = default;
        Vector256<int> sum02 = default, sum12 = default, sum22 = default, sum32 = default;
        for (long column = 0; column < columns; column += 32)
        {
            Vector256<sbyte> a0 = Vector256.Load(x0 + column), a1 = Vector256.Load(x1 + column), a2 = Vector256.Load(x2 + column);
            Vector256<byte> w = Vector256.Load(row0 + column);
            sum00 = AvxVnni.MultiplyWideningAndAdd(sum00, w, a0);
            sum01 = AvxVnni.MultiplyWideningAndAdd(sum01, w, a1);
            sum02 = AvxVnni.MultiplyWideningAndAdd(sum02, w, a2);
            w = Vector256.Load(row1 + column);
            sum10 = AvxVnni.MultiplyWideningAndAdd(sum10, w, a0);
            sum11 = AvxVnni.MultiplyWideningAndAdd(sum11, w, a1);
            sum12 = AvxVnni.MultiplyWideningAndAdd(sum12, w, a2);
            w = Vector256.Load(row2 + column);
            sum20 = AvxVnni.MultiplyWideningAndAdd(sum20, w, a0);
            sum21 = AvxVnni.MultiplyWideningAndAdd(sum21, w, a1);
            sum22 = AvxVnni.MultiplyWideningAndAdd(sum22, w, a2);
            w = Vector256.Load(row3 + column);
            sum30 = AvxVnni.MultiplyWideningAndAdd(sum30, w, a0);
            sum31 = AvxVnni.MultiplyWideningAndAdd(sum31, w, a1);
            sum32 = AvxVnni.MultiplyWideningAndAdd(sum32, w, a2);
        }

        sums[0] += TernaryAvx2.Sum4(sum00, sum10, sum20, sum30);
        sums[1] += TernaryAvx2.Sum4(sum01, sum11, sum21, sum31);
        sums[2] += TernaryAvx2.Sum4(sum02, sum12, sum22, sum32);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void AddBlock(byte* packed, sbyte* x, ref Vector256<int> fine, ref Vector256<int> coarse)
    {
        Vector256<byte> fineMask = Vector256.Create((byte)0x03), coarseMask = Vector256.Create((byte)0x0C);
        Vector256<byte> low = Vector256.Load(packed);
        Vector256<byte> high = (low.AsUInt16() >> 4).AsByte();
        coarse = AvxVnni.MultiplyWideningAndAdd(coarse, high & coarseMask, Vector256.Load(x));
        fine = AvxVnni.MultiplyWideningAndAdd(fine, high & fineMask, Vector256.Load(x + 32));
        coarse = AvxVnni.MultiplyWideningAndAdd(coarse, low & coarseMask, Vector256.Load(x + 64));
        fine = AvxVnni.MultiplyWideningAndAdd(fine, low & fineMask, Vector256.Load(x + 96));
    }
}
