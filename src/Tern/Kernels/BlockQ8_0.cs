using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Tern.Kernels;

/// <summary>Q8_0 for the matmul: units of two storage blocks, [ d | 32 signed bytes ] twice.</summary>
internal readonly unsafe struct Q8_0Blocks : IBlockFormat
{
    private const int BlockBytes = 34, Codes = 2;

    public static int UnitColumns => 64;

    public static int UnitBytes => 2 * BlockBytes;

    public static int Bias => 0;

    public static bool IsSigned => true;

    public static bool HasOneScale => false;

    public static bool HasFactors => false;

    public static bool HasMinimums => false;

    public static bool HasSubScales => false;

    public static int Weight(byte* unit, int column) => (sbyte)unit[(column / 32 * BlockBytes) + Codes + (column % 32)];

    public static ushort Scale(byte* unit, int part) => *(ushort*)(unit + (part * BlockBytes));

    public static int Factor(byte* unit, int part) => 1;

    public static (ushort Bits, int Factor) Minimum(byte* unit, int part) => default;

    public static int SubScale(byte* unit, int sixteen) => 1;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Unpack(byte* unit, byte* codes, int pairStride)
    {
        Vector128.Load(unit + Codes).Store(codes);
        Vector128.Load(unit + Codes + 16).Store(codes + 16);
        Vector128.Load(unit + BlockBytes + Codes).Store(codes + 32);
        Vector128.Load(unit + BlockBytes + Codes + 16).Store(codes + 48);
    }
}
