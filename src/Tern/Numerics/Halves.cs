using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Tern.Numerics;

/// <summary>
/// The two 16-bit floats of model files, held as their bits. .NET has no class for the F16C instructions, so conversions are integer
/// arithmetic that vectorises at every width.
/// <code>
///            15 14      10 9         0            15 14       7 6     0
///   fp16     [s][exponent ][ fraction ]    bf16   [s][ exponent][fract.]   (bf16 is the upper half of a float32)
///               bias 15                               bias 127
/// </code>
/// </summary>
internal static class Halves
{
    private const uint Fraction16To32 = 13;
    private const uint RebiasNormal = (127 - 15) << 23;
    private const uint SmallestNormal16 = (127 - 14) << 23;
    private const uint FirstNormal = 1u << 23;
    private const uint FirstInfinite = 31u << 23;
    private const uint QuietBit = 1u << 22;

    /// <summary>fp16 to float32, exact; NaNs keep sign and payload and become quiet.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float ToSingle(ushort bits)
    {
        uint sign = (uint)(bits & 0x8000) << 16;
        uint magnitude = (uint)(bits & 0x7FFF) << (int)Fraction16To32;
        if (magnitude - FirstNormal < FirstInfinite - FirstNormal)
            return BitConverter.UInt32BitsToSingle(sign | (magnitude + RebiasNormal));

        if (magnitude < FirstNormal)
        {
            // 2^-14 (1 + f/1024) - 2^-14 is the subnormal f/1024 2^-14, exactly.
            float subnormal = BitConverter.UInt32BitsToSingle(magnitude + SmallestNormal16) - BitConverter.UInt32BitsToSingle(SmallestNormal16);
            return BitConverter.UInt32BitsToSingle(sign | BitConverter.SingleToUInt32Bits(subnormal));
        }

        uint quiet = magnitude > FirstInfinite ? QuietBit : 0;
        return BitConverter.UInt32BitsToSingle(sign | (magnitude + (2 * RebiasNormal)) | quiet);
    }

    /// <summary>Four fp16 bit patterns, zero-extended, to float32: <see cref="ToSingle(ushort)"/> in every lane.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> ToSingle(Vector128<uint> bits)
    {
        Vector128<uint> sign = (bits & Vector128.Create(0x8000u)) << 16;
        Vector128<uint> magnitude = (bits & Vector128.Create(0x7FFFu)) << (int)Fraction16To32;
        Vector128<uint> infinite = ~Vector128.LessThan(magnitude.AsInt32(), Vector128.Create((int)FirstInfinite)).AsUInt32();
        Vector128<uint> nan = Vector128.GreaterThan(magnitude.AsInt32(), Vector128.Create((int)FirstInfinite)).AsUInt32();
        Vector128<uint> normal = magnitude + Vector128.Create(RebiasNormal) + (infinite & Vector128.Create(RebiasNormal));
        Vector128<uint> offset = Vector128.Create(SmallestNormal16);
        Vector128<uint> subnormal = ((magnitude + offset).AsSingle() - offset.AsSingle()).AsUInt32();
        Vector128<uint> isSubnormal = Vector128.LessThan(magnitude.AsInt32(), Vector128.Create((int)FirstNormal)).AsUInt32();
        return (Vector128.ConditionalSelect(isSubnormal, subnormal, normal) | (nan & Vector128.Create(QuietBit)) | sign).AsSingle();
    }

    /// <summary>Eight fp16 bit patterns, zero-extended, to float32: <see cref="ToSingle(ushort)"/> in every lane.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> ToSingle(Vector256<uint> bits)
    {
        Vector256<uint> sign = (bits & Vector256.Create(0x8000u)) << 16;
        Vector256<uint> magnitude = (bits & Vector256.Create(0x7FFFu)) << (int)Fraction16To32;
        Vector256<uint> infinite = ~Vector256.LessThan(magnitude.AsInt32(), Vector256.Create((int)FirstInfinite)).AsUInt32();
        Vector256<uint> nan = Vector256.GreaterThan(magnitude.AsInt32(), Vector256.Create((int)FirstInfinite)).AsUInt32();
        Vector256<uint> normal = magnitude + Vector256.Create(RebiasNormal) + (infinite & Vector256.Create(RebiasNormal));
        Vector256<uint> offset = Vector256.Create(SmallestNormal16);
        Vector256<uint> subnormal = ((magnitude + offset).AsSingle() - offset.AsSingle()).AsUInt32();
        Vector256<uint> isSubnormal = Vector256.LessThan(magnitude.AsInt32(), Vector256.Create((int)FirstNormal)).AsUInt32();
        return (Vector256.ConditionalSelect(isSubnormal, subnormal, normal) | (nan & Vector256.Create(QuietBit)) | sign).AsSingle();
    }

