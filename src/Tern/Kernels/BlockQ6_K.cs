using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

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
    public static void Unpack128(byte* unit, byte* codes, short* subScales)
    {
        for (int half = 0; half < 2; half++)
        {
            for (int i = 0; i < 32; i += 16)
            {
                Vector128<byte> a = Vector128.Load(unit + (half * LowBytes) + i), b = Vector128.Load(unit + (half * LowBytes) + 32 + i);
                Vector128<byte> h = Vector128.Load(unit + High + (half * HighBytes) + i);
                Vector128<byte> low = Vector128.Create(LowMask), high = Vector128.Create(HighMask);
                byte* pair = codes + (2 * half * BlockTile.PairCodes) + i;
                ((a & low) | ((h << 4) & high)).Store(pair);
                ((b & low) | ((h << 2) & high)).Store(pair + 32);
                ((a >> 4) | (h & high)).Store(pair + BlockTile.PairCodes);
                ((b >> 4) | ((h >> 2) & high)).Store(pair + BlockTile.PairCodes + 32);
            }
        }

        for (int sixteen = 0; sixteen < 16; sixteen++)
            Vector128.Create((short)SubScale(unit, sixteen)).Store(subScales + (sixteen / 4 * BlockTile.PairSubScales) + (sixteen % 4 * 8));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Unpack256(byte* unit, byte* codes, short* subScales)
    {
        Vector256<byte> low = Vector256.Create(LowMask), high = Vector256.Create(HighMask);
        for (int half = 0; half < 2; half++, codes += 2 * BlockTile.PairCodes)
        {
            Vector256<byte> a = Vector256.Load(unit + (half * LowBytes)), b = Vector256.Load(unit + (half * LowBytes) + 32);
            Vector256<ushort> h = Vector256.Load(unit + High + (half * HighBytes)).AsUInt16();
            ((a & low) | ((h << 4).AsByte() & high)).Store(codes);
            ((b & low) | ((h << 2).AsByte() & high)).Store(codes + 32);
            (((a.AsUInt16() >> 4).AsByte() & low) | (h.AsByte() & high)).Store(codes + BlockTile.PairCodes);
            (((b.AsUInt16() >> 4).AsByte() & low) | ((h >> 2).AsByte() & high)).Store(codes + BlockTile.PairCodes + 32);
        }

        SpreadSubScales(unit, subScales);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Unpack512(byte* unit, byte* codes, short* subScales)
    {
        Vector512<byte> low = Vector512.Create(LowMask), high = Vector512.Create(HighMask);
        for (int half = 0; half < 2; half++, codes += 2 * BlockTile.PairCodes)
        {
            Vector512<byte> ab = Vector512.Load(unit + (half * LowBytes));
            Vector256<ushort> h = Vector256.Load(unit + High + (half * HighBytes)).AsUInt16();
            Vector512<ushort> hh = Vector512.Create(h, h >> 2);
            ((ab & low) | ((hh << 4).AsByte() & high)).Store(codes);
            (((ab.AsUInt16() >> 4).AsByte() & low) | (hh.AsByte() & high)).Store(codes + BlockTile.PairCodes);
        }

        SpreadSubScales(unit, subScales);
    }

    /// <summary>
    /// Eight copies of each sub-scale as 16 bits. Even sub-scales go to the lower lane and odd ones to the upper, so that one shuffle
    /// within lanes spreads the two of a part.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void SpreadSubScales(byte* unit, short* subScales)
    {
        Vector128<byte> evenThenOdd = Ssse3.Shuffle(
            Vector128.Load(unit + Subs), Vector128.Create((byte)0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15));
        Vector256<byte> words = Avx2.ConvertToVector256Int16(evenThenOdd.AsSByte()).AsByte();
        Vector256<byte> first = Vector256.Create((ushort)0x0100).AsByte();
        for (int part = 0; part < 8; part++)
        {
            Vector256<short> spread = Avx2.Shuffle(words, first + Vector256.Create((byte)(2 * part))).AsInt16();
            spread.Store(subScales + (part / 2 * BlockTile.PairSubScales) + (part % 2 * 16));
        }
    }
}
