using Tern.Generation;
using Tern.Generation.Sampling;
using Tern.Kernels;
using Tern.Machine;
using Tern.Models;
using Tern.Numerics;
using Tern.Tests.Numerics;

namespace Tern.Tests.Models;

/// <summary>The screened head against the full one through whole samplers: the same tokens for any chain of steps, alone and in any company.</summary>
public sealed unsafe class OutputHeadTests
{
    private const int Vocabulary = 5000;
    private const int Hidden = 96;
    private const int RowsMax = 16;
    private const int ContextLength = 400;

    private static readonly TokenTable s_table = new(Vocabulary, _ => default, _ => [], new HashSet<int>());

    public static TheoryData<string, int> Cases
    {
        get
        {
            var data = new TheoryData<string, int>();
            foreach (string type in (string[])["F16", "Q8_0"])
                for (int rows = 1; rows <= RowsMax; rows += 3)
                    data.Add(type, rows);
            return data;
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Any_chain_of_steps_draws_the_tokens_of_the_full_head(string type, int rows)
    {
        const int steps = 40;
        var random = new Random(rows);
        using var pool = new WorkerPool(2);
        using var compute = new Compute(Cpu.Available, pool);
        using var weights = SampleTensor.Encode(TensorType.All.First(t => t.Name == type), Weights(random), Hidden);
        using WeightMatrix matrix = MatMul.Prepare(weights.Tensor, KernelChoice.Best, pool);
        using var planes = HeadPlanes.Build(weights.Tensor, pool);
        using var screened = new OutputHead(matrix, planes, compute, RowsMax);
        using var full = new OutputHead(matrix, null, compute, RowsMax);
        using var x = new Activations(RowsMax, Hidden);
        var candidates = new Candidates(Vocabulary);
        float[] output = new float[RowsMax * Vocabulary], expected = new float[RowsMax * Vocabulary];
        var batch = new Batch(RowsMax, RowsMax);
        var readers = new Reader[rows];
        for (int i = 0; i < rows; i++)
            readers[i] = new Reader(Options(random), (ulong)i);

        for (int step = 0; step < steps; step++)
        {
            // Some requests end, and others with other options take their place.
            readers[random.Next(rows)] = new Reader(Options(random), (ulong)step);
            Fill(x, rows, random, weights);
            batch.Clear();
            foreach (Reader reader in readers)
                batch.Add([], 0, [1], LogitRows.Last, reader.Screened.Demand(reader.History));
            screened.Run(batch, x, output, rows);
            full.Run(batch, x, expected, rows);
            for (int i = 0; i < rows; i++)
            {
                int got = readers[i].Screened.Next(output.AsSpan(i * Vocabulary, Vocabulary), readers[i].History, candidates);
                int wanted = readers[i].Full.Next(expected.AsSpan(i * Vocabulary, Vocabulary), readers[i].History, candidates);
                Assert.True(wanted == got, $"step {step}, row {i}: {got}, not {wanted}, with {readers[i].Options}");
                readers[i].Tokens.Add(got);
            }
        }

        // Many of these distributions are flatter than a model's, and some rows are equal; still lists must be the rule.
        HeadCounts counts = screened.Counts;
        Assert.True(counts.Tokens > 2 * counts.Widened, $"{counts}");
    }

    [Fact]
    public void What_needs_all_logits_gets_all_logits()
    {
        var all = new GenerationOptions { TopK = 0, TopP = 1, MinP = 0 };
        Assert.Null(Demand(all));
        Assert.Null(Demand(all with { TopP = 0.9f }));
        Assert.Null(Demand(all with { TypicalP = 0.9f, MinP = 0.1f }));
        Assert.Null(Demand(all with { TopNSigma = 1, TopK = 40 }));
        Assert.Null(Demand(all with { TopK = 100_000 }));
        Assert.NotNull(Demand(all with { MinP = 0.1f }));
        Assert.NotNull(Demand(all with { TopK = 40 }));
        Assert.NotNull(Demand(all with { TopNSigma = 1, Temperature = 0 }));
        Assert.Null(Demand(all with { Temperature = 0, LogitBias = Enumerable.Range(0, 2000).ToDictionary(i => i, _ => 1f) }));
    }

    [Fact]
    public void A_matrix_that_cannot_be_screened_pauses_the_screen_and_stays_right()
    {
        // All rows equal: no bound tells them apart.
        using var pool = new WorkerPool(1);
        using var compute = new Compute(Cpu.Available, pool);
        using var weights = SampleTensor.Encode(TensorType.F16, [.. Enumerable.Range(0, Vocabulary * Hidden).Select(i => (float)Math.Sin(i % Hidden))], Hidden);
        using WeightMatrix matrix = MatMul.Prepare(weights.Tensor, KernelChoice.Best, pool);
        using var planes = HeadPlanes.Build(weights.Tensor, pool);
        using var head = new OutputHead(matrix, planes, compute, 1);
        using var x = new Activations(1, Hidden);
        float[] output = new float[Vocabulary];
        var batch = new Batch(1, 1);
        var candidates = new Candidates(Vocabulary);
        var reader = new Reader(new GenerationOptions { Temperature = 0 }, 0);
        for (int step = 0; step < 300; step++)
        {
            Fill(x, 1, new Random(step), weights);
            batch.Clear();
            batch.Add([], 0, [1], LogitRows.Last, reader.Screened.Demand(reader.History));
            head.Run(batch, x, output, 1);
            Assert.Equal(0, reader.Screened.Next(output, reader.History, candidates));
        }

        Assert.Equal(0, head.Counts.Tokens);
        Assert.InRange(head.Counts.Widened, 10, 200);
    }

    private static LogitDemand? Demand(GenerationOptions options) => Sampler.From(options, 1, s_table, ContextLength).Demand([1, 2, 3]);

    private static GenerationOptions Options(Random random)
    {
        float Some(double chance, double least, double most, double otherwise) =>
            (float)(random.NextDouble() < chance ? least + (random.NextDouble() * (most - least)) : otherwise);

        int topK = random.Next(4) > 0 ? random.Next(1, 60) : 0;
        return new GenerationOptions
        {
            Temperature = random.Next(3) == 0 ? 0 : Some(0.8, 0.2, 2, 1),
            DynamicTemperatureRange = Some(0.2, 0.1, 0.5, 0),
            TopK = topK,
            TopP = topK == 0 ? 1 : Some(0.6, 0.5, 1, 1),
            MinP = topK == 0 ? 0.05f : Some(0.5, 0.01, 0.3, 0),
            TypicalP = topK == 0 ? 1 : Some(0.2, 0.5, 0.99, 1),
            XtcProbability = Some(0.2, 0.1, 1, 0),
            XtcThreshold = 0.05f,
            RepeatPenalty = Some(0.4, 0.8, 1.5, 1),
            FrequencyPenalty = Some(0.3, -1, 1, 0),
            PresencePenalty = Some(0.3, -1, 1, 0),
            DryMultiplier = Some(0.3, 0.5, 2, 0),
            DrySequenceBreakers = [],
            LogitBias = random.Next(3) > 0 ? null : Enumerable.Range(0, 5).ToDictionary(_ => random.Next(Vocabulary), _ => Some(0.7, -5, 8, double.NegativeInfinity)),
        };
    }

    private static float[] Weights(Random random)
    {
        float[] weights = new float[Vocabulary * Hidden];
        for (int row = 0; row < Vocabulary; row++)
        {
            double size = Math.Exp(0.2 * Kernels.ScreenTestData.Gaussian(random));
            for (int i = 0; i < Hidden; i++)
                weights[(row * Hidden) + i] = (float)(size * Kernels.ScreenTestData.Gaussian(random));
            if (random.Next(10) == 0 && row > 0)
                weights.AsSpan(random.Next(row) * Hidden, Hidden).CopyTo(weights.AsSpan(row * Hidden));
        }

        return weights;
    }

    /// <summary>Hidden states that point to a row more or less, so that some tokens are certain and others are not.</summary>
    private static void Fill(Activations x, int rows, Random random, SampleTensor weights)
    {
        float[] target = new float[Hidden];
        x.Begin(rows, Hidden);
        for (int row = 0; row < rows; row++)
        {
            weights.Tensor.DecodeRow(random.Next(Vocabulary), target);
            double certainty = random.NextDouble();
            for (int i = 0; i < Hidden; i++)
                x.Floats[(row * x.Stride) + i] = (float)(0.3 * (Kernels.ScreenTestData.Gaussian(random) + (certainty * target[i])));
        }
    }

    /// <summary>One request, sampled by both heads.</summary>
    private sealed class Reader(GenerationOptions options, ulong seed)
    {
        public GenerationOptions Options => options;

        public Sampler Screened { get; } = Sampler.From(options, seed, s_table, ContextLength);

        public Sampler Full { get; } = Sampler.From(options, seed, s_table, ContextLength);

        public List<int> Tokens { get; } = [1, 2, 3, 4, 2, 3, 4, 2, 3];

        public ReadOnlySpan<int> History => System.Runtime.InteropServices.CollectionsMarshal.AsSpan(Tokens);
    }
}
