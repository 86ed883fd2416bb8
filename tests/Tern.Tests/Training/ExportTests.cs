using Tern.Files;
using Tern.Kernels;
using Tern.Machine;
using Tern.Measure;
using Tern.Models;
using Tern.Numerics;
using Tern.Tests.Files;
using Tern.Tests.Models;
using Tern.Training;
using Tern.Training.Weights;

namespace Tern.Tests.Training;

/// <summary>
/// A model that was trained, written and loaded gives the trainer's own logits. BitLinear sums are the same integers on both sides and
/// dequantized by the same operations; what is left is the order of float sums in attention and head.
/// </summary>
public sealed class ExportTests
{
    [Theory]
    [InlineData(true, false, nameof(LinearPrecision.Ternary), "I2_S", "bitnet-b1.58")]
    [InlineData(true, true, nameof(LinearPrecision.Ternary), "I2_S", "bitnet")]
    [InlineData(false, true, nameof(LinearPrecision.Ternary), "I2_S", "llama")]
    [InlineData(true, false, nameof(LinearPrecision.Binary), "I2_S", "bitnet-b1.58")]
    [InlineData(false, true, nameof(LinearPrecision.Full), "F32", "llama")]
    public void The_engine_gives_the_trainer_s_logits(bool subNorms, bool silu, string precision, string type, string architecture)
    {
        using var folder = new TempFolder();
        using WorkerPool pool = TinyModels.Pool(2);
        ModelShape shape = TinyModels.Blocks(subNorms, silu);
        using var trainer = new Trainer(shape, TinyModels.Recipe(Enum.Parse<LinearPrecision>(precision)), 7, pool, null);
        TinyModels.Train(trainer, 20, firstSeed: 0);
        string path = folder.File("trained.gguf");
        trainer.Export(path, TinyModels.Tokenizer(), new ExportOptions { Linears = TypeOf(type), Embeddings = TensorType.F32 });

        int[] prompt = [.. Enumerable.Range(0, 50).Select(i => i * 37 % 256)];
        float[] expected = new float[shape.Vocabulary];
        trainer.LastLogits(prompt, expected);
        float[] actual = Engine(path, prompt, architecture);
        double worst = expected.Zip(actual, (e, a) => Math.Abs(e - a)).Max();
        Assert.True(worst <= 1e-4, $"the worst logit differs by {worst:g3}");
        Assert.True(expected.Max() - expected.Min() > 1, "logits of a trained model are not all alike");
    }

    [Theory]
    [InlineData("TQ1_0")]
    [InlineData("TQ2_0")]
    public void Block_types_differ_by_the_rounding_of_their_scales_only(string type)
    {
        using var folder = new TempFolder();
        using WorkerPool pool = TinyModels.Pool(2);
        ModelShape shape = TinyModels.Blocks(subNorms: true, silu: false);
        using var trainer = new Trainer(shape, TinyModels.Recipe(LinearPrecision.Ternary), 7, pool, null);
        TinyModels.Train(trainer, 3, firstSeed: 0);
        string path = folder.File("trained.gguf");
        trainer.Export(path, TinyModels.Tokenizer(), new ExportOptions { Linears = TypeOf(type), Embeddings = TensorType.F16 });
        int[] prompt = [.. Enumerable.Range(0, 50).Select(i => i * 37 % 256)];
        float[] expected = new float[shape.Vocabulary];
        trainer.LastLogits(prompt, expected);
        float[] actual = Engine(path, prompt, "bitnet-b1.58");
        double error = expected.Zip(actual, (e, a) => (double)(e - a) * (e - a)).Sum(), size = expected.Sum(e => (double)e * e);
        // A scale of half precision moves some activations over a rounding edge; the engine's own models of block types have this tolerance.
        Assert.True(Math.Sqrt(error / size) <= 0.06, $"normalised error {Math.Sqrt(error / size):g3}");
    }

    [Theory]
    [InlineData(true, false)]
    [InlineData(false, true)]
    public void A_full_precision_model_comes_back_as_it_was(bool subNorms, bool silu)
    {
        using var folder = new TempFolder();
        using WorkerPool pool = TinyModels.Pool(2);
        TrainingRecipe recipe = TinyModels.Recipe(LinearPrecision.Full);
        using var trainer = new Trainer(TinyModels.Blocks(subNorms, silu), recipe, 7, pool, null);
        float[] expected = TinyModels.Train(trainer, 2, firstSeed: 0);
        string path = folder.File("full.gguf");
        trainer.Export(path, TinyModels.Tokenizer(), new ExportOptions { Linears = TensorType.F32, Embeddings = TensorType.F32 });
        using var back = Trainer.From(path, Trainer.ShapeOf(path, trainer.Shape.Context, subNorms: null), recipe, 1, pool, null);
        Assert.Equal(trainer.Shape, back.Shape);
        Assert.Equal(expected, back.EditWeights().Span.ToArray());
    }

