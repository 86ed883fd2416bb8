using Tern.Machine;
using Tern.Training;
using Tern.Training.Optimization;
using Tern.Training.Weights;

namespace Tern.Tests.Training;

/// <summary>The changes that Muon makes are compared with the same rule written plainly in doubles.</summary>
public sealed class MuonTests
{
    private const float Rate = 1e-3f, Decay = 0.1f;

    private static readonly TrainingRecipe s_recipe = TinyModels.Recipe(LinearPrecision.Ternary) with
    {
        Rule = OptimizerRule.Muon,
        Schedule = LearningSchedule.Constant,
        WarmUpSteps = 0,
        LearningRate = Rate,
        WeightDecay = Decay,
        ClipNorm = 0,
    };

    [Theory]
    [InlineData("bitnet", 1)]
    [InlineData("bitnet", 3)]
    [InlineData("llama", 2)]
    public void A_matrix_changes_by_its_orthogonalized_momentum(string shape, int threads)
    {
        using WorkerPool pool = TinyModels.Pool(threads);
        using var trainer = new Trainer(TinyModels.Of(shape), s_recipe, 5, pool, null);
        var momenta = trainer.Tensors.Linears.ToDictionary(p => p.Name, p => new double[p.Count]);
        for (int step = 0; step < 3; step++)
        {
            float[] before = trainer.EditWeights().Span.ToArray();
            float[] after = TinyModels.Train(trainer, 1, firstSeed: step);
            float[] gradients = trainer.Gradients.Span.ToArray();
            foreach (Parameter matrix in trainer.Tensors.Linears)
                Compare(matrix, before, after, gradients, momenta[matrix.Name]);
        }
    }

    [Fact]
    public void Its_matrices_are_nearly_orthogonal()
    {
        using WorkerPool pool = TinyModels.Pool(2);
        using var trainer = new Trainer(TinyModels.BitNet, s_recipe with { WeightDecay = 0 }, 5, pool, null);
        float[] before = trainer.EditWeights().Span.ToArray();
        float[] after = TinyModels.Train(trainer, 1, firstSeed: 0);
        foreach (Parameter matrix in trainer.Tensors.Linears)
        {
            // Σ singular values² of a matrix that is orthogonal is its shorter side; the quintic leaves them in [0.68, 1.21] once they were not tiny.
            double longer = Math.Max(matrix.Rows, matrix.Columns), shorter = Math.Min(matrix.Rows, matrix.Columns), squares = 0;
            for (long i = matrix.Offset; i < matrix.Offset + matrix.Count; i++)
                squares += Math.Pow((before[i] - after[i]) / (Rate * 0.2 * Math.Sqrt(longer)), 2);
            Assert.InRange(squares / shorter, 0.5, 1.3);
        }
    }

    [Fact]
    public void A_matrix_without_gradient_only_decays()
    {
        // Nothing is to be learned from a batch without targets.
        using WorkerPool pool = TinyModels.Pool(2);
        using var trainer = new Trainer(TinyModels.BitNet, s_recipe, 5, pool, null);
        TokenBatch batch = TinyModels.Batch(trainer.Shape, 0);
        batch.Targets.AsSpan().Fill(TokenBatch.NoLoss);
        float[] before = trainer.EditWeights().Span.ToArray();
        Assert.Null(trainer.Step(batch).NonFinite);
        ReadOnlySpan<float> after = trainer.EditWeights().Span;
        foreach (Parameter matrix in trainer.Tensors.Linears)
            for (int i = (int)matrix.Offset; i < matrix.Offset + matrix.Count; i++)
                Assert.Equal(before[i] * (1 - (Rate * Decay)), after[i]);
    }

    [Fact]
    public void A_resumed_run_equals_an_uninterrupted_one()
    {
        using var folder = new Files.TempFolder();
        string path = folder.File("run.checkpoint");
        using WorkerPool one = TinyModels.Pool(1), two = TinyModels.Pool(2);
        using var whole = new Trainer(TinyModels.BitNet, s_recipe, 9, one, null);
        float[] expected = TinyModels.Train(whole, 4, firstSeed: 0);
        using (var half = new Trainer(TinyModels.BitNet, s_recipe, 9, two, null))
        {
            TinyModels.Train(half, 2, firstSeed: 0);
            half.Save(path, []);
        }

        using var rest = Trainer.Load(path, two, null, out _);
        Assert.Equal(s_recipe, rest.Recipe);
        Assert.Equal(expected, TinyModels.Train(rest, 2, firstSeed: 2));
    }