    /// <summary>Sixteen fp16 bit patterns, zero-extended, to float32: <see cref="ToSingle(ushort)"/> in every lane.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> ToSingle(Vector512<uint> bits)
    {
        Vector512<uint> sign = (bits & Vector512.Create(0x8000u)) << 16;
        Vector512<uint> magnitude = (bits & Vector512.Create(0x7FFFu)) << (int)Fraction16To32;
        Vector512<uint> infinite = ~Vector512.LessThan(magnitude.AsInt32(), Vector512.Create((int)FirstInfinite)).AsUInt32();
        Vector512<uint> nan = Vector512.GreaterThan(magnitude.AsInt32(), Vector512.Create((int)FirstInfinite)).AsUInt32();
        Vector512<uint> normal = magnitude + Vector512.Create(RebiasNormal) + (infinite & Vector512.Create(RebiasNormal));
        Vector512<uint> offset = Vector512.Create(SmallestNormal16);
        Vector512<uint> subnormal = ((magnitude + offset).AsSingle() - offset.AsSingle()).AsUInt32();
        Vector512<uint> isSubnormal = Vector512.LessThan(magnitude.AsInt32(), Vector512.Create((int)FirstNormal)).AsUInt32();
        return (Vector512.ConditionalSelect(isSubnormal, subnormal, normal) | (nan & Vector512.Create(QuietBit)) | sign).AsSingle();
    }

    /// <summary>fp16 to float32 for a run of numbers.</summary>
    /// <param name="bits">fp16 patterns.</param>
    /// <param name="destination">At least as long as <paramref name="bits"/>.</param>
    public static void ToSingles(ReadOnlySpan<ushort> bits, Span<float> destination)
    {
        destination = destination[..bits.Length];
        int i = 0;
        if (Vector512.IsHardwareAccelerated)
        {
            for (; i <= bits.Length - 16; i += 16)
            {
                (Vector256<uint> low, Vector256<uint> high) = Vector256.Widen(Vector256.Create(bits[i..]));
                ToSingle(Vector512.Create(low, high)).CopyTo(destination[i..]);
            }
        }

        for (; i <= bits.Length - 8; i += 8)
        {
            (Vector128<uint> low, Vector128<uint> high) = Vector128.Widen(Vector128.Create(bits[i..]));
            ToSingle(low).CopyTo(destination[i..]);
            ToSingle(high).CopyTo(destination[(i + 4)..]);
        }

        for (; i < bits.Length; i++)
            destination[i] = ToSingle(bits[i]);
    }

    /// <summary>float32 to the nearest fp16, halves to even; too large becomes infinite, NaN stays NaN.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ushort FromSingle(float value) => (ushort)FromSingle(Vector128.CreateScalarUnsafe(value)).ToScalar();

