using System.Text;
using Tern.Generation;
using Tern.Generation.Sampling;

namespace Tern.Tests.Generation;

/// <summary>What must hold of sampling for any logits.</summary>
public sealed class SamplerTests
{
    private const int Size = 500;
    private static readonly TokenTable s_vocabulary = new(Size, _ => default, _ => [], new HashSet<int>());

    public static TheoryData<int> Seeds => [.. Enumerable.Range(1, 20)];

    [Theory]
    [MemberData(nameof(Seeds))]
    public void Sorting_the_first_ones_is_sorting_all_and_taking_the_first(int seed)
    {
        float[] logits = Logits(seed, ties: true);
        int[] expected = [.. Enumerable.Range(0, Size).OrderByDescending(i => logits[i]).ThenBy(i => i)];
        var candidates = new Candidates(Size);
        candidates.Load(logits);
        Assert.Equal(expected[0], candidates.Items[candidates.MostLikely()].Id);
        foreach (int count in new[] { 1, 7, 40, 41, 499, 500, 1000 })
        {
            candidates.SortFirst(count);
            Assert.Equal(expected.Take(count), candidates.Items.ToArray().Take(count).Select(c => c.Id));
            Assert.Equal(Size, candidates.Items.ToArray().Select(c => c.Id).Distinct().Count());
        }
    }

    [Theory]
    [MemberData(nameof(Seeds))]
    public void Top_p_keeps_the_smallest_set_that_reaches_p(int seed)
    {
        float p = new Random(seed).NextSingle();
        Candidates candidates = Applied(Logits(seed), new TopPStep(p), out double[] probabilities);
        double[] kept = [.. candidates.Items.ToArray().Select(c => probabilities[c.Id])];
        Assert.True(kept.Sum() >= p - 1e-5);
        Assert.True(kept.Sum() - kept.Min() < p + 1e-5);
        Assert.True(kept.Min() >= probabilities.Except(kept).DefaultIfEmpty(0).Max());
    }

    [Theory]
    [MemberData(nameof(Seeds))]
    public void Min_p_keeps_exactly_what_reaches_the_share_of_the_largest(int seed)
    {
        float p = new Random(seed).NextSingle();
        Candidates candidates = Applied(Logits(seed), new MinPStep(p), out double[] probabilities);
        int[] kept = [.. candidates.Items.ToArray().Select(c => c.Id).Order()];
        double limit = p * probabilities.Max();
        Assert.Equal(Enumerable.Range(0, Size).Where(i => probabilities[i] >= limit), kept);
    }

    [Theory]
    [MemberData(nameof(Seeds))]
    public void Typical_keeps_the_tokens_of_least_distance(int seed)
    {
        Candidates candidates = Applied(Logits(seed), new TypicalStep(0.6f, Size), out double[] probabilities);
        double entropy = -probabilities.Sum(q => q > 0 ? q * Math.Log(q) : 0);
        double Distance(int id) => Math.Abs(-Math.Log(probabilities[id]) - entropy);
        int[] kept = [.. candidates.Items.ToArray().Select(c => c.Id)];
        Assert.True(kept.Sum(id => probabilities[id]) > 0.6 - 1e-5);
        Assert.True(kept.Max(Distance) <= Enumerable.Range(0, Size).Except(kept).Min(Distance) + 1e-4);
    }

    [Fact]
    public void Temperature_zero_takes_the_lowest_id_of_equals()
    {
        float[] logits = new float[Size];
        (logits[17], logits[30], logits[5]) = (2, 2, 1);
        var options = new GenerationOptions { Temperature = 0 };
        Assert.Equal(17, Sampler.From(options, 1, s_vocabulary, 100).Next(logits, [1], new Candidates(Size)));
        options = options with { LogitBias = new Dictionary<int, float> { [17] = float.NegativeInfinity } };
        Assert.Equal(30, Sampler.From(options, 1, s_vocabulary, 100).Next(logits, [1], new Candidates(Size)));
    }

    [Fact]
    public void The_same_seed_gives_the_same_tokens_and_another_seed_others()
    {
        GenerationOptions options = Everything;
        int[] first = Draw(options, 42, 200), second = Draw(options, 42, 200), third = Draw(options, 43, 200);
        Assert.Equal(first, second);
        Assert.NotEqual(first, third);
    }

    [Fact]
    public void Draws_follow_the_probabilities()
    {
        float[] logits = [.. new[] { 0.5, 0.25, 0.125, 0.125 }.Select(p => (float)Math.Log(p))];
        var options = new GenerationOptions { Temperature = 1, TopK = 0, TopP = 1, MinP = 0 };
        var sampler = Sampler.From(options, 7, s_vocabulary, 100);
        var candidates = new Candidates(4);
        int[] counts = new int[4];
        const int draws = 40_000;
        for (int i = 0; i < draws; i++)
            counts[sampler.Next(logits, [0], candidates)]++;

        // Five standard deviations of a binomial count; the seed is fixed.
        for (int i = 0; i < 4; i++)
        {
            double p = Math.Exp(logits[i]);
            Assert.InRange(counts[i], draws * p - 5 * Math.Sqrt(draws * p * (1 - p)), draws * p + 5 * Math.Sqrt(draws * p * (1 - p)));
        }
    }

    /// <summary>The first numbers of xoshiro256** after splitmix64 of 0, computed from the published definitions in Python.</summary>
    [Fact]
    public void The_random_numbers_are_those_of_the_papers()
    {
        var random = new SeededRandom(0);
        Assert.Equal([0x99EC5F36CB75F2B4UL, 0xBF6E1F784956452AUL, 0x1A5F849D4933E6E0UL], new[] { random.Next(), random.Next(), random.Next() });
    }

