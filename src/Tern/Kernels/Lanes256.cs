using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Tern.Kernels;

/// <summary>Sixteen lanes in two 256-bit registers: AVX2 with FMA.</summary>
internal readonly unsafe struct Lanes256 : ILanes<Lanes256>
{
    private readonly Vector256<float> _lower;
    private readonly Vector256<float> _upper;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private Lanes256(Vector256<float> lower, Vector256<float> upper) => (_lower, _upper) = (lower, upper);

    public static bool IsWide => false;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes256 Broadcast(float value)
    {
        Vector256<float> all = Vector256.Create(value);
        return new(all, all);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes256 Load(float* source) => new(Vector256.Load(source), Vector256.Load(source + 8));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes256 LoadHalf(ushort* source) => new(
        FromHalf(Avx2.ConvertToVector256Int32(Vector128.Load((short*)source))),
        FromHalf(Avx2.ConvertToVector256Int32(Vector128.Load((short*)source + 8))));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes256 LoadBFloat(ushort* source) => new(
        (Avx2.ConvertToVector256Int32(Vector128.Load(source)) << 16).AsSingle(),
        (Avx2.ConvertToVector256Int32(Vector128.Load(source + 8)) << 16).AsSingle());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes256 LoadLowHalves(byte* words) =>
        new(PlacedHalf(Vector256.Load((int*)words) << 16), PlacedHalf(Vector256.Load((int*)words + 8) << 16));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes256 LoadHighHalves(byte* words) => new(PlacedHalf(Vector256.Load((int*)words)), PlacedHalf(Vector256.Load((int*)words + 8)));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes256 LoadBytes(byte* source) => new(
        Vector256.ConvertToSingle(Avx2.ConvertToVector256Int32((sbyte*)source)),
        Vector256.ConvertToSingle(Avx2.ConvertToVector256Int32((sbyte*)source + 8)));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes256 LoadLowNibbles(byte* source) =>
        new(OfNibbles(Avx2.ConvertToVector256Int32(source)), OfNibbles(Avx2.ConvertToVector256Int32(source + 8)));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes256 LoadHighNibbles(byte* source) =>
        new(OfNibbles(Avx2.ConvertToVector256Int32(source) >>> 4), OfNibbles(Avx2.ConvertToVector256Int32(source + 8) >>> 4));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes256 LoadDoubled(float* source)
    {
        Vector256<float> all = Vector256.Load(source);
        return new(
            Vector256.Shuffle(all, Vector256.Create(0, 0, 1, 1, 2, 2, 3, 3)),
            Vector256.Shuffle(all, Vector256.Create(4, 4, 5, 5, 6, 6, 7, 7)));
    }

    /// <summary>Sixteen integers as floats.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes256 FromIntegers(Vector256<int> lower, Vector256<int> upper) => new(Vector256.ConvertToSingle(lower), Vector256.ConvertToSingle(upper));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(Lanes256 value, float* destination)
    {
        value._lower.Store(destination);
        value._upper.Store(destination + 8);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes256 Add(Lanes256 left, Lanes256 right) => new(left._lower + right._lower, left._upper + right._upper);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes256 Subtract(Lanes256 left, Lanes256 right) => new(left._lower - right._lower, left._upper - right._upper);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes256 Multiply(Lanes256 left, Lanes256 right) => new(left._lower * right._lower, left._upper * right._upper);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes256 Divide(Lanes256 left, Lanes256 right) => new(left._lower / right._lower, left._upper / right._upper);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes256 Max(Lanes256 left, Lanes256 right) => new(Max(left._lower, right._lower), Max(left._upper, right._upper));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes256 Min(Lanes256 left, Lanes256 right) => new(Min(left._lower, right._lower), Min(left._upper, right._upper));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes256 FusedMultiplyAdd(Lanes256 left, Lanes256 right, Lanes256 addend) => new(
        Vector256.FusedMultiplyAdd(left._lower, right._lower, addend._lower),
        Vector256.FusedMultiplyAdd(left._upper, right._upper, addend._upper));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes256 SwapPairs(Lanes256 value)
    {
        Vector256<int> swapped = Vector256.Create(1, 0, 3, 2, 5, 4, 7, 6);
        return new(Vector256.Shuffle(value._lower, swapped), Vector256.Shuffle(value._upper, swapped));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes256 TimesPowerOfTwo(Lanes256 value, Lanes256 shifted) =>
        new(TimesPowerOfTwo(value._lower, shifted._lower), TimesPowerOfTwo(value._upper, shifted._upper));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float TreeSum(Lanes256 value) => TreeSum(value._lower + value._upper);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float TreeMax(Lanes256 value) => TreeMax(value._lower, value._upper);

    /// <summary>The last three levels of the tree.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float TreeSum(Vector256<float> value) => Lanes128.TreeSum(value.GetLower() + value.GetUpper());

    /// <summary>All levels of the tree over the two halves of sixteen lanes.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float TreeMax(Vector256<float> lower, Vector256<float> upper)
    {
        Vector256<float> eight = Max(lower, upper);
        return Lanes128.TreeMax(Lanes128.Max(eight.GetLower(), eight.GetUpper()));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<float> Max(Vector256<float> left, Vector256<float> right) =>
        Vector256.ConditionalSelect(Vector256.GreaterThan(left, right), left, right);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<float> Min(Vector256<float> left, Vector256<float> right) =>
        Vector256.ConditionalSelect(Vector256.LessThan(left, right), left, right);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<float> FromHalf(Vector256<int> half)
    {
        Vector256<int> bits = half << Lanes.HalfShift;
        Vector256<float> shifted = (bits | Vector256.Create(Lanes.HalfExponentOffset)).AsSingle();
        Vector256<float> offset = ((bits & Vector256.Create(Lanes.SignMask)) ^ Vector256.Create(Lanes.HalfSubnormalOffset)).AsSingle();
        Vector256<float> subnormal = Vector256.FusedMultiplyAdd(shifted, Vector256.Create(Lanes.HalfSubnormalScale), offset);
        Vector256<float> normal = shifted * Vector256.Create(Lanes.HalfNormalScale);
        return Vector256.Min(subnormal.AsUInt32(), normal.AsUInt32()).AsSingle();
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<float> TimesPowerOfTwo(Vector256<float> value, Vector256<float> shifted)
    {
        Vector256<int> power = shifted.AsInt32() - Vector256.Create(Lanes.RoundShiftBits);
        Vector256<int> half = power >> 1;
        Vector256<int> bias = Vector256.Create(127);
        return value * ((half + bias) << 23).AsSingle() * ((power - half + bias) << 23).AsSingle();
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<float> PlacedHalf(Vector256<int> upper) =>
        ((upper >> Lanes.HalfPlaceShift) & Vector256.Create(Lanes.HalfPlaceMask)).AsSingle() * Vector256.Create(Lanes.HalfPlaceScale);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<float> OfNibbles(Vector256<int> codes) =>
        Vector256.ConvertToSingle((codes & Vector256.Create(15)) - Vector256.Create(Lanes.NibbleZero));
}
