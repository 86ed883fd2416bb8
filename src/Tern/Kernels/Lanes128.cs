using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Tern.Kernels;

/// <summary>Sixteen lanes in four 128-bit registers through the portable vector API: ARM AdvSimd, and correct (if slow) anywhere else.</summary>
internal readonly unsafe struct Lanes128 : ILanes<Lanes128>
{
    private readonly Vector128<float> _a; // lanes 0..3
    private readonly Vector128<float> _b; // lanes 4..7
    private readonly Vector128<float> _c; // lanes 8..11
    private readonly Vector128<float> _d; // lanes 12..15

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private Lanes128(Vector128<float> a, Vector128<float> b, Vector128<float> c, Vector128<float> d) => (_a, _b, _c, _d) = (a, b, c, d);

    public static bool IsWide => false;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes128 Broadcast(float value)
    {
        Vector128<float> all = Vector128.Create(value);
        return new(all, all, all, all);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes128 Load(float* source) =>
        new(Vector128.Load(source), Vector128.Load(source + 4), Vector128.Load(source + 8), Vector128.Load(source + 12));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes128 LoadHalf(ushort* source)
    {
        (Vector128<int> a, Vector128<int> b) = Vector128.Widen(Vector128.Load((short*)source));
        (Vector128<int> c, Vector128<int> d) = Vector128.Widen(Vector128.Load((short*)source + 8));
        return new(FromHalf(a), FromHalf(b), FromHalf(c), FromHalf(d));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes128 LoadBFloat(ushort* source)
    {
        (Vector128<uint> a, Vector128<uint> b) = Vector128.Widen(Vector128.Load(source));
        (Vector128<uint> c, Vector128<uint> d) = Vector128.Widen(Vector128.Load(source + 8));
        return new((a << 16).AsSingle(), (b << 16).AsSingle(), (c << 16).AsSingle(), (d << 16).AsSingle());
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes128 LoadLowHalves(byte* words)
    {
        int* at = (int*)words;
        return new(
            PlacedHalf(Vector128.Load(at) << 16), PlacedHalf(Vector128.Load(at + 4) << 16),
            PlacedHalf(Vector128.Load(at + 8) << 16), PlacedHalf(Vector128.Load(at + 12) << 16));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes128 LoadHighHalves(byte* words)
    {
        int* at = (int*)words;
        return new(
            PlacedHalf(Vector128.Load(at)), PlacedHalf(Vector128.Load(at + 4)),
            PlacedHalf(Vector128.Load(at + 8)), PlacedHalf(Vector128.Load(at + 12)));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes128 LoadBytes(byte* source)
    {
        (Vector128<short> lower, Vector128<short> upper) = Vector128.Widen(Vector128.Load((sbyte*)source));
        return OfShorts(lower, upper);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes128 LoadLowNibbles(byte* source) => OfNibbles(Vector128.Load(source) & Vector128.Create((byte)15));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes128 LoadHighNibbles(byte* source) => OfNibbles(Vector128.Load(source) >>> 4);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes128 LoadDoubled(float* source)
    {
        Vector128<float> first = Vector128.Load(source);
        Vector128<float> second = Vector128.Load(source + 4);
        Vector128<int> lower = Vector128.Create(0, 0, 1, 1);
        Vector128<int> upper = Vector128.Create(2, 2, 3, 3);
        return new(
            Vector128.Shuffle(first, lower), Vector128.Shuffle(first, upper),
            Vector128.Shuffle(second, lower), Vector128.Shuffle(second, upper));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(Lanes128 value, float* destination)
    {
        value._a.Store(destination);
        value._b.Store(destination + 4);
        value._c.Store(destination + 8);
        value._d.Store(destination + 12);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes128 Add(Lanes128 left, Lanes128 right) =>
        new(left._a + right._a, left._b + right._b, left._c + right._c, left._d + right._d);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes128 Subtract(Lanes128 left, Lanes128 right) =>
        new(left._a - right._a, left._b - right._b, left._c - right._c, left._d - right._d);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes128 Multiply(Lanes128 left, Lanes128 right) =>
        new(left._a * right._a, left._b * right._b, left._c * right._c, left._d * right._d);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes128 Divide(Lanes128 left, Lanes128 right) =>
        new(left._a / right._a, left._b / right._b, left._c / right._c, left._d / right._d);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes128 Max(Lanes128 left, Lanes128 right) =>
        new(Max(left._a, right._a), Max(left._b, right._b), Max(left._c, right._c), Max(left._d, right._d));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes128 Min(Lanes128 left, Lanes128 right) =>
        new(Min(left._a, right._a), Min(left._b, right._b), Min(left._c, right._c), Min(left._d, right._d));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes128 FusedMultiplyAdd(Lanes128 left, Lanes128 right, Lanes128 addend) => new(
        Vector128.FusedMultiplyAdd(left._a, right._a, addend._a),
        Vector128.FusedMultiplyAdd(left._b, right._b, addend._b),
        Vector128.FusedMultiplyAdd(left._c, right._c, addend._c),
        Vector128.FusedMultiplyAdd(left._d, right._d, addend._d));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes128 SwapPairs(Lanes128 value)
    {
        Vector128<int> swapped = Vector128.Create(1, 0, 3, 2);
        return new(
            Vector128.Shuffle(value._a, swapped), Vector128.Shuffle(value._b, swapped),
            Vector128.Shuffle(value._c, swapped), Vector128.Shuffle(value._d, swapped));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes128 TimesPowerOfTwo(Lanes128 value, Lanes128 shifted) => new(
        TimesPowerOfTwo(value._a, shifted._a), TimesPowerOfTwo(value._b, shifted._b),
        TimesPowerOfTwo(value._c, shifted._c), TimesPowerOfTwo(value._d, shifted._d));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float TreeSum(Lanes128 value) => TreeSum(value._a + value._c + (value._b + value._d));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float TreeMax(Lanes128 value) => TreeMax(Max(Max(value._a, value._c), Max(value._b, value._d)));

    /// <summary>The last two levels of the tree.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float TreeSum(Vector128<float> value)
    {
        Vector128<float> two = value + Vector128.Shuffle(value, Vector128.Create(2, 3, 0, 1));
        return two.ToScalar() + two.GetElement(1);
    }

    /// <summary>The last two levels of the tree.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float TreeMax(Vector128<float> value)
    {
        Vector128<float> two = Max(value, Vector128.Shuffle(value, Vector128.Create(2, 3, 0, 1)));
        return two.ToScalar() > two.GetElement(1) ? two.ToScalar() : two.GetElement(1);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> Max(Vector128<float> left, Vector128<float> right) =>
        Vector128.ConditionalSelect(Vector128.GreaterThan(left, right), left, right);

    /// <summary>Eight floats to binary16, half to even: the same bits as <see cref="LanesScalar.ToHalf"/>.</summary>
    public static void ToHalf(float* source, ushort* destination) =>
        Vector128.Narrow(ToHalf(Vector128.Load(source)), ToHalf(Vector128.Load(source + 4))).Store(destination);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<float> Min(Vector128<float> left, Vector128<float> right) =>
        Vector128.ConditionalSelect(Vector128.LessThan(left, right), left, right);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<float> FromHalf(Vector128<int> half)
    {
        Vector128<int> bits = half << Lanes.HalfShift;
        Vector128<float> shifted = (bits | Vector128.Create(Lanes.HalfExponentOffset)).AsSingle();
        Vector128<float> offset = ((bits & Vector128.Create(Lanes.SignMask)) ^ Vector128.Create(Lanes.HalfSubnormalOffset)).AsSingle();
        Vector128<float> subnormal = Vector128.FusedMultiplyAdd(shifted, Vector128.Create(Lanes.HalfSubnormalScale), offset);
        Vector128<float> normal = shifted * Vector128.Create(Lanes.HalfNormalScale);
        return Vector128.Min(subnormal.AsUInt32(), normal.AsUInt32()).AsSingle();
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<uint> ToHalf(Vector128<float> value)
    {
        Vector128<uint> sign = value.AsUInt32() & Vector128.Create(0x80000000u);
        Vector128<uint> magnitude = value.AsUInt32() ^ sign;

        // Normal: the exponent moves by 15 - 127, and 0xFFF plus the bit that stays last rounds half to even; a carry grows the exponent.
        Vector128<uint> last = (magnitude >> Lanes.HalfShift) & Vector128<uint>.One;
        Vector128<uint> normal = (magnitude + Vector128.Create(unchecked((uint)((15 - 127) << 23) + 0xFFF)) + last) >> Lanes.HalfShift;

        // Subnormal: adding 0.5, whose last bit is 2^-24, lets the float unit round.
        Vector128<uint> subnormal = (magnitude.AsSingle() + Vector128.Create(0.5f)).AsUInt32() - Vector128.Create(0x3F000000u);

        Vector128<uint> infinity = Vector128.Create(0x7C00u);
        Vector128<uint> nan = Vector128.Create(0x7E00u);
        Vector128<uint> half = Vector128.ConditionalSelect(Vector128.LessThan(magnitude, Vector128.Create(113u << 23)), subnormal, normal);
        half = Vector128.ConditionalSelect(Vector128.GreaterThanOrEqual(magnitude, Vector128.Create(143u << 23)), infinity, half);
        half = Vector128.ConditionalSelect(Vector128.GreaterThan(magnitude, Vector128.Create(255u << 23)), nan, half);
        return half | (sign >> 16);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<float> TimesPowerOfTwo(Vector128<float> value, Vector128<float> shifted)
    {
        Vector128<int> power = shifted.AsInt32() - Vector128.Create(Lanes.RoundShiftBits);
        Vector128<int> half = power >> 1;
        Vector128<int> bias = Vector128.Create(127);
        return value * ((half + bias) << 23).AsSingle() * ((power - half + bias) << 23).AsSingle();
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<float> PlacedHalf(Vector128<int> upper) =>
        ((upper >> Lanes.HalfPlaceShift) & Vector128.Create(Lanes.HalfPlaceMask)).AsSingle() * Vector128.Create(Lanes.HalfPlaceScale);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Lanes128 OfNibbles(Vector128<byte> codes)
    {
        (Vector128<ushort> lower, Vector128<ushort> upper) = Vector128.Widen(codes);
        Vector128<short> zero = Vector128.Create((short)Lanes.NibbleZero);
        return OfShorts(lower.AsInt16() - zero, upper.AsInt16() - zero);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Lanes128 OfShorts(Vector128<short> lower, Vector128<short> upper)
    {
        (Vector128<int> a, Vector128<int> b) = Vector128.Widen(lower);
        (Vector128<int> c, Vector128<int> d) = Vector128.Widen(upper);
        return new(Vector128.ConvertToSingle(a), Vector128.ConvertToSingle(b), Vector128.ConvertToSingle(c), Vector128.ConvertToSingle(d));
    }
}
