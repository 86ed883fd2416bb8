using Tern.Machine;
using Tern.Training;
using Tern.Training.Weights;

namespace Tern.Tests.Training;

/// <summary>The terms that a teacher brings: their gradients are differences of their sum, and what they report is what they are.</summary>
public sealed class DistillationTests
{
    [Theory]
    [InlineData(1f, 0f)]
    [InlineData(2.5f, 0f)]
    [InlineData(2.5f, 40f)]
    public void The_gradient_of_all_terms_equals_a_difference_of_their_sum(float temperature, float attentionWeight)
    {
        var distillation = new Distillation { CrossEntropyWeight = 0.4f, LogitWeight = 0.7f, Temperature = temperature, AttentionWeight = attentionWeight, BalanceGradients = false };
        using WorkerPool pool = TinyModels.Pool(2);
        using Trainer teacher = Teacher(pool);
        using var student = new Trainer(TinyModels.BitNet, Frozen(distillation), 7, pool, teacher);
        TokenBatch batch = TinyModels.Batch(student.Shape, 3);
        student.Step(batch);
        float[] gradient = student.Gradients.Span.ToArray();
        foreach (Parameter parameter in student.Tensors.All.Where(p => p.Name is "token_embd" or "blk.0.attn_q" or "blk.0.attn_k" or "blk.0.attn_v" or "blk.0.attn_norm" or "blk.1.ffn_down"))
        {
            float[] g = gradient.AsSpan((int)parameter.Offset, (int)parameter.Count).ToArray();
            double square = g.Sum(v => (double)v * v), step = Math.Min(0.01 / square, 0.003 * Math.Sqrt(parameter.Count / square));
            double slope = ((4 * Slope(step)) - Slope(2 * step)) / 3;
            Assert.True(Math.Abs(slope - 1) <= 2e-4, $"{parameter.Name}: the loss changes by {slope:f6} of what the gradient says");

            double Slope(double distance)
            {
                (double above, double up) = At(distance);
                (double below, double down) = At(-distance);
                return (above - below) / (up - down);
            }

            (double Loss, double Predicted) At(double distance)
            {
                Span<float> weights = student.EditWeights().Part(parameter.Offset, g.Length);
                float[] kept = weights.ToArray();
                double predicted = 0;
                for (int i = 0; i < g.Length; i++)
                {
                    weights[i] = (float)(kept[i] + (distance * g[i]));
                    predicted += ((double)weights[i] - kept[i]) * g[i];
                }

                DistillationReport report = student.Step(batch).Distillation!;
                kept.CopyTo(student.EditWeights().Part(parameter.Offset, g.Length));
                return ((0.4f * report.CrossEntropy) + (0.7f * report.LogitDivergence) + (attentionWeight * report.AttentionDivergence), predicted);
            }
        }
    }

    [Fact]
    public void A_student_that_is_its_teacher_diverges_nowhere()
    {
        using WorkerPool pool = TinyModels.Pool(2);
        using Trainer teacher = Teacher(pool);
        using var student = new Trainer(TinyModels.BitNet, Frozen(new Distillation { Temperature = 2, AttentionWeight = 1 }), 7, pool, teacher);
        teacher.EditWeights().Span.CopyTo(student.EditWeights().Span);
        DistillationReport report = student.Step(TinyModels.Batch(student.Shape, 3)).Distillation!;
        Assert.Equal(0, report.LogitDivergence, 1e-5);
        Assert.Equal(0, report.AttentionDivergence, 1e-5);
        Assert.True(report.CrossEntropyGradientNorm > 1e-3);
        Assert.True(report.LogitGradientNorm < 1e-6);
    }

    [Fact]
    public void Balanced_gradients_keep_their_ratio()
    {
        using WorkerPool pool = TinyModels.Pool(2);
        using Trainer teacher = Teacher(pool);
        TrainingRecipe recipe = TinyModels.Recipe(LinearPrecision.Ternary) with { Distillation = new Distillation { AttentionWeight = 0.25f } };
        using var student = new Trainer(TinyModels.BitNet, recipe, 7, pool, teacher);
        TokenBatch batch = TinyModels.Batch(student.Shape, 3);
        var whole = new TokenBatch(batch.Sequences, batch.Length, batch.Sequences);
        batch.Inputs.CopyTo(whole.Inputs, 0);
        batch.Targets.CopyTo(whole.Targets, 0);
        DistillationReport report = student.Step(whole).Distillation!;
        Assert.Equal(0.25 * report.OtherGradientNorm, report.AttentionGradientNorm, 1e-4 * report.OtherGradientNorm);
        Assert.True(report.AttentionFactor > 0);
    }

    [Fact]
    public void A_teacher_that_does_not_fit_is_refused()
    {
        using WorkerPool pool = TinyModels.Pool(1);
        var recipe = new TrainingRecipe { Distillation = new Distillation { AttentionWeight = 1 } };
        using var other = new Trainer(TinyModels.BitNet with { Vocabulary = 64 }, TinyModels.Recipe(LinearPrecision.Full), 1, pool, null);
        using Trainer teacher = Teacher(pool);
        Refused(null, recipe, "no teacher");
        Refused(other, recipe, "vocabulary");
        Refused(teacher, recipe with { Distillation = new Distillation { AttentionWeight = 1, AttentionLayer = 5 } }, "attentionLayer 5");
        Refused(teacher, recipe with { Distillation = new Distillation { AttentionWeight = 1, RelationHeads = 7 } }, "relationHeads");

        void Refused(Trainer? who, TrainingRecipe what, string reason) =>
            Assert.Contains(reason, Assert.Throws<TernException>(() => new Trainer(TinyModels.BitNet, what, 1, pool, who)).Message, StringComparison.Ordinal);
    }

    private static Trainer Teacher(WorkerPool pool) =>
        new(TinyModels.BitNet, TinyModels.Recipe(LinearPrecision.Full) with { InitialDeviation = 0.15f }, 99, pool, null);

    private static TrainingRecipe Frozen(Distillation distillation) => TinyModels.Recipe(LinearPrecision.Full) with
    {
        LearningRate = 0,
        WarmUpSteps = 0,
        WeightDecay = 0,
        Schedule = LearningSchedule.Constant,
        InitialDeviation = 0.15f,
        Distillation = distillation,
    };
}