    /// <summary>Numbers below the normal floats make a product a hundred times as long; a unit that is never active would leave them behind.</summary>
    [Fact]
    public unsafe void Momentum_that_decayed_to_nothing_is_nothing()
    {
        using var gradients = new NativeBuffer<float>(16);
        using var momentum = new NativeBuffer<float>(16);
        for (int i = 0; i < 16; i++)
            momentum.Span[i] = MathF.CopySign(MathF.ScaleB(1, -8 * i), i % 2 == 0 ? 1 : -1);
        momentum.Span[15] = float.NaN;
        gradients.Span[14] = 1e-30f;
        float[] before = momentum.Span.ToArray();
        System.Runtime.Intrinsics.Vector512<float> direction = new MomentumStep { Gradients = gradients.Pointer, Momentum = momentum.Pointer, Factor = 1, Beta = 0.95f }.Next(0);
        for (int i = 0; i < 16; i++)
        {
            float kept = 0.95f * before[i];
            Assert.Equal(i == 15 ? float.NaN : MathF.Abs(kept) < MathF.ScaleB(1, -60) ? 0 : kept, momentum.Span[i]);
            Assert.Equal(i == 15 ? float.NaN : MathF.Abs(0.95f * kept) < MathF.ScaleB(1, -60) ? 0 : 0.95f * kept, direction[i]);
        }
    }

    private static void Compare(Parameter matrix, float[] before, float[] after, float[] gradients, double[] momentum)
    {
        const double beta = 0.95;

        // Upright: the shorter side as columns.
        bool isWide = matrix.Columns > matrix.Rows;
        int rows = Math.Max(matrix.Rows, matrix.Columns), columns = Math.Min(matrix.Rows, matrix.Columns);
        double[,] x = new double[rows, columns];
        double squares = 0;
        for (int i = 0; i < matrix.Count; i++)
        {
            double gradient = (1 - beta) * gradients[matrix.Offset + i];
            momentum[i] = (beta * momentum[i]) + gradient;
            double direction = gradient + (beta * momentum[i]);
            (int row, int column) = (i / matrix.Columns, i % matrix.Columns);
            x[isWide ? column : row, isWide ? row : column] = direction;
            squares += direction * direction;
        }

        for (int row = 0; row < rows; row++)
            for (int column = 0; column < columns; column++)
                x[row, column] /= Math.Sqrt(squares);
        for (int iteration = 0; iteration < 5; iteration++)
        {
            double[,] gram = Product(Transpose(x), x), square = Product(gram, gram);
            for (int i = 0; i < columns; i++)
            {
                for (int j = 0; j < columns; j++)
                    gram[i, j] = (i == j ? 3.4445 : 0) - (4.7750 * gram[i, j]) + (2.0315 * square[i, j]);
            }

            x = Product(x, gram);
        }

        // Singular values of about one: an element of X is off by the rounding of the products before it. Each of the five iterations multiplies
        // an error by at most 3.5 and adds one of shorter side · 2^-24.
        double tolerance = Math.Pow(3.5, 5) * columns * Math.Pow(2, -24);
        for (int i = 0; i < matrix.Count; i++)
        {
            (int row, int column) = (i / matrix.Columns, i % matrix.Columns);
            double expected = x[isWide ? column : row, isWide ? row : column];
            long at = matrix.Offset + i;
            double found = ((before[at] * (1 - ((double)Rate * Decay))) - after[at]) / (Rate * 0.2 * Math.Sqrt(rows));
            double rounding = Math.Abs(before[at]) * Math.Pow(2, -23) / (Rate * 0.2 * Math.Sqrt(rows));
            Assert.True(Math.Abs(expected - found) <= tolerance + rounding, $"{matrix.Name}[{row}, {column}]: {found} instead of {expected}");
        }
    }

    private static double[,] Transpose(double[,] a)
    {
        double[,] result = new double[a.GetLength(1), a.GetLength(0)];
        for (int i = 0; i < a.GetLength(0); i++)
            for (int j = 0; j < a.GetLength(1); j++)
                result[j, i] = a[i, j];
        return result;
    }

    private static double[,] Product(double[,] a, double[,] b)
    {
        double[,] result = new double[a.GetLength(0), b.GetLength(1)];
        for (int i = 0; i < a.GetLength(0); i++)
            for (int k = 0; k < a.GetLength(1); k++)
                for (int j = 0; j < b.GetLength(1); j++)
                    result[i, j] += a[i, k] * b[k, j];
        return result;
    }
}
