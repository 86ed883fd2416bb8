using Tern.Machine;
using Tern.Training;
using Tern.Training.Weights;

namespace Tern.Tests.Training;

/// <summary>The changes that AdamW makes are compared with the same rule written plainly in doubles.</summary>
public sealed class AdamWTests
{
    private const float Rate = 1e-3f, Decay = 0.1f, Clip = 0.25f;

    [Theory]
    [InlineData("bitnet", false, 1)]
    [InlineData("bitnet", true, 3)]
    [InlineData("llama", true, 2)]
    public void A_weight_changes_by_its_corrected_moments_and_its_decay(string shape, bool decayEmbedding, int threads)
    {
        TrainingRecipe recipe = TinyModels.Recipe(LinearPrecision.Ternary) with
        {
            Schedule = LearningSchedule.Constant,
            WarmUpSteps = 0,
            LearningRate = Rate,
            WeightDecay = Decay,
            DecayEmbedding = decayEmbedding,
            ClipNorm = Clip,
        };
        using WorkerPool pool = TinyModels.Pool(threads);
        using var trainer = new Trainer(TinyModels.Of(shape), recipe, 5, pool, null);
        var first = new double[trainer.Parameters];
        var second = new double[trainer.Parameters];
        for (int step = 1; step <= 3; step++)
        {
            float[] before = trainer.EditWeights().Span.ToArray();
            float[] after = TinyModels.Train(trainer, 1, firstSeed: step);
            float[] gradients = trainer.Gradients.Span.ToArray();
            double norm = Math.Sqrt(gradients.Sum(g => (double)g * g));
            Assert.True(norm > Clip, "the gradient must be long enough to be clipped");
            foreach (Parameter parameter in trainer.Tensors.All)
            {
                bool decays = trainer.Tensors.Linears.Contains(parameter) || (parameter.Kind == ParameterKind.Embedding && decayEmbedding);
                for (long i = parameter.Offset; i < parameter.Offset + parameter.Count; i++)
                {
                    double gradient = gradients[i] * Clip / norm;
                    first[i] = (0.9 * first[i]) + (0.1 * gradient);
                    second[i] = (0.95 * second[i]) + (0.05 * gradient * gradient);
                    double mean = first[i] / (1 - Math.Pow(0.9, step)), root = Math.Sqrt(second[i] / (1 - Math.Pow(0.95, step)));
                    double change = Rate * ((mean / (root + 1e-8)) + (decays ? Decay * before[i] : 0));
                    // Moments and the root are a dozen roundings of floats; the weight itself is rounded twice.
                    double tolerance = (Rate * Math.Pow(2, -19)) + (Math.Abs(before[i]) * Math.Pow(2, -22));
                    Assert.True(Math.Abs(before[i] - change - after[i]) <= tolerance, $"step {step}, {parameter.Name}[{i - parameter.Offset}]: {after[i]:r} instead of {before[i] - change:r}");
                }
            }
        }
    }
}
