using System.Text.Json;
using Tern.Generation.Sampling;

namespace Tern.Tests.Generation;

/// <summary>The sampling cases of llama.cpp's own tests (suites/sampling.json), each step alone and in queues of any order.</summary>
public sealed class SamplingSuiteTests
{
    /// <summary>The suite's own tolerance.</summary>
    private const float Tolerance = 1e-5f;

    private static readonly Lazy<JsonElement[]> s_cases = new(() =>
        [.. JsonDocument.Parse(File.ReadAllText(SharedData.File("suites", "sampling.json"))).RootElement.GetProperty("cases").EnumerateArray()]);

    public static TheoryData<int, string> Cases
    {
        get
        {
            var data = new TheoryData<int, string>();
            if (SharedData.Root is not null)
                for (int i = 0; i < s_cases.Value.Length; i++)
                    data.Add(i, s_cases.Value[i].GetProperty("fn").GetString()!);
            else
                data.Add(0, "absent");
            return data;
        }
    }

    [SharedFact]
    public void The_suite_has_all_its_cases() => Assert.Equal(65, s_cases.Value.Length);

    [SharedTheory]
    [MemberData(nameof(Cases))]
    public void A_case_gives_the_expected_probabilities(int index, string function)
    {
        JsonElement a = s_cases.Value[index].GetProperty("args");
        if (function == "test_sampler_queue")
        {
            Queue(a[0].GetInt32(), a[1].GetString()!, a[2].GetInt32(), a[3].GetSingle(), a[4].GetSingle());
            return;
        }

        float[] probabilities = Floats(a[0]);
        switch (function)
        {
            case "test_temp":
                Check(probabilities, Floats(a[1]), new TemperatureStep(a[2].GetSingle(), 0, 1));
                break;
            case "test_temp_ext":
                Check(probabilities, Floats(a[1]), new TemperatureStep(a[2].GetSingle(), a[3].GetSingle(), a[4].GetSingle()));
                break;
            case "test_top_k":
                Check(probabilities, Floats(a[1]), new TopKStep(a[2].GetInt32()));
                break;
            case "test_top_p":
                Check(probabilities, Floats(a[1]), new TopPStep(a[2].GetSingle()));
                break;
            case "test_min_p":
                Check(probabilities, Floats(a[1]), new MinPStep(a[2].GetSingle()));
                break;
            case "test_xtc":
                // The step must happen: 0.99 is a chance, and seed 0 draws below it first.
                Check(probabilities, Floats(a[1]), new XtcStep(a[2].GetSingle(), a[3].GetSingle(), new SeededRandom(0)), normalize: false);
                break;
            case "test_typical":
                Check(probabilities, Floats(a[1]), new TypicalStep(a[2].GetSingle(), probabilities.Length), normalize: false);
                break;
            case "test_penalties":
                int[] last = Ints(a[1]);
                Check(probabilities, Floats(a[2]), new PenaltyStep(last.Length, a[3].GetSingle(), a[4].GetSingle(), a[5].GetSingle()), last);
                break;
            case "test_dry":
                var breakers = new DryBreakers(a[7].EnumerateArray().Select(Ints));
                var dry = new DryStep(a[3].GetSingle(), a[4].GetSingle(), a[5].GetInt32(), a[6].GetInt32(), breakers);
                Check(probabilities, Floats(a[2]), dry, Ints(a[1]));
                break;
            case "test_top_n_sigma":
                Check(probabilities, Floats(a[1]), new TopNSigmaStep(a[2].GetSingle()));
                break;
            default:
                Assert.Fail($"no such function here: {function}");
                break;
        }
    }

    private static void Check(float[] probabilities, float[] expected, SamplerStep step, int[]? history = null, bool normalize = true)
    {
        var candidates = new Candidates(probabilities.Length);
        candidates.Load([.. probabilities.Select(p => MathF.Log(p))]);
        step.Apply(candidates, history);
        if (normalize || candidates.Count == probabilities.Length)
            candidates.Softmax();

        // Compared after sorting, as the suite does; without normalizing, the probabilities are those that the step itself saw.
        float[] found = [.. candidates.Items.ToArray().Select(c => c.Probability).Order()];
        Assert.Equal(expected.Length, found.Length);
        foreach ((float want, float got) in expected.Order().Zip(found))
            Assert.InRange(got, want - Tolerance, want + Tolerance);
    }

    /// <summary>Token i has the probability i / sum; after each step the size and the ends of what is left are known.</summary>
    private static void Queue(int vocabularySize, string steps, int topK, float topP, float minP)
    {
        var candidates = new Candidates(vocabularySize);
        candidates.Load([.. Enumerable.Range(0, vocabularySize).Select(i => MathF.Log(i))]);
        int lowest = 0;
        foreach (char name in steps)
        {
            int before = candidates.Count;
            SamplerStep step = name switch { 'k' => new TopKStep(topK), 'p' => new TopPStep(topP), _ => new MinPStep(minP) };
            step.Apply(candidates, []);
            int count;
            if (name == 'k')
            {
                count = Math.Min(before, topK);
                lowest = Math.Max(lowest, vocabularySize - topK);
            }
            else if (name == 'p')
            {
                // The smallest set of the largest ids whose sum reaches the share of the sum of all that are left.
                int all = vocabularySize * (vocabularySize - 1) / 2 - lowest * (lowest - 1) / 2;
                int target = (int)MathF.Ceiling(topP * all);
                count = 0;
                lowest = vocabularySize;
                for (int sum = 0; sum < target || count == 0; sum += lowest)
                {
                    lowest--;
                    count++;
                }

                // Token 0 has no probability; it stays when nothing was cut.
                if (lowest == 1)
                    (lowest, count) = (0, count + 1);
            }
            else
            {
                // Token 0 has no probability, so min-p drops it always.
                count = Math.Min(Math.Clamp((int)MathF.Ceiling((1 - minP) * vocabularySize), 1, before), vocabularySize - 1);
                lowest = Math.Clamp((int)MathF.Floor(minP * vocabularySize), 1, vocabularySize - 1);
                lowest = Math.Max(lowest, vocabularySize - count);
            }

            Assert.Equal(count, candidates.Count);
            int[] ids = [.. candidates.Items.ToArray().Select(c => c.Id).Order()];
            Assert.Equal(lowest, ids[0]);
            Assert.Equal(vocabularySize - 1, ids[^1]);
            Assert.Equal(vocabularySize - 1, candidates.Items[candidates.MostLikely()].Id);
        }
    }

    private static float[] Floats(JsonElement array) => [.. array.EnumerateArray().Select(e => e.GetSingle())];

    private static int[] Ints(JsonElement array) => [.. array.EnumerateArray().Select(e => e.GetInt32())];
}
