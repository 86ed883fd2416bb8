using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Tern.Kernels;

/// <summary>
/// Q1_0 for the matmul: units of one storage block, [ d | 16 bytes of bits ]. A bit becomes the code 0 or 2, weight + 1.
/// </summary>
internal readonly unsafe struct Q1_0Blocks : IBlockFormat
{
    private const int Bits = 2, SetCode = 2;

    public static int UnitColumns => 128;

    public static int UnitBytes => 18;

    public static int Bias => 1;

    public static bool IsSigned => false;

    public static bool HasOneScale => true;

    public static bool HasFactors => false;

    public static bool HasMinimums => false;

    public static bool HasSubScales => false;

    public static int Weight(byte* unit, int column) => ((unit[Bits + (column / 8)] >> (column % 8)) & 1) != 0 ? 1 : -1;

    public static ushort Scale(byte* unit, int part) => *(ushort*)unit;

    public static int Factor(byte* unit, int part) => 1;

    public static (ushort Bits, int Factor) Minimum(byte* unit, int part) => default;

    public static int SubScale(byte* unit, int sixteen) => 1;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Unpack128(byte* unit, byte* codes, short* subScales)
    {
        for (int i = 0; i < 8; i++)
            BlockBits.Spread(*(ushort*)(unit + Bits + (2 * i)), SetCode).Store(codes + (i / 4 * BlockTile.PairCodes) + (i % 4 * 16));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Unpack256(byte* unit, byte* codes, short* subScales)
    {
        BlockBits.Spread(*(uint*)(unit + Bits), SetCode).Store(codes);
        BlockBits.Spread(*(uint*)(unit + Bits + 4), SetCode).Store(codes + 32);
        BlockBits.Spread(*(uint*)(unit + Bits + 8), SetCode).Store(codes + BlockTile.PairCodes);
        BlockBits.Spread(*(uint*)(unit + Bits + 12), SetCode).Store(codes + BlockTile.PairCodes + 32);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Unpack512(byte* unit, byte* codes, short* subScales)
    {
        Pair(*(ulong*)(unit + Bits)).Store(codes);
        Pair(*(ulong*)(unit + Bits + 8)).Store(codes + BlockTile.PairCodes);
    }

    /// <summary>
    /// 64 bits to 64 codes. VPMULTISHIFTQB takes any eight bits of a 64-bit lane: those that begin one bit early put the wanted one
    /// where it counts 2.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<byte> Pair(ulong bits)
    {
        if (!Avx512Vbmi.IsSupported)
            return Vector512.Create(BlockBits.Spread((uint)bits, SetCode), BlockBits.Spread((uint)(bits >> 32), SetCode));

        Vector512<byte> from = Vector512<byte>.Indices - Vector512<byte>.One;
        return Avx512Vbmi.MultiShift(from, Vector512.Create(bits)) & Vector512.Create((byte)SetCode);
    }
}

/// <summary>Bits to bytes.</summary>
internal static class BlockBits
{
    /// <summary>Sixteen bits, the lowest first, to bytes that are 0 or <paramref name="set"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<byte> Spread(ushort bits, byte set)
    {
        Vector128<byte> each = Vector128.Shuffle(
            Vector128.Create(bits).AsByte(), Vector128.Create((byte)0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1));
        Vector128<byte> own = Vector128.Create(0x8040_2010_0804_0201ul).AsByte();
        return Vector128.Equals(each & own, own) & Vector128.Create(set);
    }

    /// <summary>Thirty-two bits, the lowest first, to bytes that are 0 or <paramref name="set"/>. Needs AVX2.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<byte> Spread(uint bits, byte set)
    {
        Vector256<byte> each = Avx2.Shuffle(
            Vector256.Create(bits).AsByte(),
            Vector256.Create((byte)0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3));
        Vector256<byte> own = Vector256.Create(0x8040_2010_0804_0201ul).AsByte();
        return Vector256.Equals(each & own, own) & Vector256.Create(set);
    }
}
