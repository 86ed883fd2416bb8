using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Tern.Kernels;

/// <summary>64 bytes in one register: AVX-512 BW.</summary>
internal readonly unsafe struct PlaneLanes512 : IPlaneLanes<PlaneLanes512, Lanes512>
{
    private readonly Vector512<byte> _bytes;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private PlaneLanes512(Vector512<byte> bytes) => _bytes = bytes;

    public static PlaneLanes512 Zero => new(Vector512<byte>.Zero);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static PlaneLanes512 Load(byte* source) => new(Vector512.Load(source));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static PlaneLanes512 Spread(sbyte* source) => new(Vector512.Create(*(int*)source).AsByte());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static PlaneLanes512 LowHalves(PlaneLanes512 bytes) => new(bytes._bytes & Vector512.Create((byte)0x0F));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static PlaneLanes512 HighHalves(PlaneLanes512 bytes) => new((bytes._bytes.AsUInt16() >> 4).AsByte() & Vector512.Create((byte)0x0F));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static PlaneLanes512 AddProducts(PlaneLanes512 sums, PlaneLanes512 codes, PlaneLanes512 x) =>
        new((sums._bytes.AsInt16() + Avx512BW.MultiplyAddAdjacent(codes._bytes, x._bytes.AsSByte())).AsByte());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes512 ToFloats(PlaneLanes512 sums) =>
        Lanes512.FromIntegers(Avx512BW.MultiplyAddAdjacent(sums._bytes.AsInt16(), Vector512<short>.One));
}

/// <summary>64 bytes in two registers: AVX2.</summary>
internal readonly unsafe struct PlaneLanes256 : IPlaneLanes<PlaneLanes256, Lanes256>
{
    private readonly Vector256<byte> _lower;
    private readonly Vector256<byte> _upper;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private PlaneLanes256(Vector256<byte> lower, Vector256<byte> upper) => (_lower, _upper) = (lower, upper);

    public static PlaneLanes256 Zero => new(Vector256<byte>.Zero, Vector256<byte>.Zero);

    private static Vector256<byte> Half => Vector256.Create((byte)0x0F);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static PlaneLanes256 Load(byte* source) => new(Vector256.Load(source), Vector256.Load(source + 32));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static PlaneLanes256 Spread(sbyte* source)
    {
        Vector256<byte> all = Vector256.Create(*(int*)source).AsByte();
        return new(all, all);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static PlaneLanes256 LowHalves(PlaneLanes256 bytes) => new(bytes._lower & Half, bytes._upper & Half);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static PlaneLanes256 HighHalves(PlaneLanes256 bytes) =>
        new((bytes._lower.AsUInt16() >> 4).AsByte() & Half, (bytes._upper.AsUInt16() >> 4).AsByte() & Half);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static PlaneLanes256 AddProducts(PlaneLanes256 sums, PlaneLanes256 codes, PlaneLanes256 x) => new(
        (sums._lower.AsInt16() + Avx2.MultiplyAddAdjacent(codes._lower, x._lower.AsSByte())).AsByte(),
        (sums._upper.AsInt16() + Avx2.MultiplyAddAdjacent(codes._upper, x._upper.AsSByte())).AsByte());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes256 ToFloats(PlaneLanes256 sums) => Lanes256.FromIntegers(
        Avx2.MultiplyAddAdjacent(sums._lower.AsInt16(), Vector256<short>.One),
        Avx2.MultiplyAddAdjacent(sums._upper.AsInt16(), Vector256<short>.One));
}

/// <summary>The definition of <see cref="IPlaneLanes{TSelf, TLanes}"/>: plain loops over the bytes. Runs everywhere.</summary>
[InlineArray(Bytes)]
internal unsafe struct PlaneLanesScalar : IPlaneLanes<PlaneLanesScalar, LanesScalar>
{
    private const int Bytes = 64;

    private byte _byte;

    public static PlaneLanesScalar Zero => default;

    public static PlaneLanesScalar Load(byte* source)
    {
        PlaneLanesScalar result = default;
        for (int i = 0; i < Bytes; i++)
            result[i] = source[i];
        return result;
    }

    public static PlaneLanesScalar Spread(sbyte* source)
    {
        PlaneLanesScalar result = default;
        for (int i = 0; i < Bytes; i++)
            result[i] = (byte)source[i % 4];
        return result;
    }

    public static PlaneLanesScalar LowHalves(PlaneLanesScalar bytes)
    {
        for (int i = 0; i < Bytes; i++)
            bytes[i] &= 0x0F;
        return bytes;
    }

    public static PlaneLanesScalar HighHalves(PlaneLanesScalar bytes)
    {
        for (int i = 0; i < Bytes; i++)
            bytes[i] >>= 4;
        return bytes;
    }

    public static PlaneLanesScalar AddProducts(PlaneLanesScalar sums, PlaneLanesScalar codes, PlaneLanesScalar x)
    {
        var total = (short*)&sums;
        for (int i = 0; i < Bytes; i += 2)
            total[i / 2] = (short)(total[i / 2] + (codes[i] * (sbyte)x[i]) + (codes[i + 1] * (sbyte)x[i + 1]));
        return sums;
    }

    public static LanesScalar ToFloats(PlaneLanesScalar sums)
    {
        LanesScalar result = default;
        var total = (short*)&sums;
        for (int i = 0; i < Lanes.Count; i++)
            result[i] = total[2 * i] + total[(2 * i) + 1];
        return result;
    }
}
