using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Tern.Kernels;

/// <summary>
/// How the codes of 32 columns lie in packed rows. A vector of 64 bytes holds a 32-bit lane of each of sixteen rows, and each byte of a
/// lane belongs to other columns than its three neighbours: code vector i, once taken out, is columns 4i … 4i+3 of every row.
/// <code>
///   crumbs    2 vectors   v[i / 4]: bits 2(i % 4) and the next of byte b are column 4i + b
///   nibbles   4 vectors   low half of v[i]: columns 4i + b, i in 0 … 3; high half of v[i - 4], i in 4 … 7
///   fifths    5 vectors   nibbles, then one whose bit i of byte b is the fifth bit of column 4i + b
///   sixths    6 vectors   nibbles, then crumbs of the fifth and sixth bits
///   bytes     8 vectors   v[i]: code + 128
///   bits      1 vector    bit i of byte b is half the code of column 4i + b
/// </code>
/// </summary>
internal unsafe interface IBlockCodes
{
    /// <summary>Vectors of 64 bytes for 32 columns of sixteen rows.</summary>
    static abstract int Vectors { get; }

    /// <summary>Codes are whole bytes, 128 more than the weight; otherwise they are at most 63.</summary>
    static abstract bool IsWide { get; }

    /// <summary>Packs the codes of one row.</summary>
    /// <param name="codes">Eight times four bytes.</param>
    /// <param name="lanes">The row's lane of the first vector; the next one is <see cref="BlockLanes.Rows"/> further.</param>
    static abstract void Pack(uint* codes, uint* lanes);

    /// <summary>Columns 4 index … 4 index + 3 of sixteen rows.</summary>
    static abstract Vector512<byte> Take512(byte* block, int index);

    /// <summary>The same of the first eight rows.</summary>
    static abstract Vector256<byte> Take256(byte* block, int index);
}

