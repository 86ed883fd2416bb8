using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Tern.Kernels;

/// <summary>Q5_0 for the matmul: units of two storage blocks, [ d | 32 fifth bits | 16 bytes of nibbles ] twice, code = weight + 16.</summary>
internal readonly unsafe struct Q5_0Blocks : IBlockFormat
{
    private const int BlockBytes = 22, Fifths = 2, Codes = 6, FifthBit = 16;

    public static int UnitColumns => 64;

    public static int UnitBytes => 2 * BlockBytes;

    public static int Bias => 16;

    public static bool IsSigned => false;

    public static bool HasOneScale => false;

    public static bool HasFactors => false;

    public static bool HasMinimums => false;

    public static bool HasSubScales => false;

    public static int Weight(byte* unit, int column)
    {
        byte* block = unit + (column / 32 * BlockBytes);
        uint fifth = (*(uint*)(block + Fifths) >> (column % 32)) & 1;
        return BlockNibbles.Code(block + Codes, column % 32) + ((int)fifth * FifthBit) - Bias;
    }

    public static ushort Scale(byte* unit, int part) => *(ushort*)(unit + (part * BlockBytes));

    public static int Factor(byte* unit, int part) => 1;

    public static (ushort Bits, int Factor) Minimum(byte* unit, int part) => default;

    public static int SubScale(byte* unit, int sixteen) => 1;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Unpack(byte* unit, byte* codes, int pairStride)
    {
        Unpack(unit, codes);
        Unpack(unit + BlockBytes, codes + 32);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Unpack(byte* block, byte* codes)
    {
        (Vector128<byte> low, Vector128<byte> high) = BlockNibbles.Halves(block + Codes);
        (low | BlockBits.Spread(*(ushort*)(block + Fifths), FifthBit)).Store(codes);
        (high | BlockBits.Spread(*(ushort*)(block + Fifths + 2), FifthBit)).Store(codes + 16);
    }
}
