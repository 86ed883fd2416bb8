using Tern.Machine;
using Tern.Training;
using Tern.Training.Optimization;

namespace Tern.Tests.Training;

/// <summary>Schedules, and that training learns.</summary>
public sealed class LearningTests
{
    [Fact]
    public void The_two_stage_schedule_is_two_lines_with_decay_in_the_first()
    {
        var recipe = new TrainingRecipe { Steps = 100, WarmUpSteps = 10, LearningRate = 4e-3f, SecondLearningRate = 2e-3f };
        Assert.Equal(4e-4f, LearningRates.At(recipe, 0).Rate, 1e-9f);
        Assert.Equal(4e-3f, LearningRates.At(recipe, 9).Rate, 1e-9f);
        Assert.Equal(4e-3f, LearningRates.At(recipe, 10).Rate, 1e-9f);
        Assert.Equal(3e-3f, LearningRates.At(recipe, 30).Rate, 1e-9f);
        Assert.Equal((2e-3f, 0f), LearningRates.At(recipe, 50));
        Assert.Equal(0.1f, LearningRates.At(recipe, 49).Decay);
        Assert.Equal(1e-3f, LearningRates.At(recipe, 75).Rate, 1e-9f);
        Assert.Equal(0, LearningRates.At(recipe, 100).Rate);
    }

    [Fact]
    public void The_cosine_schedule_ends_at_its_last_rate()
    {
        var recipe = new TrainingRecipe { Steps = 110, WarmUpSteps = 10, Schedule = LearningSchedule.Cosine, LearningRate = 4e-3f, FinalLearningRate = 1e-3f };
        Assert.Equal(2.5e-3f, LearningRates.At(recipe, 60).Rate, 1e-8f);
        Assert.Equal(1e-3f, LearningRates.At(recipe, 110).Rate, 1e-8f);
    }

    [Theory]
    [InlineData(nameof(LinearPrecision.Full))]
    [InlineData(nameof(LinearPrecision.Ternary))]
    [InlineData(nameof(LinearPrecision.Binary))]
    public void A_rule_is_learned(string precision)
    {
        using WorkerPool pool = TinyModels.Pool(2);
        using var trainer = new Trainer(TinyModels.BitNet, TinyModels.Recipe(Enum.Parse<LinearPrecision>(precision)) with { Steps = 60, LearningRate = 2e-2f, SecondLearningRate = 1e-2f, InitialDeviation = 0.02f }, 9, pool, null);
        double first = trainer.Step(Rule(0)).Loss, last = 0;
        for (int step = 1; step < 60; step++)
            last = trainer.Step(Rule(step)).Loss;
        Assert.True(first > 4 && last < 1, $"from {first:f3} to {last:f3}");
        Assert.All(trainer.Shares(), s => Assert.Equal(1, s.Minus + s.Zero + s.Plus, 9));
    }

    [Fact]
    public void A_batch_outside_vocabulary_or_context_is_refused()
    {
        using WorkerPool pool = TinyModels.Pool(1);
        using var trainer = new Trainer(TinyModels.BitNet, TinyModels.Recipe(LinearPrecision.Full), 9, pool, null);
        TokenBatch batch = TinyModels.Batch(trainer.Shape, 1);
        batch.Inputs[5] = 96;
        Assert.Contains("96", Assert.Throws<TernException>(() => trainer.Step(batch)).Message, StringComparison.Ordinal);
        Assert.Throws<TernException>(() => trainer.Step(new TokenBatch(1, 81, 1)));
    }

    [Fact]
    public void The_shape_s_count_of_parameters_is_the_trainer_s()
    {
        using WorkerPool pool = TinyModels.Pool(1);
        foreach (ModelShape shape in new[] { TinyModels.BitNet, TinyModels.Llama })
        {
            using var trainer = new Trainer(shape, TinyModels.Recipe(LinearPrecision.Full), 9, pool, null);
            Assert.Equal(shape.Parameters, trainer.Parameters);
            Assert.True(Trainer.MemoryNeeded(shape, trainer.Recipe, 2, 53, 1) > 16 * shape.Parameters);
        }
    }

    /// <summary>The next token is the present one plus three.</summary>
    private static TokenBatch Rule(int seed)
    {
        var random = new Random(seed);
        var batch = new TokenBatch(4, 32, 4);
        for (int i = 0; i < batch.Inputs.Length; i++)
        {
            batch.Inputs[i] = random.Next(90);
            batch.Targets[i] = batch.Inputs[i] + 3;
        }

        return batch;
    }
}
