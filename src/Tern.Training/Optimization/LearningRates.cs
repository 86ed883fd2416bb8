using Tern.Kernels;

namespace Tern.Training.Optimization;

/// <summary>
/// The learning rate and weight decay of a step. The two-stage schedule, drawn for peaks p1 and p2:
/// <code>
///   p1        /\
///            /   \__
///           /        \__ p2, just before the middle        decay: full in the first half, 0 in the second
///          /              \
///         /                \ 0
///        warm-up       steps / 2        steps
/// </code>
/// The first stage's line is aimed at the second peak; at the middle the rate is p2, and goes linearly to zero from there (BitNet, "Training Tips").
/// </summary>
internal static class LearningRates
{
    /// <summary>What step <paramref name="step"/>, from 0, uses.</summary>
    public static (float Rate, float Decay) At(TrainingRecipe recipe, int step)
    {
        if (step < recipe.WarmUpSteps)
            return (recipe.LearningRate * (step + 1) / recipe.WarmUpSteps, recipe.WeightDecay);

        switch (recipe.Schedule)
        {
            case LearningSchedule.TwoStage:
                int middle = recipe.Steps / 2;
                if (step < middle)
                {
                    float done = (float)(step - recipe.WarmUpSteps) / Math.Max(1, middle - recipe.WarmUpSteps);
                    return (recipe.LearningRate + ((recipe.SecondLearningRate - recipe.LearningRate) * done), recipe.WeightDecay);
                }

                return (recipe.SecondLearningRate * Math.Max(0, recipe.Steps - step) / Math.Max(1, recipe.Steps - middle), 0);
            case LearningSchedule.Cosine:
                double turn = Math.PI * Math.Min(1, (double)(step - recipe.WarmUpSteps) / Math.Max(1, recipe.Steps - recipe.WarmUpSteps));
                return ((float)(recipe.FinalLearningRate + ((recipe.LearningRate - recipe.FinalLearningRate) * 0.5 * (1 + PortableMath.SinCos(turn).Cos))), recipe.WeightDecay);
            default:
                return (recipe.LearningRate, recipe.WeightDecay);
        }
    }
}
