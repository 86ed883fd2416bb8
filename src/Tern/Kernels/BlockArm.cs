using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.Arm;

namespace Tern.Kernels;

/// <summary>How sixteen products of signed bytes are summed in fours.</summary>
internal interface IBlockDot128
{
    /// <summary>start[i] + Σ of left · right over bytes 4i … 4i+3; no product exceeds 128 · 127.</summary>
    static abstract Vector128<int> Dot(Vector128<int> start, Vector128<sbyte> left, Vector128<sbyte> right);
}

/// <summary>The matmul of blocks with 128-bit vectors: the sixteen lanes of a row are four vectors, taken one after another.</summary>
internal readonly unsafe struct Block128<TDot> : IBlockIsa
    where TDot : struct, IBlockDot128
{
    private const int Quarters = 4, QuarterColumns = 16;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Unpack<TFormat>(byte* unit, byte* codes, short* subScales)
        where TFormat : struct, IBlockFormat => TFormat.Unpack128(unit, codes, subScales);

    public static void Accumulate<TFormat>(in BlockTile tile, int pairs, sbyte* activations, float* steps, float* lanes)
        where TFormat : struct, IBlockFormat
    {
        for (int quarter = 0; quarter < Quarters; quarter++)
        {
            byte* codes = tile.Codes + (quarter * QuarterColumns);
            short* subScales = tile.SubScales + (quarter * QuarterColumns / 2);
            float* scales = tile.Scales + (quarter * 4), accumulators = lanes + (quarter * 4);
            sbyte* x = activations + (quarter * QuarterColumns);
            Vector128<float> lanes0 = Vector128.Load(accumulators), lanes1 = Vector128.Load(accumulators + 16);
            Vector128<float> lanes2 = Vector128.Load(accumulators + 32), lanes3 = Vector128.Load(accumulators + 48);
            for (int pair = 0; pair < pairs; pair++)
            {
                Vector128<sbyte> sixteen = Vector128.Load(x);
                Vector128<int> start = TFormat.Bias == 0
                    ? Vector128<int>.Zero
                    : TDot.Dot(Vector128<int>.Zero, Vector128.Create((sbyte)-TFormat.Bias), sixteen);
                Vector128<float> scale = Vector128.Load(scales) * Vector128.Create(steps[(2 * pair) + (quarter / 2)]);
                lanes0 = Add<TFormat>(start, codes, sixteen, subScales, scale[0], lanes0);
                lanes1 = Add<TFormat>(start, codes + 64, sixteen, subScales + 32, scale[1], lanes1);
                lanes2 = Add<TFormat>(start, codes + 128, sixteen, subScales + 64, scale[2], lanes2);
                lanes3 = Add<TFormat>(start, codes + 192, sixteen, subScales + 96, scale[3], lanes3);

                codes += BlockTile.PairCodes;
                subScales += BlockTile.PairSubScales;
                scales += 16;
                x += BlockTile.PairColumns;
            }

            lanes0.Store(accumulators);
            lanes1.Store(accumulators + 16);
            lanes2.Store(accumulators + 32);
            lanes3.Store(accumulators + 48);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<float> Add<TFormat>(
        Vector128<int> start, byte* codes, Vector128<sbyte> activations, short* subScales, float scale, Vector128<float> lanes)
        where TFormat : struct, IBlockFormat
    {
        Vector128<int> sums = TDot.Dot(start, Vector128.Load(codes).AsSByte(), activations);
        if (TFormat.HasSubScales)
            sums *= Vector128.Create((int)*subScales);
        return Vector128.FusedMultiplyAdd(Vector128.ConvertToSingle(sums), Vector128.Create(scale), lanes);
    }
}

/// <summary>SDOT, of processors since about 2018.</summary>
internal readonly struct BlockDotArm : IBlockDot128
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<int> Dot(Vector128<int> start, Vector128<sbyte> left, Vector128<sbyte> right) => Dp.DotProduct(start, left, right);
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
}
