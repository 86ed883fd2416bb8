using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Tern.Kernels;

/// <summary>
/// Q6_K for the matmul: units of one storage block, [ low nibbles 128 B | high pairs 64 B | 16 sub-scales | d ], in two halves of four
/// parts. Code = weight + 32.
/// <code>
///   half      low 64 B: [ A 32 B ][ B 32 B ]      high 32 B: H
///   part 0    A bits 3..0 | H bits 1 0            part 2    A bits 7..4 | H bits 5 4
///   part 1    B bits 3..0 | H bits 3 2            part 3    B bits 7..4 | H bits 7 6
/// </code>
/// </summary>
internal readonly unsafe struct Q6_KBlocks : IBlockFormat
{
    private const int LowBytes = 64, High = 128, HighBytes = 32, Subs = 192, ScaleOffset = 208;
    private const byte LowMask = 0x0F, HighMask = 0x30;

    public static int UnitColumns => 256;

    public static int UnitBytes => 210;

    public static int Bias => 32;

    public static bool IsSigned => false;

    public static bool HasOneScale => true;

    public static bool HasFactors => false;

    public static bool HasMinimums => false;

    public static bool HasSubScales => true;

    public static int Weight(byte* unit, int column)
    {
        int half = column / 128, part = column / 32 % 4, i = column % 32;
        int low = unit[(half * LowBytes) + (part % 2 * 32) + i] >> (part / 2 * 4);
        int high = unit[High + (half * HighBytes) + i] >> (2 * part);
        return ((low & LowMask) | ((high & 3) << 4)) - Bias;
    }

    public static ushort Scale(byte* unit, int part) => *(ushort*)(unit + ScaleOffset);

    public static int Factor(byte* unit, int part) => 1;

    public static (ushort Bits, int Factor) Minimum(byte* unit, int part) => default;

    public static int SubScale(byte* unit, int sixteen) => (sbyte)unit[Subs + sixteen];

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Unpack(byte* unit, byte* codes, int pairStride)
    {
        for (int half = 0; half < 2; half++)
        {
            for (int i = 0; i < 32; i += 16)
            {
                Vector128<byte> a = Vector128.Load(unit + (half * LowBytes) + i), b = Vector128.Load(unit + (half * LowBytes) + 32 + i);
                Vector128<byte> h = Vector128.Load(unit + High + (half * HighBytes) + i);
                Vector128<byte> low = Vector128.Create(LowMask), high = Vector128.Create(HighMask);
                byte* pair = codes + (2 * half * pairStride) + i;
                ((a & low) | ((h << 4) & high)).Store(pair);
                ((b & low) | ((h << 2) & high)).Store(pair + 32);
                ((a >> 4) | (h & high)).Store(pair + pairStride);
                ((b >> 4) | ((h >> 2) & high)).Store(pair + pairStride + 32);
            }
        }
    }
}