    /// <summary>Four float32 to the nearest fp16, halves to even, each in the low half of its lane.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<uint> FromSingle(Vector128<float> values)
    {
        Vector128<uint> bits = values.AsUInt32();
        Vector128<uint> sign = bits & Vector128.Create(0x8000_0000u);
        Vector128<uint> magnitude = bits ^ sign;

        // Half a unit of the last kept place, less one when that place is even, carries exactly when the value rounds up.
        Vector128<uint> odd = (magnitude >> (int)Fraction16To32) & Vector128<uint>.One;
        Vector128<uint> normal = (magnitude - Vector128.Create(RebiasNormal) + Vector128.Create(0xFFFu) + odd) >> (int)Fraction16To32;

        // Adding 1/2 leaves units of 2^-24, those of fp16's subnormals: the adder does the rounding.
        Vector128<uint> subnormal = (magnitude.AsSingle() + Vector128.Create(0.5f)).AsUInt32() - Vector128.Create(0x3F00_0000u);
        Vector128<uint> isSubnormal = Vector128.LessThan(magnitude.AsInt32(), Vector128.Create((int)SmallestNormal16)).AsUInt32();
        Vector128<uint> isLarge = Vector128.GreaterThan(magnitude.AsInt32(), Vector128.Create(0x477F_FFFF)).AsUInt32();
        Vector128<uint> isNan = Vector128.GreaterThan(magnitude.AsInt32(), Vector128.Create(0x7F80_0000)).AsUInt32();
        Vector128<uint> payload = Vector128.Create(0x200u) | ((magnitude >> (int)Fraction16To32) & Vector128.Create(0x1FFu));
        Vector128<uint> large = Vector128.Create(0x7C00u) | (isNan & payload);
        Vector128<uint> result = Vector128.ConditionalSelect(isSubnormal, subnormal, Vector128.ConditionalSelect(isLarge, large, normal));
        return result | (sign >> 16);
    }

    /// <summary>float32 to the nearest fp16, halves to even, for a run of numbers.</summary>
    /// <param name="values">Any floats.</param>
    /// <param name="destination">At least as long as <paramref name="values"/>.</param>
    public static void FromSingles(ReadOnlySpan<float> values, Span<ushort> destination)
    {
        destination = destination[..values.Length];
        int i = 0;
        for (; i <= values.Length - 8; i += 8)
        {
            Vector128<uint> low = FromSingle(Vector128.Create(values[i..]));
            Vector128<uint> high = FromSingle(Vector128.Create(values[(i + 4)..]));
            Vector128.Narrow(low, high).CopyTo(destination[i..]);
        }

        for (; i < values.Length; i++)
            destination[i] = FromSingle(values[i]);
    }

    /// <summary>bf16 to float32, exact.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float BrainToSingle(ushort bits) => BitConverter.UInt32BitsToSingle((uint)bits << 16);

    /// <summary>bf16 to float32 for a run of numbers.</summary>
    /// <param name="bits">bf16 patterns.</param>
    /// <param name="destination">At least as long as <paramref name="bits"/>.</param>
    public static void BrainToSingles(ReadOnlySpan<ushort> bits, Span<float> destination)
    {
        destination = destination[..bits.Length];
        int i = 0;
        for (; i <= bits.Length - 8; i += 8)
        {
            (Vector128<uint> low, Vector128<uint> high) = Vector128.Widen(Vector128.Create(bits[i..]));
            (low << 16).AsSingle().CopyTo(destination[i..]);
            (high << 16).AsSingle().CopyTo(destination[(i + 4)..]);
        }

        for (; i < bits.Length; i++)
            destination[i] = BrainToSingle(bits[i]);
    }

    /// <summary>float32 to the nearest bf16, halves to even; NaN stays NaN.</summary>
    public static ushort BrainFromSingle(float value)
    {
        uint bits = BitConverter.SingleToUInt32Bits(value);
        return float.IsNaN(value) ? (ushort)((bits >> 16) | 0x40) : (ushort)((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16);
    }

    /// <summary>float32 to the nearest bf16, halves to even, for a run of numbers.</summary>
    /// <param name="values">Any floats.</param>
    /// <param name="destination">At least as long as <paramref name="values"/>.</param>
    public static void BrainFromSingles(ReadOnlySpan<float> values, Span<ushort> destination)
    {
        for (int i = 0; i < values.Length; i++)
            destination[i] = BrainFromSingle(values[i]);
    }

    /// <summary>The fp16 at a byte offset, little-endian.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Read(ReadOnlySpan<byte> bytes, int offset) => ToSingle(MemoryMarshal.Read<ushort>(bytes[offset..]));

    /// <summary>Writes the nearest fp16 at a byte offset, little-endian.</summary>
    public static void Write(Span<byte> bytes, int offset, float value) => MemoryMarshal.Write(bytes[offset..], FromSingle(value));

    /// <summary>Whether an fp16 pattern is infinite or NaN.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool IsNotFinite(ushort bits) => (bits & 0x7C00) == 0x7C00;
}