    [Fact]
    public void Sub_norms_are_inserted_with_the_gain_one_and_never_taken_out()
    {
        using var folder = new TempFolder();
        using WorkerPool pool = TinyModels.Pool(2);
        TrainingRecipe recipe = TinyModels.Recipe(LinearPrecision.Full);
        using var plain = new Trainer(TinyModels.Blocks(subNorms: false, silu: true), recipe, 7, pool, null);
        string path = folder.File("plain.gguf");
        plain.Export(path, TinyModels.Tokenizer(), new ExportOptions { Linears = TensorType.F32, Embeddings = TensorType.F32 });

        ModelShape shape = Trainer.ShapeOf(path, 64, subNorms: true);
        Assert.Equal(plain.Shape with { SubNorms = true }, shape);
        using var back = Trainer.From(path, shape, recipe, 1, pool, null);
        foreach (Parameter parameter in back.Tensors.All)
        {
            float[] values = back.EditWeights().Part(parameter.Offset, (int)parameter.Count).ToArray();
            if (plain.Tensors.All.FirstOrDefault(p => p.Name == parameter.Name) is { } source)
                Assert.Equal(plain.EditWeights().Part(source.Offset, (int)source.Count).ToArray(), values);
            else
                Assert.All(values, gain => Assert.Equal(1, gain));
        }

        Assert.Equal(plain.Tensors.All.Count + 4, back.Tensors.All.Count);
        string inserted = folder.File("inserted.gguf");
        back.Export(inserted, TinyModels.Tokenizer(), new ExportOptions { Linears = TensorType.F32, Embeddings = TensorType.F32 });
        Assert.Contains("cannot be taken out", Assert.Throws<TernException>(() => Trainer.ShapeOf(inserted, 64, subNorms: false)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_folder_of_safetensors_gives_the_weights_of_the_gguf_file_with_its_vocabulary_filled_up()
    {
        using var folder = new TempFolder();
        using WorkerPool pool = TinyModels.Pool(1);
        TrainingRecipe recipe = TinyModels.Recipe(LinearPrecision.Full);
        var checkpoint = new TinyCheckpoint("llama", LinearForm.Dense, TensorType.BF16);
        string file = folder.File("tiny.gguf"), place = folder.File("tiny");
        checkpoint.WriteGguf(file);
        checkpoint.WriteFolder(place);
        using Model model = Model.Load(file, new ModelOptions { Threads = 1 });
        int tokens = model.Spec.VocabularySize;

        using var fromFile = Trainer.From(file, Trainer.ShapeOf(file, 64, subNorms: null), recipe, 1, pool, null);
        using var fromFolder = Trainer.From(place, Trainer.ShapeOf(place, 64, subNorms: null), recipe, 1, pool, null);
        Assert.Equal(fromFile.Shape, fromFolder.Shape);
        Assert.Equal(fromFile.EditWeights().Span.ToArray(), fromFolder.EditWeights().Span.ToArray());
        Assert.NotEqual(0, tokens % ModelShape.Granule);
        Assert.Equal(tokens, fromFile.Shape.Tokens);
        int kept = tokens * fromFile.Shape.Hidden, all = fromFile.Shape.Vocabulary * fromFile.Shape.Hidden;
        float[] embedding = fromFile.EditWeights().Part(0, all).ToArray();
        Assert.Contains(embedding[..kept], weight => weight != 0);
        Assert.All(embedding[kept..], weight => Assert.Equal(0, weight));

        // No softmax knows of the rows that fill it up, and no file.
        var logits = new float[fromFile.Shape.Vocabulary];
        fromFile.LastLogits([1, 2, 3], logits);
        Assert.All(logits[tokens..], logit => Assert.True(Math.Exp(logit - logits[..tokens].Min()) == 0));
        string again = folder.File("again.gguf");
        fromFile.Export(again, model.Metadata, new ExportOptions { Linears = TensorType.F32, Embeddings = TensorType.F32 });
        Assert.Equal(fromFile.Shape, Trainer.ShapeOf(again, 64, subNorms: null));
    }

    /// <summary>A scale is the mean magnitude of all weights, zeros included, so masters that were read as codes times scale would shrink.</summary>
    [Theory]
    [InlineData("I2_S")]
    [InlineData("TQ2_0")]
    public void A_ternary_model_goes_on_with_its_own_weights(string type)
    {
        using var folder = new TempFolder();
        using WorkerPool pool = TinyModels.Pool(2);
        TrainingRecipe recipe = TinyModels.Recipe(LinearPrecision.Ternary);
        using var trainer = new Trainer(TinyModels.Blocks(subNorms: true, silu: false), recipe, 7, pool, null);
        TinyModels.Train(trainer, 5, firstSeed: 0);
        string path = folder.File("ternary.gguf"), again = folder.File("again.gguf");
        var options = new ExportOptions { Linears = TypeOf(type), Embeddings = TensorType.F32 };
        trainer.Export(path, TinyModels.Tokenizer(), options);
        using var back = Trainer.From(path, Trainer.ShapeOf(path, trainer.Shape.Context, subNorms: null), recipe, 1, pool, null);
        back.Export(again, TinyModels.Tokenizer(), options);
        using GgufFile first = GgufFile.Open(path), second = GgufFile.Open(again);
        foreach (Parameter parameter in trainer.Tensors.Linears)
        {
            (float[] expected, float[] actual) = (Values(first, parameter), Values(second, parameter));
            Assert.Equal(expected.Select(MathF.Sign), actual.Select(MathF.Sign));
            Assert.Equal(expected.Max(), actual.Max(), expected.Max() * 1e-6f);
        }

        static float[] Values(GgufFile file, Parameter parameter)
        {
            Tensor tensor = file.Tensors[parameter.Name + ".weight"];
            var values = new float[parameter.Count];
            for (int row = 0; row < parameter.Rows; row++)
                tensor.DecodeRow(row, values.AsSpan(row * parameter.Columns, parameter.Columns));
            return values;
        }
    }

    [Fact]
    public void Masters_of_a_ternary_checkpoint_are_what_is_trained_on()
    {
        using var folder = new TempFolder();
        using WorkerPool pool = TinyModels.Pool(1);
        var checkpoint = new TinyCheckpoint("bitnet-b1.58", LinearForm.Master, TensorType.BF16);
        string place = folder.File("tiny");
        checkpoint.WriteFolder(place);
        ModelShape shape = Trainer.ShapeOf(place, 64, subNorms: null);
        using var masters = Trainer.From(place, shape, TinyModels.Recipe(LinearPrecision.Ternary), 1, pool, null);
        using var codes = Trainer.From(place, shape, TinyModels.Recipe(LinearPrecision.Full), 1, pool, null);
        Parameter query = masters.Tensors.Layers[0].Query;
        float[] fine = masters.EditWeights().Part(query.Offset, (int)query.Count).ToArray(), coarse = codes.EditWeights().Part(query.Offset, (int)query.Count).ToArray();
        Assert.Equal(3, coarse.Distinct().Count());
        Assert.True(fine.Distinct().Count() > 100);
        double scale = fine.Average(w => Math.Abs((double)w));
        Assert.Equal(fine.Select(w => Math.Clamp(Math.Round(w / scale), -1, 1)), coarse.Select(w => (double)MathF.Sign(w)));
    }

    [Fact]
    public void What_cannot_be_written_is_refused_with_a_reason()
    {
        using var folder = new TempFolder();
        using WorkerPool pool = TinyModels.Pool(1);
        string path = folder.File("never.gguf");
        using var full = new Trainer(TinyModels.BitNet with { Vocabulary = 320 }, TinyModels.Recipe(LinearPrecision.Full), 7, pool, null);
        Refused(full, new ExportOptions { Linears = TensorType.I2S }, "Full");
        Refused(full, new ExportOptions { Linears = TensorType.Q1_0 }, "Binary");
        Refused(full, new ExportOptions { Linears = TensorType.F16, Embeddings = TensorType.TQ1_0 }, "embeddings");
        Refused(full, new ExportOptions { Linears = TensorType.Q6_K }, "256");
        using var few = new Trainer(TinyModels.BitNet, TinyModels.Recipe(LinearPrecision.Ternary), 7, pool, null);
        Refused(few, new ExportOptions(), "256 tokens");
        using var odd = new Trainer(TinyModels.BitNet with { SubNorms = false, Vocabulary = 320 }, TinyModels.Recipe(LinearPrecision.Ternary), 7, pool, null);
        Refused(odd, new ExportOptions(), "subNorms");

        void Refused(Trainer trainer, ExportOptions options, string reason)
        {
            TernException error = Assert.Throws<TernException>(() => trainer.Export(path, TinyModels.Tokenizer(), options));
            Assert.Contains(reason, error.Message, StringComparison.Ordinal);
            Assert.False(File.Exists(path));
        }
    }

    private static TensorType TypeOf(string name) => TensorType.All.First(t => t.Name == name);

    private static float[] Engine(string path, int[] prompt, string architecture)
    {
        using Model model = Model.Load(path, new ModelOptions { Threads = 2 });
        Assert.Equal(architecture, model.Spec.Architecture);
        using var probe = new LogitProbe(model, 64, 0, KvType.F32);
        return probe.Run(prompt, 1, CancellationToken.None).Logits;
    }
}
