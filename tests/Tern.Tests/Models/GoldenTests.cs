using System.Text.Json;
using Tern.Kernels;
using Tern.Measure;
using Tern.Models;

namespace Tern.Tests.Models;

/// <summary>
/// Every golden model against the reference in double precision. Tolerances are the goldens' own (their README): strict prompts of ternary
/// models to 2e-4; prompts with a rounding tie, and block types with int8 activations, to a normalised error of 0.06.
/// </summary>
public sealed class GoldenTests
{
    private const double StrictTolerance = 2e-4;
    private const double LooseNrmse = 0.06;
    private const double LooseAbsolute = 0.6;

    public static TheoryData<string> Causal => [.. Goldens.Causal];

    public static TheoryData<string> Embedding => [.. Goldens.Embedding];

    [SharedTheory]
    [MemberData(nameof(Causal))]
    public void Logits_and_log_likelihood_equal_the_reference(string name)
    {
        bool blockTypes = HasBlockTypes(name);
        Check(name, floatActivations: false, allStrict: name.Contains("f16", StringComparison.Ordinal), loose: blockTypes);
    }

    [SharedTheory]
    [MemberData(nameof(Causal))]
    public void With_float_activations_block_types_equal_the_plain_definition(string name) =>
        Check(name, floatActivations: true, allStrict: !IsTernary(name), loose: false);

    [SharedTheory]
    [MemberData(nameof(Causal))]
    public void Greedy_tokens_are_those_of_the_reference_while_it_is_certain(string name)
    {
        using Model model = Model.Load(Goldens.File(name), new ModelOptions { FloatActivations = true });
        foreach (JsonElement prompt in Goldens.Expected(name).GetProperty("prompts").EnumerateArray())
        {
            int[] expected = Integers(prompt.GetProperty("greedy"));
            int stable = prompt.GetProperty("greedy_stable_prefix").GetInt32();
            LogitReport result = Probe(model, prompt, greedy: expected.Length);
            Assert.Equal(expected[..stable], result.Greedy[..stable]);
        }
    }

    [SharedTheory]
    [MemberData(nameof(Embedding))]
    public void Embeddings_equal_the_reference(string name)
    {
        using Model model = Model.Load(Goldens.File(name), new ModelOptions());
        foreach (JsonElement prompt in Goldens.Expected(name).GetProperty("prompts").EnumerateArray())
        {
            int[] ids = Integers(prompt.GetProperty("ids"));
            using var probe = new EmbeddingProbe(model, ids.Length);
            float[] actual = probe.Run(ids, CancellationToken.None);
            double[] expected = Doubles(prompt.GetProperty("embedding"));
            double worst = expected.Zip(actual, (e, a) => Math.Abs(e - a)).Max();
            double cosine = expected.Zip(actual, (e, a) => e * a).Sum();
            if (prompt.GetProperty("strict").GetBoolean())
                Assert.True(worst <= 1e-6, $"{name}: worst difference {worst:g3}");
            else
                Assert.True(cosine >= 0.99, $"{name}: cosine {cosine:g6}");
        }
    }

    [SharedTheory]
    [InlineData("m02-bitnet-25-i2s")]
    [InlineData("m05a-bitnet-b158-tq1_0")]
    [InlineData("m05b-bitnet-b158-tq2_0")]
    public void Containers_of_the_same_weights_give_the_same_bits(string name)
    {
        using Model first = Model.Load(Goldens.File("m01-bitnet-b158-i2s"), new ModelOptions());
        using Model second = Model.Load(Goldens.File(name), new ModelOptions());
        foreach (JsonElement prompt in Goldens.Expected(name).GetProperty("prompts").EnumerateArray())
        {
            Assert.Equal(Probe(first, prompt).Logits, Probe(second, prompt).Logits);
        }
    }

    [SharedTheory]
    [MemberData(nameof(Causal))]
    public void A_half_precision_cache_stays_within_its_tolerance(string name)
    {
        using Model model = Model.Load(Goldens.File(name), new ModelOptions { FloatActivations = true });
        foreach (JsonElement prompt in Goldens.Expected(name).GetProperty("prompts").EnumerateArray())
        {
            double[] expected = Doubles(prompt.GetProperty("logits_last"));
            LogitReport result = Probe(model, prompt, kvType: KvType.F16);
            AssertLoose(name, expected, result.Logits, prompt);
            if (!IsTernary(name))
                Assert.True(Worst(expected, result.Logits) <= 0.03, $"{name}: {Worst(expected, result.Logits):g3}");
        }
    }

