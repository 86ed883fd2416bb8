using System.Runtime.CompilerServices;

namespace Tern.Kernels;

/// <summary>The definition of <see cref="ILanes{TSelf}"/>: a plain loop over sixteen floats. Runs everywhere.</summary>
[InlineArray(Lanes.Count)]
internal unsafe struct LanesScalar : ILanes<LanesScalar>
{
    private float _lane;

    public static bool IsWide => false;

    public static LanesScalar Broadcast(float value)
    {
        LanesScalar result = default;
        for (int i = 0; i < Lanes.Count; i++)
            result[i] = value;
        return result;
    }

    public static LanesScalar Load(float* source)
    {
        LanesScalar result = default;
        for (int i = 0; i < Lanes.Count; i++)
            result[i] = source[i];
        return result;
    }

    public static LanesScalar LoadHalf(ushort* source)
    {
        LanesScalar result = default;
        for (int i = 0; i < Lanes.Count; i++)
            result[i] = (float)BitConverter.UInt16BitsToHalf(source[i]) + 0f;
        return result;
    }

    public static LanesScalar LoadBFloat(ushort* source)
    {
        LanesScalar result = default;
        for (int i = 0; i < Lanes.Count; i++)
            result[i] = BitConverter.Int32BitsToSingle(source[i] << 16);
        return result;
    }

    public static LanesScalar LoadLowHalves(byte* words)
    {
        LanesScalar result = default;
        for (int i = 0; i < Lanes.Count; i++)
            result[i] = WideHalf(((ushort*)words)[2 * i]);
        return result;
    }

    public static LanesScalar LoadHighHalves(byte* words)
    {
        LanesScalar result = default;
        for (int i = 0; i < Lanes.Count; i++)
            result[i] = WideHalf(((ushort*)words)[(2 * i) + 1]);
        return result;
    }

    public static LanesScalar LoadBytes(byte* source)
    {
        LanesScalar result = default;
        for (int i = 0; i < Lanes.Count; i++)
            result[i] = (sbyte)source[i];
        return result;
    }

    public static LanesScalar LoadLowNibbles(byte* source)
    {
        LanesScalar result = default;
        for (int i = 0; i < Lanes.Count; i++)
            result[i] = (source[i] & 15) - Lanes.NibbleZero;
        return result;
    }

    public static LanesScalar LoadHighNibbles(byte* source)
    {
        LanesScalar result = default;
        for (int i = 0; i < Lanes.Count; i++)
            result[i] = (source[i] >> 4) - Lanes.NibbleZero;
        return result;
    }

    public static LanesScalar LoadDoubled(float* source)
    {
        LanesScalar result = default;
        for (int i = 0; i < Lanes.Count; i++)
            result[i] = source[i / 2];
        return result;
    }

    public static void Store(LanesScalar value, float* destination)
    {
        for (int i = 0; i < Lanes.Count; i++)
            destination[i] = value[i];
    }

    public static LanesScalar Add(LanesScalar left, LanesScalar right)
    {
        LanesScalar result = default;
        for (int i = 0; i < Lanes.Count; i++)
            result[i] = left[i] + right[i];
        return result;
    }

    public static LanesScalar Subtract(LanesScalar left, LanesScalar right)
    {
        LanesScalar result = default;
        for (int i = 0; i < Lanes.Count; i++)
            result[i] = left[i] - right[i];
        return result;
    }

    public static LanesScalar Multiply(LanesScalar left, LanesScalar right)
    {
        LanesScalar result = default;
        for (int i = 0; i < Lanes.Count; i++)
            result[i] = left[i] * right[i];
        return result;
    }

    public static LanesScalar Divide(LanesScalar left, LanesScalar right)
    {
        LanesScalar result = default;
        for (int i = 0; i < Lanes.Count; i++)
            result[i] = left[i] / right[i];
        return result;
    }

    public static LanesScalar Max(LanesScalar left, LanesScalar right)
    {
        LanesScalar result = default;
        for (int i = 0; i < Lanes.Count; i++)
            result[i] = left[i] > right[i] ? left[i] : right[i];
        return result;
    }

    public static LanesScalar Min(LanesScalar left, LanesScalar right)
    {
        LanesScalar result = default;
        for (int i = 0; i < Lanes.Count; i++)
            result[i] = left[i] < right[i] ? left[i] : right[i];
        return result;
    }

    public static LanesScalar FusedMultiplyAdd(LanesScalar left, LanesScalar right, LanesScalar addend)
    {
        LanesScalar result = default;
        for (int i = 0; i < Lanes.Count; i++)
            result[i] = MathF.FusedMultiplyAdd(left[i], right[i], addend[i]);
        return result;
    }

    public static LanesScalar SwapPairs(LanesScalar value)
    {
        LanesScalar result = default;
        for (int i = 0; i < Lanes.Count; i++)
            result[i] = value[i ^ 1];
        return result;
    }

    public static LanesScalar TimesPowerOfTwo(LanesScalar value, LanesScalar shifted)
    {
        LanesScalar result = default;
        for (int i = 0; i < Lanes.Count; i++)
        {
            int power = BitConverter.SingleToInt32Bits(shifted[i]) - Lanes.RoundShiftBits;
            int half = power >> 1;
            result[i] = value[i]
                * BitConverter.Int32BitsToSingle((half + 127) << 23)
                * BitConverter.Int32BitsToSingle((power - half + 127) << 23);
        }

        return result;
    }

    public static float TreeSum(LanesScalar value)
    {
        for (int step = Lanes.Count / 2; step > 0; step /= 2)
            for (int i = 0; i < step; i++)
                value[i] += value[i + step];
        return value[0];
    }

    public static float TreeMax(LanesScalar value)
    {
        for (int step = Lanes.Count / 2; step > 0; step /= 2)
            for (int i = 0; i < step; i++)
                value[i] = value[i] > value[i + step] ? value[i] : value[i + step];
        return value[0];
    }

    /// <summary>A binary16 whose exponent 31 is an ordinary one.</summary>
    private static float WideHalf(ushort bits)
    {
        float magnitude = BitConverter.Int32BitsToSingle((bits & 0x7FFF) << Lanes.HalfShift) * Lanes.HalfPlaceScale;
        return (bits & 0x8000) == 0 ? magnitude : -magnitude;
    }

    /// <summary>A float rounded to binary16, half to even; every NaN becomes the quiet one with its sign.</summary>
    public static ushort ToHalf(float value) => float.IsNaN(value)
        ? (ushort)(((BitConverter.SingleToUInt32Bits(value) >> 16) & 0x8000) | 0x7E00)
        : BitConverter.HalfToUInt16Bits((Half)value);
}
