using Tern.Machine;
using Tern.Training;
using Tern.Training.Weights;

namespace Tern.Tests.Training;

/// <summary>Gradients against differences of the loss, and the straight-through rule against the model with the weights it stands for.</summary>
public sealed class GradientTests
{
    [Theory]
    [InlineData("bitnet")]
    [InlineData("llama")]
    public void Every_parameter_s_gradient_equals_a_difference_of_the_loss(string name)
    {
        ModelShape shape = TinyModels.Of(name);
        TrainingRecipe recipe = FiniteDifference.Frozen(LinearPrecision.Full);
        using WorkerPool pool = TinyModels.Pool(2);
        using var trainer = new Trainer(shape, recipe, 7, pool, null);
        Jitter(trainer);
        TokenBatch batch = TinyModels.Batch(shape, 3);
        Assert.Null(trainer.Step(batch).NonFinite);
        float[] gradient = trainer.Gradients.Span.ToArray();
        foreach (Parameter parameter in trainer.Tensors.All)
        {
            double slope = FiniteDifference.Slope(trainer, parameter, gradient, () => trainer.Loss(batch).Mean);
            Assert.True(Math.Abs(slope - 1) <= 1e-4, $"{parameter.Name}: the loss changes by {slope:f6} of what the gradient says");
        }
    }

    [Theory]
    [InlineData("bitnet")]
    [InlineData("llama")]
    public void Rounded_weights_get_the_gradient_of_the_model_that_has_their_values(string name)
    {
        ModelShape shape = TinyModels.Of(name);
        TokenBatch batch = TinyModels.Batch(shape, 4);
        using WorkerPool pool = TinyModels.Pool(2);
        using var rounded = new Trainer(shape, FiniteDifference.Frozen(LinearPrecision.Integer), 7, pool, null);
        using var plain = new Trainer(shape, FiniteDifference.Frozen(LinearPrecision.Full), 7, pool, null);
        RoundWeights(plain);
        StepReport first = rounded.Step(batch), second = plain.Step(batch);
        Assert.Equal(second.Loss, first.Loss);
        Assert.Equal(plain.Gradients.Span.ToArray(), rounded.Gradients.Span.ToArray());
    }

    [Fact]
    public void A_blend_of_nothing_is_full_precision_and_of_all_is_ternary()
    {
        TokenBatch batch = TinyModels.Batch(TinyModels.BitNet, 5);
        using WorkerPool pool = TinyModels.Pool(2);
        using var blended = new Trainer(TinyModels.BitNet, FiniteDifference.Frozen(LinearPrecision.Ternary) with { QuantizationWarmUpSteps = 2 }, 7, pool, null);
        using var full = new Trainer(TinyModels.BitNet, FiniteDifference.Frozen(LinearPrecision.Full), 7, pool, null);
        using var ternary = new Trainer(TinyModels.BitNet, FiniteDifference.Frozen(LinearPrecision.Ternary), 7, pool, null);
        double start = blended.Step(batch).Loss, middle = blended.Step(batch).Loss, end = blended.Step(batch).Loss;
        Assert.Equal(full.Step(batch).Loss, start);
        Assert.Equal(ternary.Step(batch).Loss, end);
        Assert.NotEqual(start, middle);
        Assert.NotEqual(end, middle);
    }

    /// <summary>Moves the gains away from one, where a mistake could hide.</summary>
    private static void Jitter(Trainer trainer)
    {
        var random = new Random(11);
        Span<float> weights = trainer.EditWeights().Span;
        foreach (Parameter parameter in trainer.Tensors.All.Where(p => p.Kind == ParameterKind.Norm))
            foreach (ref float gain in weights.Slice((int)parameter.Offset, (int)parameter.Count))
                gain = 0.85f + (0.3f * random.NextSingle());
    }

    private static unsafe void RoundWeights(Trainer trainer)
    {
        NativeBuffer<float> weights = trainer.EditWeights();
        foreach (Parameter parameter in trainer.Tensors.Linears)
            for (int row = 0; row < parameter.Rows; row++)
            {
                float* at = weights.Pointer + parameter.Offset + ((long)row * parameter.Columns);
                WeightQuantization.Round(at, parameter.Columns, new Quantizer().Bits, at);
            }
    }
}
