using Tern.Machine;
using Tern.Training;
using Tern.Training.Weights;

namespace Tern.Tests.Training;

/// <summary>The terms that a teacher brings: their gradients are differences of their sum, and what they report is what they are.</summary>
public sealed class DistillationTests
{
    [Theory]
    [InlineData(1f, 0f, nameof(AttentionRelation.Cosine))]
    [InlineData(2.5f, 0f, nameof(AttentionRelation.Cosine))]
    [InlineData(2.5f, 40f, nameof(AttentionRelation.Cosine))]
    [InlineData(2.5f, 4f, nameof(AttentionRelation.Dot))]
    public void The_gradient_of_all_terms_equals_a_difference_of_their_sum(float temperature, float attentionWeight, string relation)
    {
        var distillation = new Distillation { CrossEntropyWeight = 0.4f, LogitWeight = 0.7f, Temperature = temperature, AttentionWeight = attentionWeight, AttentionRelation = Enum.Parse<AttentionRelation>(relation), BalanceGradients = false };
        using WorkerPool pool = TinyModels.Pool(2);
        using Trainer teacher = Teacher(pool);
        using var student = new Trainer(TinyModels.BitNet, Frozen(distillation), 7, pool, teacher);
        TokenBatch batch = TinyModels.Batch(student.Shape, 3);
        student.Step(batch);
        float[] gradient = student.Gradients.Span.ToArray();
        foreach (Parameter parameter in student.Tensors.All.Where(p => p.Name is "token_embd" or "blk.0.attn_q" or "blk.0.attn_k" or "blk.0.attn_v" or "blk.0.attn_norm" or "blk.1.ffn_down"))
        {
            double slope = FiniteDifference.Slope(student, parameter, gradient, () =>
            {
                DistillationReport report = student.Step(batch).Distillation!;
                return (0.4f * report.CrossEntropy) + (0.7f * report.LogitDivergence) + (attentionWeight * report.AttentionDivergence);
            });
            Assert.True(Math.Abs(slope - 1) <= 1e-4, $"{parameter.Name}: the loss changes by {slope:f6} of what the gradient says");
        }
    }

    /// <summary>The term by its definition, in doubles: one layer, one sequence, so that Q, K and V are products of the embedding.</summary>
    [Theory]
    [InlineData(nameof(AttentionRelation.Cosine))]
    [InlineData(nameof(AttentionRelation.Dot))]
    public void The_attention_term_is_its_definition(string name)
    {
        const int length = 40, parts = 2;
        AttentionRelation relation = Enum.Parse<AttentionRelation>(name);
        ModelShape shape = TinyModels.BitNet with { Layers = 1 };
        using WorkerPool pool = TinyModels.Pool(2);
        using var teacher = new Trainer(shape with { Heads = 6 }, TinyModels.Recipe(LinearPrecision.Full) with { InitialDeviation = 0.15f }, 99, pool, null);
        TrainingRecipe recipe = Frozen(new Distillation { AttentionWeight = 1, AttentionLayer = 0, RelationHeads = parts, AttentionRelation = relation, BalanceGradients = false });
        using var student = new Trainer(shape, recipe, 7, pool, teacher);
        var batch = new TokenBatch(1, length, 1);
        var random = new Random(5);
        for (int i = 0; i < length; i++)
            (batch.Inputs[i], batch.Targets[i]) = (random.Next(shape.Vocabulary), random.Next(shape.Vocabulary));

        double expected = 0;
        for (int matrix = 0; matrix < 3; matrix++)
            for (int part = 0; part < parts; part++)
            {
                double[][] p = Relations(student, matrix, part), q = Relations(teacher, matrix, part);
                for (int i = 0; i < length; i++)
                    for (int j = 0; j < length; j++)
                        expected += q[i][j] * Math.Log(q[i][j] / p[i][j]);
            }

        expected /= 3 * parts * length;
        double actual = student.Step(batch).Distillation!.AttentionDivergence;
        Assert.True(expected > 1e-4);
        Assert.Equal(expected, actual, 1e-4 * expected);

        double[][] Relations(Trainer trainer, int matrix, int part)
        {
            float[] weights = trainer.EditWeights().Span.ToArray();
            LayerParameters layer = trainer.Tensors.Layers[0];
            Parameter projection = matrix switch { 0 => layer.Query, 1 => layer.Key, _ => layer.Value };
            int hidden = trainer.Shape.Hidden, width = projection.Rows / parts;
            double[][] rows = [.. batch.Inputs.Select(Row)];
            return [.. rows.Select(a => Softmax([.. rows.Select(b => Relate(a, b))]))];

            double[] Row(int token)
            {
                double[] x = [.. weights.AsSpan((int)trainer.Tensors.Embedding.Offset + (token * hidden), hidden).ToArray().Select(v => (double)v)];
                double root = Math.Sqrt((x.Sum(v => v * v) / hidden) + trainer.Shape.Epsilon);
                return [.. Enumerable.Range(part * width, width).Select(row => Enumerable.Range(0, hidden).Sum(i => x[i] / root * weights[projection.Offset + (row * hidden) + i]))];
            }

            double Relate(double[] a, double[] b)
            {
                double product = a.Zip(b, (l, r) => l * r).Sum();
                return relation == AttentionRelation.Dot ? product / Math.Sqrt(width) : product / Math.Sqrt(a.Sum(v => v * v) * b.Sum(v => v * v));
            }
        }

        static double[] Softmax(double[] row)
        {
            double max = row.Max(), sum = row.Sum(v => Math.Exp(v - max));
            return [.. row.Select(v => Math.Exp(v - max) / sum)];
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
        using var fewer = new Trainer(TinyModels.BitNet with { Tokens = 90 }, TinyModels.Recipe(LinearPrecision.Full), 1, pool, null);
        Refused(fewer, recipe, "vocabulary of 90");
        Refused(teacher, recipe with { Distillation = new Distillation { AttentionWeight = 1, AttentionLayer = 5 } }, "attentionLayer 5");
        Refused(teacher, recipe with { Distillation = new Distillation { AttentionWeight = 1, RelationHeads = 7 } }, "relationHeads");

        void Refused(Trainer? who, TrainingRecipe what, string reason) =>
            Assert.Contains(reason, Assert.Throws<TernException>(() => new Trainer(TinyModels.BitNet, what, 1, pool, who)).Message, StringComparison.Ordinal);
    }

    private static Trainer Teacher(WorkerPool pool) =>
        new(TinyModels.BitNet, TinyModels.Recipe(LinearPrecision.Full) with { InitialDeviation = 0.15f }, 99, pool, null);

    private static TrainingRecipe Frozen(Distillation distillation) => FiniteDifference.Frozen(LinearPrecision.Full) with { Distillation = distillation };
}
