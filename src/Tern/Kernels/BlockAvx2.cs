using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Tern.Kernels;

/// <summary>How 32 products are summed in fours: the only difference between AVX2 and AVX-VNNI.</summary>
internal unsafe interface IBlockDot256
{
    /// <summary>What the bias contributes to every row: a vector that <see cref="Dot"/> takes away again.</summary>
    static abstract Vector256<int> Offset<TFormat>(Vector256<sbyte> activations)
        where TFormat : struct, IBlockFormat;

    /// <summary>L[0..7] of one block of one row.</summary>
    static abstract Vector256<int> Dot<TFormat>(byte* codes, Vector256<sbyte> activations, Vector256<int> offset, short* subScales)
        where TFormat : struct, IBlockFormat;
}

/// <summary>
/// The matmul of blocks with 256-bit vectors: the sixteen lanes are two vectors per row, one for even and one for odd blocks.
/// </summary>
internal readonly unsafe struct BlockAvx2<TDot> : IBlockIsa
    where TDot : struct, IBlockDot256
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Unpack<TFormat>(byte* unit, byte* codes, short* subScales)
        where TFormat : struct, IBlockFormat => TFormat.Unpack256(unit, codes, subScales);

    public static void Accumulate<TFormat>(in BlockTile tile, int pairs, sbyte* activations, float* steps, float* lanes)
        where TFormat : struct, IBlockFormat
    {
        byte* codes = tile.Codes;
        float* scales = tile.Scales;
        short* subScales = tile.SubScales;
        Vector256<float> even0 = Vector256.Load(lanes), odd0 = Vector256.Load(lanes + 8);
        Vector256<float> even1 = Vector256.Load(lanes + 16), odd1 = Vector256.Load(lanes + 24);
        Vector256<float> even2 = Vector256.Load(lanes + 32), odd2 = Vector256.Load(lanes + 40);
        Vector256<float> even3 = Vector256.Load(lanes + 48), odd3 = Vector256.Load(lanes + 56);
        for (int pair = 0; pair < pairs; pair++)
        {
            Vector256<sbyte> x = Vector256.Load(activations);
            Vector256<int> offset = TDot.Offset<TFormat>(x);
            Vector256<float> scale = Vector256.Load(scales) * Vector256.Create(steps[0]);
            even0 = Add(TDot.Dot<TFormat>(codes, x, offset, subScales), Avx.Permute(scale, 0x00), even0);
            even1 = Add(TDot.Dot<TFormat>(codes + 64, x, offset, subScales + 32), Avx.Permute(scale, 0x55), even1);
            even2 = Add(TDot.Dot<TFormat>(codes + 128, x, offset, subScales + 64), Avx.Permute(scale, 0xAA), even2);
            even3 = Add(TDot.Dot<TFormat>(codes + 192, x, offset, subScales + 96), Avx.Permute(scale, 0xFF), even3);

            x = Vector256.Load(activations + 32);
            offset = TDot.Offset<TFormat>(x);
            scale = Vector256.Load(scales + 8) * Vector256.Create(steps[1]);
            odd0 = Add(TDot.Dot<TFormat>(codes + 32, x, offset, subScales + 16), Avx.Permute(scale, 0x00), odd0);
            odd1 = Add(TDot.Dot<TFormat>(codes + 96, x, offset, subScales + 48), Avx.Permute(scale, 0x55), odd1);
            odd2 = Add(TDot.Dot<TFormat>(codes + 160, x, offset, subScales + 80), Avx.Permute(scale, 0xAA), odd2);
            odd3 = Add(TDot.Dot<TFormat>(codes + 224, x, offset, subScales + 112), Avx.Permute(scale, 0xFF), odd3);

            codes += BlockTile.PairCodes;
            subScales += BlockTile.PairSubScales;
            scales += 16;
            activations += BlockTile.PairColumns;
            steps += 2;
        }

        even0.Store(lanes);
        odd0.Store(lanes + 8);
        even1.Store(lanes + 16);
        odd1.Store(lanes + 24);
        even2.Store(lanes + 32);
        odd2.Store(lanes + 40);
        even3.Store(lanes + 48);
        odd3.Store(lanes + 56);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<float> Add(Vector256<int> sums, Vector256<float> scale, Vector256<float> lanes) =>
        Fma.MultiplyAdd(Avx.ConvertToVector256Single(sums), scale, lanes);
}

/// <summary>
/// VPMADDUBSW and VPMADDWD. The 16-bit sums of two products cannot saturate: unsigned codes are at most 63 (2 · 63 · 127 = 16,002), and
/// signed ones are split into magnitude and sign (2 · 128 · 127 = 32,512), which needs activations other than -128: blockwise codes are.
/// </summary>
internal readonly unsafe struct BlockDotAvx2 : IBlockDot256
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<int> Offset<TFormat>(Vector256<sbyte> activations)
        where TFormat : struct, IBlockFormat => TFormat.Bias == 0
            ? default
            : Avx2.MultiplyAddAdjacent(Vector256.Create((byte)TFormat.Bias), activations).AsInt32();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<int> Dot<TFormat>(byte* codes, Vector256<sbyte> activations, Vector256<int> offset, short* subScales)
        where TFormat : struct, IBlockFormat
    {
        Vector256<byte> code = Vector256.Load(codes);
        Vector256<short> twos = TFormat.IsSigned
            ? Avx2.MultiplyAddAdjacent(Avx2.Abs(code.AsSByte()), Avx2.Sign(activations, code.AsSByte()))
            : Avx2.MultiplyAddAdjacent(code, activations);
        if (TFormat.Bias != 0)
            twos -= offset.AsInt16();
        return Avx2.MultiplyAddAdjacent(twos, TFormat.HasSubScales ? Vector256.Load(subScales) : Vector256<short>.One);
    }
}
