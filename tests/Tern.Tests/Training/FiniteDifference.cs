using Tern.Training;
using Tern.Training.Weights;

namespace Tern.Tests.Training;

/// <summary>Gradients against differences of what they are the gradient of.</summary>
internal static class FiniteDifference
{
    /// <summary>Nothing is learned, so that the same step can be taken again and again.</summary>
    public static TrainingRecipe Frozen(LinearPrecision precision) => TinyModels.Recipe(precision) with
    {
        LearningRate = 0,
        WarmUpSteps = 0,
        WeightDecay = 0,
        Schedule = LearningSchedule.Constant,
        InitialDeviation = 0.15f,
    };

    /// <summary>How much the loss changes along a tensor's gradient, as a share of what the gradient says: 1 where it is right.</summary>
    /// <param name="trainer">Whose weights are moved; they end as they were.</param>
    /// <param name="parameter">The tensor.</param>
    /// <param name="gradients">Of all tensors.</param>
    /// <param name="loss">At the present weights.</param>
    public static double Slope(Trainer trainer, Parameter parameter, float[] gradients, Func<double> loss)
    {
        float[] gradient = gradients.AsSpan((int)parameter.Offset, (int)parameter.Count).ToArray();
        float[] kept = trainer.EditWeights().Part(parameter.Offset, gradient.Length).ToArray();
        double square = gradient.Sum(g => (double)g * g);
        // As far as the loss moves by some hundredths, but no weight by more than a fraction of itself; two distances take out the third derivative.
        double step = Math.Min(0.01 / square, 0.003 * Math.Sqrt(parameter.Count / square));
        return ((4 * Over(step)) - Over(2 * step)) / 3;

        double Over(double distance)
        {
            (double above, double up) = At(distance);
            (double below, double down) = At(-distance);
            return (above - below) / (up - down);
        }

        (double Loss, double Predicted) At(double distance)
        {
            Span<float> weights = trainer.EditWeights().Part(parameter.Offset, gradient.Length);
            double predicted = 0;
            for (int i = 0; i < weights.Length; i++)
            {
                weights[i] = (float)(kept[i] + (distance * gradient[i]));
                predicted += ((double)weights[i] - kept[i]) * gradient[i];
            }

            double found = loss();
            kept.CopyTo(trainer.EditWeights().Part(parameter.Offset, gradient.Length));
            return (found, predicted);
        }
    }
}
