using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.Arm;

namespace Tern.Kernels;

/// <summary>The one instruction of the ARM row that portable vectors do not have; everything else in it is the same on every machine.</summary>
internal interface IArmDotProduct
{
    /// <summary>SDOT: adds to each of four sums the four products of its bytes.</summary>
    static abstract Vector128<int> DotAccumulate(Vector128<int> sums, Vector128<sbyte> left, Vector128<sbyte> right);
}

/// <summary>SDOT of the ARMv8.2 dot product extension.</summary>
internal readonly struct ArmDotProduct : IArmDotProduct
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<int> DotAccumulate(Vector128<int> sums, Vector128<sbyte> left, Vector128<sbyte> right) =>
        Dp.DotProduct(sums, left, right);
}

/// <summary>
/// Ternary dot products with SDOT at 128 bits, straight to 32 bits; codes are masked where they stand, as in <see cref="TernaryAvx2"/>.
/// <b>Never executed on an ARM processor.</b> The tests run this body with an emulated SDOT; what they cannot show is the JIT's ARM code.
/// .NET has no prefetch instruction for it, so <c>ahead</c> is not used.
/// </summary>
internal readonly unsafe struct TernaryArm<TDot> : ITernaryIsa
    where TDot : struct, IArmDotProduct
{
    public static int TileTokens => 4;

    public static int PanelColumns => 4096;

    public static Vector128<int> Dot4(byte* row0, byte* row1, byte* row2, byte* row3, sbyte* x, int blocks, byte* ahead)
    {
        Vector128<int> fine0 = default, fine1 = default, fine2 = default, fine3 = default;
        Vector128<int> coarse0 = default, coarse1 = default, coarse2 = default, coarse3 = default;
        for (long block = 0; block < blocks; block++)
        {
            for (long half = 0; half < 32; half += 16)
            {
                long packed = block * 32 + half;
                sbyte* a = x + block * 128 + half;
                AddHalfBlock(row0 + packed, a, ref fine0, ref coarse0);
                AddHalfBlock(row1 + packed, a, ref fine1, ref coarse1);
                AddHalfBlock(row2 + packed, a, ref fine2, ref coarse2);
                AddHalfBlock(row3 + packed, a, ref fine3, ref coarse3);
            }
        }

        return Sum4(fine0 + (coarse0 >> 2), fine1 + (coarse1 >> 2), fine2 + (coarse2 >> 2), fine3 + (coarse3 >> 2));
    }

    public static void Unpack(byte* packed, int blocks, byte* codes)
    {
        Vector128<byte> mask = Vector128.Create((byte)3);
        for (int half = 0; half < 2 * blocks; half++, packed += 16)
        {
            byte* to = codes + half / 2 * 128 + half % 2 * 16;
            Vector128<byte> bytes = Vector128.Load(packed);
            (bytes >>> 6).Store(to);
            ((bytes >>> 4) & mask).Store(to + 32);
            ((bytes >>> 2) & mask).Store(to + 64);
            (bytes & mask).Store(to + 96);
        }
    }

    public static void Tile(byte* codes, int rowStride, sbyte** x, int columns, Vector128<int>* sums)
    {
        sbyte* row0 = (sbyte*)codes, row1 = row0 + rowStride, row2 = row1 + rowStride, row3 = row2 + rowStride;
        sbyte* x0 = x[0], x1 = x[1], x2 = x[2], x3 = x[3];
        Vector128<int> sum00 = default, sum10 = default, sum20 = default, sum30 = default;
        Vector128<int> sum01 = default, sum11 = default, sum21 = default, sum31 = default;
        Vector128<int> sum02 = default, sum12 = default, sum22 = default, sum32 = default;
        Vector128<int> sum03 = default, sum13 = default, sum23 = default, sum33 = default;
        for (long column = 0; column < columns; column += 16)
        {
            Vector128<sbyte> w0 = Vector128.Load(row0 + column), w1 = Vector128.Load(row1 + column);
            Vector128<sbyte> w2 = Vector128.Load(row2 + column), w3 = Vector128.Load(row3 + column);
            Vector128<sbyte> a = Vector128.Load(x0 + column);
            sum00 = TDot.DotAccumulate(sum00, w0, a);
            sum10 = TDot.DotAccumulate(sum10, w1, a);
            sum20 = TDot.DotAccumulate(sum20, w2, a);
            sum30 = TDot.DotAccumulate(sum30, w3, a);
            a = Vector128.Load(x1 + column);
            sum01 = TDot.DotAccumulate(sum01, w0, a);
            sum11 = TDot.DotAccumulate(sum11, w1, a);
            sum21 = TDot.DotAccumulate(sum21, w2, a);
            sum31 = TDot.DotAccumulate(sum31, w3, a);
            a = Vector128.Load(x2 + column);
            sum02 = TDot.DotAccumulate(sum02, w0, a);
            sum12 = TDot.DotAccumulate(sum12, w1, a);
            sum22 = TDot.DotAccumulate(sum22, w2, a);
            sum32 = TDot.DotAccumulate(sum32, w3, a);
            a = Vector128.Load(x3 + column);
            sum03 = TDot.DotAccumulate(sum03, w0, a);
            sum13 = TDot.DotAccumulate(sum13, w1, a);
            sum23 = TDot.DotAccumulate(sum23, w2, a);
            sum33 = TDot.DotAccumulate(sum33, w3, a);
        }

        sums[0] += Sum4(sum00, sum10, sum20, sum30);
        sums[1] += Sum4(sum01, sum11, sum21, sum31);
        sums[2] += Sum4(sum02, sum12, sum22, sum32);
        sums[3] += Sum4(sum03, sum13, sum23, sum33);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void AddHalfBlock(byte* packed, sbyte* x, ref Vector128<int> fine, ref Vector128<int> coarse)
    {
        Vector128<byte> fineMask = Vector128.Create((byte)0x03), coarseMask = Vector128.Create((byte)0x0C);
        Vector128<byte> low = Vector128.Load(packed);
        Vector128<byte> high = low >>> 4;
        coarse = TDot.DotAccumulate(coarse, (high & coarseMask).AsSByte(), Vector128.Load(x));
        fine = TDot.DotAccumulate(fine, (high & fineMask).AsSByte(), Vector128.Load(x + 32));
        coarse = TDot.DotAccumulate(coarse, (low & coarseMask).AsSByte(), Vector128.Load(x + 64));
        fine = TDot.DotAccumulate(fine, (low & fineMask).AsSByte(), Vector128.Load(x + 96));
    }

    private static Vector128<int> Sum4(Vector128<int> a, Vector128<int> b, Vector128<int> c, Vector128<int> d) =>
        Vector128.Create(Vector128.Sum(a), Vector128.Sum(b), Vector128.Sum(c), Vector128.Sum(d));
}
