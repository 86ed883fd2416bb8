using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Tern.Numerics;

namespace Tern.Kernels;

/// <summary>
/// Q4_K for the matmul: units of one storage block, [ d | dmin | 12 bytes of factors | 4 chunks of 32 bytes ]; the low nibbles of chunk k are
/// part 2k, the high ones part 2k + 1. Code = weight; d_w = d · factor, m_w = -dmin · factor.
/// </summary>
internal readonly unsafe struct Q4_KBlocks : IBlockFormat
{
    private const int MinimumOffset = 2, Factors = 4, FactorBytes = 12, Chunks = 16, ChunkBytes = 32;

    public static int UnitColumns => 256;

    public static int UnitBytes => 144;

    public static int Bias => 0;

    public static bool IsSigned => false;

    public static bool HasOneScale => true;

    public static bool HasFactors => true;

    public static bool HasMinimums => true;

    public static bool HasSubScales => false;

    public static int Weight(byte* unit, int column) => (unit[Chunks + (column / 64 * ChunkBytes) + (column % 32)] >> (column / 32 % 2 * 4)) & 15;

    public static ushort Scale(byte* unit, int part) => *(ushort*)unit;

    public static int Factor(byte* unit, int part) => Q4_KType.ScaleFactor(new ReadOnlySpan<byte>(unit + Factors, FactorBytes), part);

    public static (ushort Bits, int Factor) Minimum(byte* unit, int part) =>
        (*(ushort*)(unit + MinimumOffset), -Q4_KType.MinimumFactor(new ReadOnlySpan<byte>(unit + Factors, FactorBytes), part));

    public static int SubScale(byte* unit, int sixteen) => 1;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Unpack(byte* unit, byte* codes, int pairStride)
    {
        for (int chunk = 0; chunk < 4; chunk++, codes += pairStride)
        {
            for (int i = 0; i < ChunkBytes; i += 16)
            {
                Vector128<byte> both = Vector128.Load(unit + Chunks + (chunk * ChunkBytes) + i);
                (both & Vector128.Create((byte)15)).Store(codes + i);
                (both >> 4).Store(codes + 32 + i);
            }
        }
    }
}
