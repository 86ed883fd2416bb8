using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Tern.Kernels;

/// <summary>The matmul of blocks with 512-bit vectors: the sixteen lanes of a row are one vector, a pair of blocks is one step.</summary>
internal readonly unsafe struct BlockAvx512 : IBlockIsa
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Unpack<TFormat>(byte* unit, byte* codes, short* subScales)
        where TFormat : struct, IBlockFormat => TFormat.Unpack512(unit, codes, subScales);

    public static void Accumulate<TFormat>(in BlockTile tile, int pairs, sbyte* activations, float* steps, float* lanes)
        where TFormat : struct, IBlockFormat
    {
        byte* codes = tile.Codes;
        float* scales = tile.Scales;
        short* subScales = tile.SubScales;
        Vector512<float> lanes0 = Vector512.Load(lanes), lanes1 = Vector512.Load(lanes + 16);
        Vector512<float> lanes2 = Vector512.Load(lanes + 32), lanes3 = Vector512.Load(lanes + 48);
        for (int pair = 0; pair < pairs; pair++)
        {
            Vector512<sbyte> x = Vector512.Load(activations);
            (Vector512<short> left, Vector512<short> right) = Prepare<TFormat>(x);
            Vector512<float> scale = Vector512.Load(scales) * Vector256.Create(steps[0]).ToVector512Unsafe().WithUpper(Vector256.Create(steps[1]));
            lanes0 = Add(Dot<TFormat>(codes, x, left, right, subScales), Avx512F.Permute4x32(scale, 0x00), lanes0);
            lanes1 = Add(Dot<TFormat>(codes + 64, x, left, right, subScales + 32), Avx512F.Permute4x32(scale, 0x55), lanes1);
            lanes2 = Add(Dot<TFormat>(codes + 128, x, left, right, subScales + 64), Avx512F.Permute4x32(scale, 0xAA), lanes2);
            lanes3 = Add(Dot<TFormat>(codes + 192, x, left, right, subScales + 96), Avx512F.Permute4x32(scale, 0xFF), lanes3);

            codes += BlockTile.PairCodes;
            subScales += BlockTile.PairSubScales;
            scales += 16;
            activations += BlockTile.PairColumns;
            steps += 2;
        }

        lanes0.Store(lanes);
        lanes1.Store(lanes + 16);
        lanes2.Store(lanes + 32);
        lanes3.Store(lanes + 48);
    }

    /// <summary>What all rows share: the bias' sums of two, or for signed codes the activations of even and of odd columns as 16 bits.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static (Vector512<short> Left, Vector512<short> Right) Prepare<TFormat>(Vector512<sbyte> activations)
        where TFormat : struct, IBlockFormat
    {
        if (TFormat.IsSigned)
            return Split(activations.AsInt16());
        return (TFormat.Bias == 0 ? default : Avx512BW.MultiplyAddAdjacent(Vector512.Create((byte)TFormat.Bias), activations), default);
    }

    /// <summary>
    /// L of a pair of blocks. Unsigned codes: VPMADDUBSW, whose 16 bits cannot saturate (see <see cref="BlockDotAvx2"/>). There is no VPSIGNB
    /// at 512 bits, so signed codes are multiplied as 16 bits, even and odd columns apart: both products land on lane column / 4.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<int> Dot<TFormat>(byte* codes, Vector512<sbyte> activations, Vector512<short> left, Vector512<short> right, short* subScales)
        where TFormat : struct, IBlockFormat
    {
        Vector512<byte> code = Vector512.Load(codes);
        if (TFormat.IsSigned)
        {
            (Vector512<short> even, Vector512<short> odd) = Split(code.AsInt16());
            return Avx512BW.MultiplyAddAdjacent(even, left) + Avx512BW.MultiplyAddAdjacent(odd, right);
        }

        Vector512<short> twos = Avx512BW.MultiplyAddAdjacent(code, activations);
        if (TFormat.Bias != 0)
            twos -= left;
        return Avx512BW.MultiplyAddAdjacent(twos, TFormat.HasSubScales ? Vector512.Load(subScales) : Vector512<short>.One);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static (Vector512<short> Even, Vector512<short> Odd) Split(Vector512<short> bytes) => ((bytes << 8) >> 8, bytes >> 8);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Add(Vector512<int> sums, Vector512<float> scale, Vector512<float> lanes) =>
        Avx512F.FusedMultiplyAdd(Avx512F.ConvertToVector512Single(sums), scale, lanes);
}
