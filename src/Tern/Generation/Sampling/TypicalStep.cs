using Tern.Kernels;

namespace Tern.Generation.Sampling;

/// <summary>
/// Locally typical sampling (Meister et al. 2022): keeps the tokens whose surprise −ln p is nearest to the expected surprise (the
/// entropy), until their total probability exceeds p. A token far more likely than typical is dropped like one far less likely.
/// </summary>
internal sealed class TypicalStep(float p, int vocabularySize) : SamplerStep
{
    private readonly ulong[] _keys = new ulong[vocabularySize]; // [vocabulary], bits of the distance << 32 | id

    public static TypicalStep? From(GenerationOptions options, int vocabularySize) =>
        options.TypicalP < 1 ? new(options.TypicalP, vocabularySize) : null;

    public override void Apply(Candidates candidates, ReadOnlySpan<int> history)
    {
        if (p >= 1)
            return;

        candidates.Softmax();
        double entropy = candidates.Entropy();
        Span<Candidate> items = candidates.Items;
        Span<ulong> keys = _keys.AsSpan(0, items.Length);
        for (int i = 0; i < items.Length; i++)
        {
            // The bits of a float that is not negative order like the float; the id makes the order total.
            float distance = items[i].Probability > 0
                ? (float)Math.Abs(-PortableMath.Log(items[i].Probability) - entropy)
                : float.PositiveInfinity;
            keys[i] = (ulong)BitConverter.SingleToUInt32Bits(distance) << 32 | (uint)items[i].Id;
        }

        candidates.SortBy(keys);
        double total = 0;
        int kept = 0;
        while (kept < candidates.Count && total <= p)
            total += candidates.Items[kept++].Probability;
        candidates.Keep(0, kept);
    }
}
