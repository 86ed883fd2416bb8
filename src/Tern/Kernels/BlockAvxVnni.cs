using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Tern.Kernels;

/// <summary>VPDPBUSD: four products of bytes into 32 bits at once, on top of the negated bias.</summary>
internal readonly unsafe struct BlockDotAvxVnni : IBlockDot256
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<int> Offset<TFormat>(Vector256<sbyte> activations)
        where TFormat : struct, IBlockFormat => TFormat.Bias == 0
            ? Vector256<int>.Zero
            : -AvxVnni.MultiplyWideningAndAdd(Vector256<int>.Zero, Vector256.Create((byte)TFormat.Bias), activations);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<int> Dot<TFormat>(byte* codes, Vector256<sbyte> activations, Vector256<int> offset, short* subScales)
        where TFormat : struct, IBlockFormat
    {
        Vector256<byte> code = Vector256.Load(codes);
        Vector256<int> sums = TFormat.IsSigned
            ? AvxVnni.MultiplyWideningAndAdd(offset, Avx2.Abs(code.AsSByte()), Avx2.Sign(activations, code.AsSByte()))
            : AvxVnni.MultiplyWideningAndAdd(offset, code, activations);
        if (!TFormat.HasSubScales)
            return sums;

        // Every sub-scale stands eight times as 16 bits; four times as 32 bits is what the eight sums need.
        Vector128<short> low = Vector128.Load(subScales), high = Vector128.Load(subScales + 8);
        return sums * Avx2.ConvertToVector256Int32(Sse2.UnpackLow(low.AsInt64(), high.AsInt64()).AsInt16());
    }
}
