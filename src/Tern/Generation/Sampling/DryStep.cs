using Tern.Kernels;
using Tern.Models;

namespace Tern.Generation.Sampling;

/// <summary>
/// DRY, "don't repeat yourself" (p-e-w 2024): a token that would continue a sequence that already stands in the text loses
/// <c>multiplier · base^(length − allowed)</c>, where length counts the tokens that are repeated so far. Breakers end a repeated sequence,
/// so that the structure of a chat or a list may recur.
/// <code>
/// history   … 7 8 9 4 … 7 8 9      the last three tokens stood there before, followed by 4:
///               └length┘ ↑ └length┘   4 loses multiplier · base^(3 − allowed)
/// </code>
/// </summary>
internal sealed class DryStep(float multiplier, float @base, int allowedLength, int lastCount, DryBreakers breakers) : SamplerStep
{
    /// <summary>ln of the largest float: beyond it the power would overflow.</summary>
    private const double LogMax = 88.7228391;

    private readonly int[] _matches = new int[lastCount]; // [lastCount], matches[i] = length of the repeat that ends i tokens before the end
    private readonly ulong[] _penalized = new ulong[lastCount]; // [lastCount], token << 32 | length
    private readonly double _exponentMax = @base > 1.000001f ? LogMax / PortableMath.Log(@base) : double.MaxValue;

    public static DryStep? From(GenerationOptions options, int contextLength, DryBreakers breakers)
    {
        int lastCount = options.DryPenaltyLastN < 0 ? contextLength : Math.Min(options.DryPenaltyLastN, contextLength);
        return options.DryMultiplier != 0 && lastCount > 0
            ? new(options.DryMultiplier, options.DryBase, options.DryAllowedLength, lastCount, breakers)
            : null;
    }

    public override void Apply(Candidates candidates, ReadOnlySpan<int> history)
    {
        ReadOnlySpan<ulong> penalized = Penalized(history);
        foreach (ulong repeat in penalized)
        {
            int index = candidates.IndexOf((int)(repeat >> 32));
            if (index < 0)
                continue;
            double exponent = Math.Min((int)(repeat & int.MaxValue) - allowedLength, _exponentMax);
            candidates.Items[index].Logit -= (float)(multiplier * PortableMath.Pow(@base, exponent));
        }

        if (penalized.Length > 0)
            candidates.LogitsChanged();
    }

    public override void AddTouched(ReadOnlySpan<int> history, LogitDemand demand)
    {
        foreach (ulong repeat in Penalized(history))
            demand.Force((int)(repeat >> 32));
    }

    /// <summary>The tokens that lose something, with the length of the longest repeat that each would continue: token &lt;&lt; 32 | length.</summary>
    private ReadOnlySpan<ulong> Penalized(ReadOnlySpan<int> history)
    {
        ReadOnlySpan<int> window = history[^Math.Min(lastCount, history.Length)..];
        int lengthMax = window.Length > allowedLength ? breakers.RepeatMax(window) : -1;
        if (lengthMax < allowedLength)
            return [];

        MatchSuffixes(window);
        int count = 0;
        for (int i = 1; i < window.Length; i++)
        {
            int length = Math.Min(_matches[i], lengthMax);
            if (length >= allowedLength)
                _penalized[count++] = (ulong)window[^i] << 32 | (uint)length;
        }

        // Sorted, the longest repeat that a token would continue is the last of its run.
        Span<ulong> repeats = _penalized.AsSpan(0, count);
        repeats.Sort();
        int kept = 0;
        for (int i = 0; i < count; i++)
        {
            int token = (int)(repeats[i] >> 32);
            bool isLast = i + 1 == count || (int)(repeats[i + 1] >> 32) != token;
            if (isLast && !breakers.IsBreaker(token))
                repeats[kept++] = repeats[i];
        }

        return repeats[..kept];
    }

    /// <summary>
    /// Fills <c>matches[i]</c>, 1 ≤ i &lt; length: how many tokens that end i before the end of the window equal its last tokens.
    /// The Z algorithm (Gusfield 1997) on the reversed window, so linear in its length.
    /// </summary>
    private void MatchSuffixes(ReadOnlySpan<int> window)
    {
        // [left, right) is the match that reaches furthest; inside it, lengths are known from its mirror image at the start.
        int left = 0, right = 0, last = window.Length - 1;
        for (int i = 1; i < window.Length; i++)
        {
            int length = i < right ? Math.Min(_matches[i - left], right - i) : 0;
            while (i + length <= last && window[last - length] == window[last - i - length])
                length++;
            _matches[i] = length;
            if (i + length > right)
                (left, right) = (i, i + length);
        }
    }
}
