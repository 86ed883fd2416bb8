using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.Arm;

namespace Tern.Kernels;

/// <summary>How signed bytes are multiplied and summed with 128-bit vectors.</summary>
internal interface IBlockDot128
{
    /// <summary>start[i] + Σ of left · right over bytes 4i … 4i+3; no product exceeds 128 · 127.</summary>
    static abstract Vector128<int> Dot(Vector128<int> start, Vector128<sbyte> left, Vector128<sbyte> right);

    /// <summary>The sums of four vectors, as one vector.</summary>
    static abstract Vector128<int> Sum4(Vector128<int> a, Vector128<int> b, Vector128<int> c, Vector128<int> d);
}

/// <summary>SDOT, of processors since about 2018.</summary>
internal readonly struct BlockDotArm : IBlockDot128
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<int> Dot(Vector128<int> start, Vector128<sbyte> left, Vector128<sbyte> right) => Dp.DotProduct(start, left, right);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<int> Sum4(Vector128<int> a, Vector128<int> b, Vector128<int> c, Vector128<int> d) => BlockDotNeon.Sum4(a, b, c, d);
}

/// <summary>Products of 16 bits, added in pairs twice: every 64-bit ARM processor has these.</summary>
internal readonly struct BlockDotNeon : IBlockDot128
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<int> Dot(Vector128<int> start, Vector128<sbyte> left, Vector128<sbyte> right)
    {
        Vector128<short> low = AdvSimd.MultiplyWideningLower(left.GetLower(), right.GetLower());
        Vector128<short> high = AdvSimd.MultiplyWideningUpper(left, right);
        return start + AdvSimd.Arm64.AddPairwise(AdvSimd.AddPairwiseWidening(low), AdvSimd.AddPairwiseWidening(high));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<int> Sum4(Vector128<int> a, Vector128<int> b, Vector128<int> c, Vector128<int> d) =>
        AdvSimd.Arm64.AddPairwise(AdvSimd.Arm64.AddPairwise(a, b), AdvSimd.Arm64.AddPairwise(c, d));
}