/// <summary>Two bits a code.</summary>
internal readonly unsafe struct CrumbCodes : IBlockCodes
{
    private const uint Low = 0x03030303;

    public static int Vectors => 2;

    public static bool IsWide => false;

    public static void Pack(uint* codes, uint* lanes) => Pack(codes, 0, lanes);

    /// <summary>Packs two bits of each code, those from bit <paramref name="from"/> on.</summary>
    public static void Pack(uint* codes, int from, uint* lanes)
    {
        for (int i = 0; i < 8; i += 4, lanes += BlockLanes.Rows)
        {
            *lanes = ((codes[i] >> from) & Low) | (((codes[i + 1] >> from) & Low) << 2)
                | (((codes[i + 2] >> from) & Low) << 4) | (((codes[i + 3] >> from) & Low) << 6);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<byte> Take512(byte* block, int index) =>
        (Vector512.LoadAligned((ushort*)(block + (index / 4 * 64))) >> (index % 4 * 2)).AsByte() & Vector512.Create((byte)3);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<byte> Take256(byte* block, int index) =>
        (Vector256.Load((ushort*)(block + (index / 4 * 64))) >> (index % 4 * 2)).AsByte() & Vector256.Create((byte)3);
}

/// <summary>Four bits a code.</summary>
internal readonly unsafe struct NibbleCodes : IBlockCodes
{
    private const uint Low = 0x0F0F0F0F;

    public static int Vectors => 4;

    public static bool IsWide => false;

    public static void Pack(uint* codes, uint* lanes)
    {
        for (int i = 0; i < 4; i++)
            lanes[i * BlockLanes.Rows] = (codes[i] & Low) | ((codes[i + 4] & Low) << 4);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<byte> Take512(byte* block, int index) =>
        (Vector512.LoadAligned((ushort*)(block + (index % 4 * 64))) >> (index / 4 * 4)).AsByte() & Vector512.Create((byte)15);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<byte> Take256(byte* block, int index) =>
        (Vector256.Load((ushort*)(block + (index % 4 * 64))) >> (index / 4 * 4)).AsByte() & Vector256.Create((byte)15);
}

/// <summary>Five bits a code.</summary>
internal readonly unsafe struct FifthCodes : IBlockCodes
{
    private const int Fifths = 4 * 64;
    private const byte Fifth = 16;

    public static int Vectors => 5;

    public static bool IsWide => false;

    public static void Pack(uint* codes, uint* lanes)
    {
        NibbleCodes.Pack(codes, lanes);
        uint fifths = 0;
        for (int i = 0; i < 8; i++)
            fifths |= ((codes[i] >> 4) & 0x01010101) << i;
        lanes[4 * BlockLanes.Rows] = fifths;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<byte> Take512(byte* block, int index)
    {
        Vector512<ushort> fifths = Vector512.LoadAligned((ushort*)(block + Fifths));
        fifths = index < 4 ? fifths << (4 - index) : fifths >> (index - 4);
        return NibbleCodes.Take512(block, index) | (fifths.AsByte() & Vector512.Create(Fifth));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<byte> Take256(byte* block, int index)
    {
        Vector256<ushort> fifths = Vector256.Load((ushort*)(block + Fifths));
        fifths = index < 4 ? fifths << (4 - index) : fifths >> (index - 4);
        return NibbleCodes.Take256(block, index) | (fifths.AsByte() & Vector256.Create(Fifth));
    }
}

/// <summary>Six bits a code.</summary>
internal readonly unsafe struct SixthCodes : IBlockCodes
{
    private const int Crumbs = 4 * 64;
    private const byte High = 0x30;

    public static int Vectors => 6;

    public static bool IsWide => false;

    public static void Pack(uint* codes, uint* lanes)
    {
        NibbleCodes.Pack(codes, lanes);
        CrumbCodes.Pack(codes, 4, lanes + (4 * BlockLanes.Rows));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<byte> Take512(byte* block, int index)
    {
        Vector512<ushort> crumbs = Vector512.LoadAligned((ushort*)(block + Crumbs + (index / 4 * 64)));
        crumbs = index % 4 < 2 ? crumbs << (4 - (index % 4 * 2)) : crumbs >> ((index % 4 * 2) - 4);
        return NibbleCodes.Take512(block, index) | (crumbs.AsByte() & Vector512.Create(High));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<byte> Take256(byte* block, int index)
    {
        Vector256<ushort> crumbs = Vector256.Load((ushort*)(block + Crumbs + (index / 4 * 64)));
        crumbs = index % 4 < 2 ? crumbs << (4 - (index % 4 * 2)) : crumbs >> ((index % 4 * 2) - 4);
        return NibbleCodes.Take256(block, index) | (crumbs.AsByte() & Vector256.Create(High));
    }
}

/// <summary>A byte a code.</summary>
internal readonly unsafe struct ByteCodes : IBlockCodes
{
    /// <summary>What is added to the signed codes.</summary>
    public const int Bias = 128;

    public static int Vectors => 8;

    public static bool IsWide => true;

    public static void Pack(uint* codes, uint* lanes)
    {
        for (int i = 0; i < 8; i++)
            lanes[i * BlockLanes.Rows] = codes[i] ^ 0x80808080;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<byte> Take512(byte* block, int index) => Vector512.LoadAligned(block + (index * 64));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<byte> Take256(byte* block, int index) => Vector256.Load(block + (index * 64));
}

/// <summary>One bit a code, which is 0 or 2.</summary>
internal readonly unsafe struct BitCodes : IBlockCodes
{
    private const byte Set = 2;

    public static int Vectors => 1;

    public static bool IsWide => false;

    public static void Pack(uint* codes, uint* lanes)
    {
        uint bits = 0;
        for (int i = 0; i < 8; i++)
            bits |= (codes[i] >> 1) << i;
        *lanes = bits;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<byte> Take512(byte* block, int index)
    {
        Vector512<ushort> bits = Vector512.LoadAligned((ushort*)block);
        return (index == 0 ? bits << 1 : bits >> (index - 1)).AsByte() & Vector512.Create(Set);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<byte> Take256(byte* block, int index)
    {
        Vector256<ushort> bits = Vector256.Load((ushort*)block);
        return (index == 0 ? bits << 1 : bits >> (index - 1)).AsByte() & Vector256.Create(Set);
    }
}
