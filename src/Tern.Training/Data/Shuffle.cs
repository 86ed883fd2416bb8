using Tern.Generation.Sampling;

namespace Tern.Training.Data;

/// <summary>The shuffle of Fisher and Yates with our own random numbers, so that a seed means one order on every machine.</summary>
internal static class Shuffle
{
    /// <summary>Shuffles in place.</summary>
    public static void Apply(Span<int> items, SeededRandom random)
    {
        for (int i = items.Length - 1; i > 0; i--)
        {
            int other = Below(random, i + 1);
            (items[i], items[other]) = (items[other], items[i]);
        }
    }

    /// <summary>Uniform in [0, count).</summary>
    public static int Below(SeededRandom random, int count) => (int)(random.NextDouble() * count);
}
