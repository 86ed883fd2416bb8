using Tern.Kernels;
using Tern.Machine;
using Tern.Models;
using Tern.Numerics;
using Tern.Tests.Files;
using Tern.Training;
using Tern.Training.Mathematics;
using Tern.Training.Weights;
using Workspace = Tern.Training.Workspace;

namespace Tern.Tests.Training;

/// <summary>
/// Trainer and engine meet in the integers: every linear layer of a trained model, on the activations that the trainer's own forward pass left in
/// front of it, quantized by the engine and multiplied by the engine's kernel with the exported tensor, has the sums of the trainer's product.
/// </summary>
public sealed unsafe class IntegerSumTests
{
    private const int Length = 50;

    private static readonly int[] s_rows = [0, 17, Length - 1];

    [Theory]
    [InlineData(true, false, nameof(LinearPrecision.Ternary))]
    [InlineData(true, true, nameof(LinearPrecision.Ternary))]
    [InlineData(false, true, nameof(LinearPrecision.Ternary))]
    [InlineData(true, false, nameof(LinearPrecision.Binary))]
    public void Every_linear_layer_has_the_same_sums_in_trainer_and_engine(bool subNorms, bool silu, string precision)
    {
        using var folder = new TempFolder();
        using WorkerPool pool = TinyModels.Pool(2);
        ModelShape shape = TinyModels.Blocks(subNorms, silu) with { FeedForward = 384 };
        using var trainer = new Trainer(shape, TinyModels.Recipe(Enum.Parse<LinearPrecision>(precision)), 7, pool, null);
        TinyModels.Train(trainer, 20, firstSeed: 0);
        string path = folder.File("trained.gguf");
        trainer.Export(path, TinyModels.Tokenizer(), new ExportOptions { Linears = TensorType.I2S });
        using Model model = Model.Load(path, new ModelOptions { Threads = 2 });

        // The forward pass of a training step, and what it leaves behind.
        using var network = new Network(shape, trainer.Tensors, pool);
        network.Prepare(trainer.EditWeights().Pointer, new QuantizerState(trainer.Recipe.Linear, 1));
        Workspace space = network.Reserve(Length);
        for (int i = 0; i < Length; i++)
            space.Inputs[i] = i * 37 % 256;
        network.Forward(1, Length);

        int layers = 0, sums = 0;
        for (int i = 0; i < shape.Layers; i++)
        {
            LayerSpace s = space.Layers[i];
            LayerWeights w = model.Weights.Layers[i];
            int queries = shape.QueryWidth, keys = shape.KeyWidth, wide = shape.FeedForward;
            bool permutes = !subNorms;
            Check(new Case(w.Query, s.Input, w.AttentionNorm, s.AttentionOperand, s.QueryKeyValue.From(0, queries), default, permutes));
            Check(new Case(w.Key, s.Input, w.AttentionNorm, s.AttentionOperand, s.QueryKeyValue.From(queries, keys), default, permutes));
            Check(new Case(w.Value, s.Input, w.AttentionNorm, s.AttentionOperand, s.QueryKeyValue.From(queries + keys, keys), default, false));
            Check(new Case(w.Output, s.Context, w.AttentionSubNorm, s.OutputOperand, s.Middle, s.Input, false));
            Check(new Case(w.Gate, s.Middle, w.FeedForwardNorm, s.FeedForwardOperand, s.GateUp.From(0, wide), default, false));
            Check(new Case(w.Up, s.Middle, w.FeedForwardNorm, s.FeedForwardOperand, s.GateUp.From(wide, wide), default, false));
            Check(new Case(w.Down, s.GateUp, w.FeedForwardSubNorm, s.DownOperand, i + 1 < shape.Layers ? space.Layers[i + 1].Input : space.Final, s.Middle, false));
        }

        Assert.Equal(7 * shape.Layers, layers);
        int outputs = shape.QueryWidth + (2 * shape.KeyWidth) + shape.Hidden + (2 * shape.FeedForward) + shape.Hidden;
        Assert.Equal(s_rows.Length * shape.Layers * outputs, sums);

        void Check(Case c)
        {
            layers++;
            sums += Compare(model, shape, c);
        }
    }

    /// <summary>Compares three rows of one layer, and gives the number of sums.</summary>
    private static int Compare(Model model, ModelShape shape, Case c)
    {
        int columns = (int)c.Linear.Tensor.Columns, rows = (int)c.Linear.Tensor.Rows;
        using var x = new Activations(1, columns);
        float[] y = new float[rows], weights = new float[columns];
        int compared = 0;
        foreach (int token in s_rows)
        {
            x.Begin(1, columns);
            Activate(shape, c, token, x.Floats, columns);
            fixed (float* to = y)
                MatMul.Run(model.Pool, c.Linear.Matrix, x, to, rows);
            MatMulProblem quantized = default;
            x.Bind(ActivationForm.Int8PerToken, model.Pool, ref quantized);
            float multiplier = quantized.Scales[0];
            Assert.Equal(c.Operand.Multipliers[token], multiplier);
            for (int i = 0; i < columns; i++)
                Assert.Equal(*c.Operand.Values.At(token, i), quantized.Codes[i]);

            for (int row = 0; row < rows; row++)
            {
                int stored = c.Permutes ? Permuted(row, shape.HeadDim) : row;
                c.Linear.Tensor.DecodeRow(stored, weights);
                float scale = weights.Max(weight => Math.Abs(weight));
                int sum = 0;
                for (int i = 0; i < columns; i++)
                    sum += Math.Sign(weights[i]) * quantized.Codes[i];
                float expected = sum / multiplier * scale;
                string where = $"{c.Linear.Tensor.Name} row {row} token {token}";
                Assert.True(expected == y[stored], $"{where}: the engine has {y[stored]:r}, the sum {sum} is {expected:r}");
                float trained = c.Addend.Data == 0 ? expected : *c.Addend.At(token, row) + expected;
                Assert.True(trained == *c.Result.At(token, row), $"{where}: the trainer has {*c.Result.At(token, row):r}, the sum {sum} is {trained:r}");
                compared++;
            }
        }

        return compared;
    }

    /// <summary>Gate and norm by the engine's operations, with the norm's weights from the exported file.</summary>
    private static void Activate(ModelShape shape, Case c, int token, float* x, int columns)
    {
        Operations operations = Operations.For(Cpu.Available);
        float[] source = new float[c.Source.Width];
        for (int i = 0; i < source.Length; i++)
            source[i] = *c.Source.At(token, i);
        fixed (float* from = source)
        {
            if (source.Length == columns)
                new Span<float>(from, columns).CopyTo(new Span<float>(x, columns));
            else if (shape.Activation == FeedForwardActivation.Silu)
                operations.SiluGate(from, from + columns, x, columns);
            else
                operations.SquaredReluGate(from, from + columns, x, columns);
        }

        if (c.Norm is not null)
            operations.RmsNorm(x, c.Norm.Pointer, columns, shape.Epsilon, x);
    }

    /// <summary>Where llama files have the row of a query or key: halves become neighbours.</summary>
    private static int Permuted(int row, int headDim)
    {
        (int head, int within) = Math.DivRem(row, headDim);
        (int half, int pair) = Math.DivRem(within, headDim / 2);
        return (head * headDim) + (2 * pair) + half;
    }

    /// <summary>A linear layer of the engine, and what the trainer's pass has in front of it and behind it.</summary>
    private sealed record Case(Linear Linear, Panels Source, FloatMatrix? Norm, Operand Operand, Panels Result, Panels Addend, bool Permutes);
}
