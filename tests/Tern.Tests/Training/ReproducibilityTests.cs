using Tern.Machine;
using Tern.Tests.Files;
using Tern.Training;

namespace Tern.Tests.Training;

/// <summary>The same seed gives the same weights: again, on more threads, and across a checkpoint.</summary>
public sealed class ReproducibilityTests
{
    public static TheoryData<string> Precisions => [.. Enum.GetNames<LinearPrecision>()];

    [Theory]
    [MemberData(nameof(Precisions))]
    public void Runs_and_thread_counts_give_the_same_bits(string name)
    {
        LinearPrecision precision = Enum.Parse<LinearPrecision>(name);
        float[] first = Run(precision, threads: 1);
        Assert.Equal(first, Run(precision, threads: 1));
        Assert.Equal(first, Run(precision, threads: 2));
        Assert.Equal(first, Run(precision, threads: 3));
    }

    [Theory]
    [InlineData(false, 0f, 0)]
    [InlineData(true, 0.9f, 6)]
    public void A_resumed_run_equals_an_uninterrupted_one(bool bfloat16, float average, int blendSteps)
    {
        using var folder = new TempFolder();
        string path = folder.File("run.checkpoint");
        TrainingRecipe recipe = TinyModels.Recipe(LinearPrecision.Ternary) with { Masters = bfloat16 ? MasterWeights.BFloat16 : MasterWeights.Float32, AverageDecay = average, QuantizationWarmUpSteps = blendSteps };
        using WorkerPool pool = TinyModels.Pool(2);
        using var whole = new Trainer(TinyModels.BitNet, recipe, 9, pool, null);
        float[] expected = TinyModels.Train(whole, 5, firstSeed: 0);

        using (var half = new Trainer(TinyModels.BitNet, recipe, 9, pool, null))
        {
            TinyModels.Train(half, 2, firstSeed: 0);
            half.Save(path, [1, 2, 3]);
        }

        using var rest = Trainer.Load(path, pool, null, out byte[] data);
        Assert.Equal([1, 2, 3], data);
        Assert.Equal(2, rest.StepsDone);
        Assert.Equal(recipe, rest.Recipe);
        Assert.Equal(expected, TinyModels.Train(rest, 3, firstSeed: 2));
        if (average > 0)
            Assert.Equal(Evaluate(whole), Evaluate(rest));

        static LossSum Evaluate(Trainer trainer) => trainer.Loss(TinyModels.Batch(trainer.Shape, 77), trainer.Recipe.Linear, average: true);
    }

    [Fact]
    public void Bfloat16_masters_hold_bfloat16()
    {
        using WorkerPool pool = TinyModels.Pool(1);
        using var trainer = new Trainer(TinyModels.BitNet, TinyModels.Recipe(LinearPrecision.Ternary) with { Masters = MasterWeights.BFloat16 }, 9, pool, null);
        float[] weights = TinyModels.Train(trainer, 1, firstSeed: 0);
        Assert.All(weights, w => Assert.Equal(0, BitConverter.SingleToInt32Bits(w) & 0xFFFF));
    }

    private static float[] Run(LinearPrecision precision, int threads)
    {
        using WorkerPool pool = TinyModels.Pool(threads);
        using var trainer = new Trainer(TinyModels.BitNet, TinyModels.Recipe(precision), 9, pool, null);
        return TinyModels.Train(trainer, 2, firstSeed: 0);
    }
}