    private static void Check(string name, bool floatActivations, bool allStrict, bool loose)
    {
        using Model model = Model.Load(Goldens.File(name), new ModelOptions { FloatActivations = floatActivations });
        foreach (JsonElement prompt in Goldens.Expected(name).GetProperty("prompts").EnumerateArray())
        {
            LogitReport result = Probe(model, prompt);
            double[] expected = Doubles(prompt.GetProperty("logits_last"));
            bool strict = !loose && (allStrict || (prompt.TryGetProperty("strict", out JsonElement s) && s.GetBoolean()));
            double logLikelihood = prompt.GetProperty("loglik").GetDouble();
            if (!strict)
            {
                AssertLoose(name, expected, result.Logits, prompt);
                Assert.InRange(result.LogLikelihood, logLikelihood - 0.6, logLikelihood + 0.6);
                continue;
            }

            double worst = Worst(expected, result.Logits);
            Assert.True(worst <= StrictTolerance, $"{name}: worst difference {worst:g3}");
            Assert.InRange(result.LogLikelihood, logLikelihood - 1e-3, logLikelihood + 1e-3);
            AssertTop(name, prompt, result);
        }
    }

    private static LogitReport Probe(Model model, JsonElement prompt, int greedy = 0, KvType kvType = KvType.F32)
    {
        int[] ids = Integers(prompt.GetProperty("ids"));
        using var probe = new LogitProbe(model, ids.Length + greedy, SequenceRunner.ChunkMax, kvType);
        return probe.Run(ids, greedy, CancellationToken.None);
    }

    /// <summary>All top-five ids wherever the reference's gaps exceed 1e-3.</summary>
    private static void AssertTop(string name, JsonElement prompt, LogitReport result)
    {
        int position = 0;
        foreach (JsonElement row in prompt.GetProperty("top5").EnumerateArray())
        {
            (int Id, double Logit)[] expected = [.. row.EnumerateArray().Select(e => (e[0].GetInt32(), e[1].GetDouble()))];
            for (int i = 0; i + 1 < expected.Length && expected[i].Logit - expected[i + 1].Logit > 1e-3; i++)
                Assert.True(expected[i].Id == result.Top[position].Ids[i], $"{name}: position {position}, place {i}");
            position++;
        }
    }

    private static void AssertLoose(string name, double[] expected, float[] actual, JsonElement prompt)
    {
        double mean = expected.Average();
        double deviation = Math.Sqrt(expected.Average(e => (e - mean) * (e - mean)));
        double error = Math.Sqrt(expected.Zip(actual, (e, a) => (e - a) * (e - a)).Average());
        Assert.True(error / deviation <= LooseNrmse, $"{name}: nrmse {error / deviation:g3}");
        Assert.True(Worst(expected, actual) <= LooseAbsolute, $"{name}: worst difference {Worst(expected, actual):g3}");
        JsonElement last = prompt.GetProperty("top5").EnumerateArray().Last();
        if (last[0][1].GetDouble() - last[1][1].GetDouble() > 0.5)
            Assert.Equal(last[0][0].GetInt32(), Array.IndexOf(actual, actual.Max()));
    }

    private static double Worst(double[] expected, float[] actual) => expected.Zip(actual, (e, a) => Math.Abs(e - a)).Max();

    private static bool IsTernary(string name) => name.Contains("i2s", StringComparison.Ordinal) || name.Contains("tq", StringComparison.Ordinal);

    private static bool HasBlockTypes(string name) =>
        name.Contains("q6k", StringComparison.Ordinal) || name.Contains("qwen3-q", StringComparison.Ordinal) || name.Contains("llama-q", StringComparison.Ordinal);

    private static int[] Integers(JsonElement array) => [.. array.EnumerateArray().Select(e => e.GetInt32())];

    private static double[] Doubles(JsonElement array) => [.. array.EnumerateArray().Select(e => e.GetDouble())];
}
