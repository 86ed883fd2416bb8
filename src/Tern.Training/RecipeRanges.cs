using System.Globalization;

namespace Tern.Training;

/// <summary>The range of every field of a recipe.</summary>
internal static class RecipeRanges
{
    /// <inheritdoc cref="TrainingRecipe.Validate"/>
    public static void Check(TrainingRecipe recipe, string source)
    {
        const int stepsMax = 100_000_000;

        Named(recipe.Linear.Precision, nameof(recipe.Linear.Precision));
        Number(recipe.Linear.Bits, nameof(recipe.Linear.Bits), 2, 8);
        Number(recipe.QuantizationWarmUpSteps, nameof(recipe.QuantizationWarmUpSteps), 0, stepsMax);
        Number(recipe.Steps, nameof(recipe.Steps), 1, stepsMax);
        Named(recipe.Schedule, nameof(recipe.Schedule));
        Number(recipe.WarmUpSteps, nameof(recipe.WarmUpSteps), 0, stepsMax);
        Number(recipe.LearningRate, nameof(recipe.LearningRate), 0, 1);
        Number(recipe.SecondLearningRate, nameof(recipe.SecondLearningRate), 0, 1);
        Number(recipe.FinalLearningRate, nameof(recipe.FinalLearningRate), 0, 1);
        Named(recipe.Rule, nameof(recipe.Rule));
        Number(recipe.Momentum, nameof(recipe.Momentum), 0, 0.9999f);
        Number(recipe.Beta1, nameof(recipe.Beta1), 0, 0.9999f);
        Number(recipe.Beta2, nameof(recipe.Beta2), 0, 0.999999f);
        Number(recipe.AdamEpsilon, nameof(recipe.AdamEpsilon), 1e-16f, 1);
        Number(recipe.WeightDecay, nameof(recipe.WeightDecay), 0, 10);
        Number(recipe.ClipNorm, nameof(recipe.ClipNorm), 0, 1e6f);
        Named(recipe.Masters, nameof(recipe.Masters));
        Number(recipe.AverageDecay, nameof(recipe.AverageDecay), 0, 0.999999f);
        Number(recipe.InitialDeviation, nameof(recipe.InitialDeviation), 1e-6f, 1);
        if (recipe.Distillation is not { } distillation)
            return;

        Number(distillation.CrossEntropyWeight, nameof(distillation.CrossEntropyWeight), 0, 1e6f);
        Number(distillation.LogitWeight, nameof(distillation.LogitWeight), 0, 1e6f);
        Number(distillation.Temperature, nameof(distillation.Temperature), 0.01f, 100);
        Number(distillation.AttentionWeight, nameof(distillation.AttentionWeight), 0, 1e9f);
        Number(distillation.AttentionLayer, nameof(distillation.AttentionLayer), -256, 255);
        Number(distillation.RelationHeads, nameof(distillation.RelationHeads), 0, 4096);
        Named(distillation.AttentionRelation, nameof(distillation.AttentionRelation));

        void Number(float value, string name, float minimum, float maximum)
        {
            if (!(value >= minimum && value <= maximum))
                throw new TernException(ErrorKind.Request, string.Create(CultureInfo.InvariantCulture, $"{source}: recipe: {name}: {value} is outside [{minimum}, {maximum}]"));
        }

        void Named<T>(T value, string name)
            where T : struct, Enum
        {
            if (!Enum.IsDefined(value))
                throw new TernException(ErrorKind.Request, $"{source}: recipe: {name}: unknown; known are {string.Join(", ", Enum.GetNames<T>())}");
        }
    }
}
