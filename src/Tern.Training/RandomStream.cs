using Tern.Kernels;

namespace Tern.Training;

/// <summary>
/// Random numbers whose whole state is one word: SplitMix64 (Steele, Lea, Flood 2014), and normal numbers by Box and Muller with functions that are the same on every machine.
/// </summary>
internal sealed class RandomStream(ulong state)
{
    private ulong _state = state;

    /// <summary>64 random bits.</summary>
    public ulong Next() => Mix(_state += 0x9E3779B97F4A7C15);

    /// <summary>A normal number of mean 0 and variance 1.</summary>
    public float NextNormal()
    {
        const double unit = 1.0 / (1L << 53);
        double radius = Math.Sqrt(-2 * PortableMath.Log(((Next() >> 11) + 1) * unit));
        return (float)(radius * PortableMath.SinCos(2 * Math.PI * (Next() >> 11) * unit).Cos);
    }

    /// <summary>A bijection of 64 bits without visible structure.</summary>
    public static ulong Mix(ulong z)
    {
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
        return z ^ (z >> 31);
    }
}
