using System.Runtime.Intrinsics;

namespace Tern.Training.Optimization;

/// <summary>
/// Rounds floats to bfloat16 up or down at random, so that the mean is the float: the low 16 bits get a random number added and are cut off.
/// The random number is a hash of the place in the flat array and of the step, so it does not depend on who computes it.
/// </summary>
internal static class StochasticRounding
{
    /// <summary>Sixteen floats whose low 16 bits are zero.</summary>
    /// <param name="value">Sixteen floats; NaN and infinities stay what they are.</param>
    /// <param name="index">Place of the first one.</param>
    /// <param name="seed">Of the step.</param>
    public static Vector512<float> ToBFloat16(Vector512<float> value, uint index, uint seed)
    {
        // The mixing steps of MurmurHash3 (Appleby), 32 bits.
        Vector512<uint> hash = (Vector512.Create(index) + Vector512<uint>.Indices) ^ Vector512.Create(seed);
        hash = (hash ^ (hash >>> 16)) * 0x85EBCA6Bu;
        hash = (hash ^ (hash >>> 13)) * 0xC2B2AE35u;
        hash ^= hash >>> 16;
        Vector512<uint> bits = value.AsUInt32();
        Vector512<uint> rounded = (bits + (hash >>> 16)) & Vector512.Create(0xFFFF_0000u);
        Vector512<uint> isFinite = Vector512.LessThan(bits & Vector512.Create(0x7FFF_FFFFu), Vector512.Create(0x7F7F_0000u));
        return Vector512.ConditionalSelect(isFinite, rounded, bits).AsSingle();
    }
}
