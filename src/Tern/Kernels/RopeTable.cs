namespace Tern.Kernels;

/// <summary>The cosines and sines of rotary position embedding, computed in double so that large positions keep all bits of a float.</summary>
internal static unsafe class RopeTable
{
    /// <summary>Writes [pairs] cosines, then [pairs] sines of position · frequency, times <paramref name="magnitude"/>.</summary>
    /// <param name="frequencies">[pairs] radians per position.</param>
    /// <param name="magnitude">1, or the attention factor of a long-context scaling.</param>
    /// <param name="position">Not negative.</param>
    /// <param name="cosSin">[2 · pairs].</param>
    public static void Fill(ReadOnlySpan<double> frequencies, double magnitude, int position, float* cosSin)
    {
        int pairs = frequencies.Length;
        for (int i = 0; i < pairs; i++)
        {
            (double sin, double cos) = PortableMath.SinCos(position * frequencies[i]);
            cosSin[i] = (float)(cos * magnitude);
            cosSin[pairs + i] = (float)(sin * magnitude);
        }
    }
}
