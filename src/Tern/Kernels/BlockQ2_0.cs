using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Tern.Kernels;

/// <summary>Q2_0 in groups of 64 for the matmul: units of one storage block, [ d | 16 bytes of 2-bit codes ], code = weight + 1.</summary>
internal readonly unsafe struct Q2_0Blocks : IBlockFormat
{
    public static int UnitColumns => 64;

    public static int UnitBytes => 18;

    public static int Bias => 1;

    public static bool IsSigned => false;

    public static bool HasOneScale => true;

    public static bool HasFactors => false;

    public static bool HasMinimums => false;

    public static bool HasSubScales => false;

    public static int Weight(byte* unit, int column) => BlockCrumbs.Weight(unit, column);

    public static ushort Scale(byte* unit, int part) => *(ushort*)unit;

    public static int Factor(byte* unit, int part) => 1;

    public static (ushort Bits, int Factor) Minimum(byte* unit, int part) => default;

    public static int SubScale(byte* unit, int sixteen) => 1;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Unpack(byte* unit, byte* codes, int pairStride) => BlockCrumbs.Unpack(unit + BlockCrumbs.Codes, codes);
}

/// <summary>Q2_0 in groups of 128 for the matmul: units of one storage block, [ d | 32 bytes of 2-bit codes ], code = weight + 1.</summary>
internal readonly unsafe struct Q2_0G128Blocks : IBlockFormat
{
    public static int UnitColumns => 128;

    public static int UnitBytes => 34;

    public static int Bias => 1;

    public static bool IsSigned => false;

    public static bool HasOneScale => true;

    public static bool HasFactors => false;

    public static bool HasMinimums => false;

    public static bool HasSubScales => false;

    public static int Weight(byte* unit, int column) => BlockCrumbs.Weight(unit, column);

    public static ushort Scale(byte* unit, int part) => *(ushort*)unit;

    public static int Factor(byte* unit, int part) => 1;

    public static (ushort Bits, int Factor) Minimum(byte* unit, int part) => default;

    public static int SubScale(byte* unit, int sixteen) => 1;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Unpack(byte* unit, byte* codes, int pairStride)
    {
        BlockCrumbs.Unpack(unit + BlockCrumbs.Codes, codes);
        BlockCrumbs.Unpack(unit + BlockCrumbs.Codes + BlockCrumbs.PairBytes, codes + pairStride);
    }
}

/// <summary>
/// Sixteen bytes of four 2-bit codes each, lowest bits first, to 64 bytes. A byte becomes a 32-bit lane by two doublings; the mask keeps
/// two bits of each byte, and what overlaps lies outside of it.
/// <code>
///   b             ........ ........ ........ ddccbbaa
///   b | b &lt;&lt; 12   ........ ....ddcc bbaa.... ddccbbaa
///   … | … &lt;&lt; 6    ......dd ......cc ......bb ......aa   after the mask
/// </code>
/// </summary>
internal static unsafe class BlockCrumbs
{
    /// <summary>Where the codes begin in a storage block, behind d.</summary>
    public const int Codes = 2;

    /// <summary>Bytes of 64 codes.</summary>
    public const int PairBytes = 16;

    private const uint Mask = 0x03030303;

    public static int Weight(byte* unit, int column) => ((unit[Codes + (column / 4)] >> (column % 4 * 2)) & 3) - 1;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Unpack(byte* crumbs, byte* codes)
    {
        (Vector128<ushort> low, Vector128<ushort> high) = Vector128.Widen(Vector128.Load(crumbs));
        (Vector128<uint> first, Vector128<uint> second) = Vector128.Widen(low);
        (Vector128<uint> third, Vector128<uint> fourth) = Vector128.Widen(high);
        Spread(first).Store(codes);
        Spread(second).Store(codes + 16);
        Spread(third).Store(codes + 32);
        Spread(fourth).Store(codes + 48);

        static Vector128<byte> Spread(Vector128<uint> bytes)
        {
            bytes |= bytes << 12;
            return ((bytes | (bytes << 6)) & Vector128.Create(Mask)).AsByte();
        }
    }
}
