using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Tern.Kernels;

/// <summary>Q4_0 for the matmul: units of two storage blocks, [ d | 16 bytes of nibbles ] twice, code = weight + 8.</summary>
internal readonly unsafe struct Q4_0Blocks : IBlockFormat
{
    private const int BlockBytes = 18, Codes = 2;

    public static int UnitColumns => 64;

    public static int UnitBytes => 2 * BlockBytes;

    public static int Bias => 8;

    public static bool IsSigned => false;

    public static bool HasOneScale => false;

    public static bool HasFactors => false;

    public static bool HasMinimums => false;

    public static bool HasSubScales => false;

    public static int Weight(byte* unit, int column) => BlockNibbles.Code(unit + (column / 32 * BlockBytes) + Codes, column % 32) - Bias;

    public static ushort Scale(byte* unit, int part) => *(ushort*)(unit + (part * BlockBytes));

    public static int Factor(byte* unit, int part) => 1;

    public static (ushort Bits, int Factor) Minimum(byte* unit, int part) => default;

    public static int SubScale(byte* unit, int sixteen) => 1;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Unpack(byte* unit, byte* codes, int pairStride)
    {
        BlockNibbles.Unpack(unit + Codes, codes);
        BlockNibbles.Unpack(unit + BlockBytes + Codes, codes + 32);
    }
}

/// <summary>Q4_1 for the matmul: units of two storage blocks, [ d | m | 16 bytes of nibbles ] twice, code = weight.</summary>
internal readonly unsafe struct Q4_1Blocks : IBlockFormat
{
    private const int BlockBytes = 20, MinimumOffset = 2, Codes = 4;

    public static int UnitColumns => 64;

    public static int UnitBytes => 2 * BlockBytes;

    public static int Bias => 0;

    public static bool IsSigned => false;

    public static bool HasOneScale => false;

    public static bool HasFactors => false;

    public static bool HasMinimums => true;

    public static bool HasSubScales => false;

    public static int Weight(byte* unit, int column) => BlockNibbles.Code(unit + (column / 32 * BlockBytes) + Codes, column % 32);

    public static ushort Scale(byte* unit, int part) => *(ushort*)(unit + (part * BlockBytes));

    public static int Factor(byte* unit, int part) => 1;

    public static (ushort Bits, int Factor) Minimum(byte* unit, int part) => (*(ushort*)(unit + (part * BlockBytes) + MinimumOffset), 1);

    public static int SubScale(byte* unit, int sixteen) => 1;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Unpack(byte* unit, byte* codes, int pairStride)
    {
        BlockNibbles.Unpack(unit + Codes, codes);
        BlockNibbles.Unpack(unit + BlockBytes + Codes, codes + 32);
    }
}

/// <summary>Sixteen bytes of two nibbles: the low ones are columns 0..15, the high ones columns 16..31.</summary>
internal static unsafe class BlockNibbles
{
    private const int Half = 16;

    public static int Code(byte* nibbles, int column) => (nibbles[column % Half] >> (column / Half * 4)) & 15;

    /// <summary>The two halves of a block's codes.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static (Vector128<byte> Low, Vector128<byte> High) Halves(byte* nibbles)
    {
        Vector128<byte> both = Vector128.Load(nibbles);
        return (both & Vector128.Create((byte)15), both >> 4);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Unpack(byte* nibbles, byte* codes)
    {
        (Vector128<byte> low, Vector128<byte> high) = Halves(nibbles);
        low.Store(codes);
        high.Store(codes + Half);
    }
}