    [Fact]
    public void What_is_not_a_number_is_never_chosen_and_all_ruled_out_still_gives_a_token()
    {
        float[] logits = [float.NaN, float.NegativeInfinity, 1, float.NaN];
        var candidates = new Candidates(4);
        var drawing = Sampler.From(new GenerationOptions(), 3, s_vocabulary, 100);
        for (int i = 0; i < 100; i++)
            Assert.Equal(2, drawing.Next(logits, [0], candidates));
        Assert.Equal(2, Sampler.From(new GenerationOptions { Temperature = 0 }, 3, s_vocabulary, 100).Next(logits, [0], candidates));
        Assert.InRange(drawing.Next([float.NegativeInfinity, float.NaN, float.NegativeInfinity, float.NaN], [0], candidates), 0, 3);
        Assert.Equal(1, drawing.Next([0, float.PositiveInfinity, 3, 3], [0], candidates));
    }

    [Fact]
    public void A_token_allocates_nothing()
    {
        var sampler = Sampler.From(Everything, 1, s_vocabulary, 2000);
        var candidates = new Candidates(Size);
        float[] logits = Logits(1);
        int[] history = new int[2000];
        long before = 0;
        for (int i = 1; i < history.Length; i++)
        {
            if (i == 1000)
                before = GC.GetAllocatedBytesForCurrentThread();
            history[i] = sampler.Next(logits, history.AsSpan(0, i), candidates);
        }

        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
    }

    /// <summary>Single characters, and one token of two: a breaker of three characters is found in every way that tokens can spell it.</summary>
    [Fact]
    public void Breakers_are_found_however_tokens_spell_them()
    {
        string[] words = ["a", "b", "c", "ab", "bc", "xa", "xabcx", "abc"];
        var vocabulary = new TokenTable(words.Length, id => Encoding.UTF8.GetBytes(words[id]), text => [.. text.Select(c => Array.IndexOf(words, $"{c}"))], new HashSet<int>());
        var breakers = DryBreakers.From(["abc"], vocabulary);
        Assert.Equal([6, 7], Enumerable.Range(0, words.Length).Where(breakers.IsBreaker));
        Assert.Equal(2, breakers.RepeatMax([0, 1, 0, 1, 2, 1, 1])); // a b [a b c] b b
        Assert.Equal(1, breakers.RepeatMax([5, 1, 2, 0])); // x[a b c] a
        Assert.Equal(3, breakers.RepeatMax([3, 2, 0, 0, 0])); // [ab c] a a a
        Assert.Equal(0, breakers.RepeatMax([0, 6]));
        Assert.Equal(3, breakers.RepeatMax([0, 1, 1]));
    }

    /// <summary>DRY beside a plain search over all pairs of positions.</summary>
    [Theory]
    [MemberData(nameof(Seeds))]
    public void Dry_equals_its_plain_definition(int seed)
    {
        var random = new Random(seed);
        int[] history = [.. Enumerable.Range(0, 60).Select(_ => random.Next(3))];
        const int allowed = 2;
        var candidates = new Candidates(4);
        candidates.Load(new float[4]);
        new DryStep(0.8f, 1.75f, allowed, history.Length, DryBreakers.None).Apply(candidates, history);

        for (int token = 0; token < 4; token++)
        {
            int longest = -1;
            for (int end = 0; end < history.Length - 1; end++)
            {
                int length = 0;
                while (length <= end && history[end - length] == history[^(length + 1)])
                    length++;
                if (history[end + 1] == token && length >= allowed)
                    longest = Math.Max(longest, length);
            }

            double expected = longest < 0 ? 0 : -0.8f * Math.Pow(1.75f, longest - allowed);
            Assert.Equal(expected, candidates.Items[candidates.IndexOf(token)].Logit, Math.Abs(expected) * 1e-6);
        }
    }

    private static GenerationOptions Everything => new()
    {
        Temperature = 0.9f,
        DynamicTemperatureRange = 0.3f,
        TopK = 100,
        TopP = 0.9f,
        MinP = 0.01f,
        TypicalP = 0.95f,
        TopNSigma = 3,
        XtcProbability = 0.5f,
        RepeatPenalty = 1.1f,
        FrequencyPenalty = 0.1f,
        PresencePenalty = 0.1f,
        DryMultiplier = 0.8f,
        LogitBias = new Dictionary<int, float> { [3] = 1 },
    };

    private static int[] Draw(GenerationOptions options, ulong seed, int count)
    {
        var sampler = Sampler.From(options, seed, s_vocabulary, count + 1);
        var candidates = new Candidates(Size);
        var history = new int[count + 1];
        for (int i = 1; i <= count; i++)
            history[i] = sampler.Next(Logits(i), history.AsSpan(0, i), candidates);
        return history;
    }

    private static Candidates Applied(float[] logits, SamplerStep step, out double[] probabilities)
    {
        double[] powers = [.. logits.Select(l => Math.Exp(l))];
        double sum = powers.Sum();
        probabilities = [.. powers.Select(power => power / sum)];
        var candidates = new Candidates(logits.Length);
        candidates.Load(logits);
        step.Apply(candidates, []);
        return candidates;
    }

    private static float[] Logits(int seed, bool ties = false)
    {
        var random = new Random(seed);
        return [.. Enumerable.Range(0, Size).Select(_ => ties ? random.Next(20) : random.NextSingle() * 10)];
    }
}
