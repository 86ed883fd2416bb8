using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

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
    public static void Unpack(byte* unit, byte* codes, int pairStride)
    {
        for (int i = 0; i < 8; i++)
            BlockBits.Spread(*(ushort*)(unit + Bits + (2 * i)), SetCode).Store(codes + (i / 4 * pairStride) + (i % 4 * 16));
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
}
