using Tern.Machine;
using Tern.Training;
using Tern.Training.Weights;

namespace Tern.Tests.Training;

/// <summary>A step that meets NaN or infinities names the place and changes nothing.</summary>
public sealed class NonFiniteTests
{
    [Theory]
    [InlineData("blk.1.attn_k", float.NaN, "blk.1.attn_k")]
    [InlineData("blk.0.ffn_norm", float.PositiveInfinity, "blk.0.ffn_norm")]
    [InlineData("token_embd", float.NaN, "token_embd")]
    [InlineData("blk.0.attn_norm", 1e30f, "blk.0.attention")]
    [InlineData("blk.1.ffn_up", 3e38f, "blk.1.ffn_gate_up")]
    public void The_first_place_is_named_and_nothing_changes(string parameter, float poison, string expected)
    {
        using WorkerPool pool = TinyModels.Pool(2);
        using var trainer = new Trainer(TinyModels.Llama, TinyModels.Recipe(LinearPrecision.Full), 9, pool, null);
        TinyModels.Train(trainer, 1, firstSeed: 0);
        Parameter target = trainer.Tensors.All.First(p => p.Name == parameter);
        trainer.EditWeights().Part(target.Offset, (int)Math.Min(target.Count, 4096)).Fill(poison);
        float[] before = trainer.EditWeights().Span.ToArray();
        StepReport report = trainer.Step(TinyModels.Batch(trainer.Shape, 1));
        Assert.Equal(expected, report.NonFinite);
        Assert.Equal(1, trainer.StepsDone);
        Assert.Equal(before.Select(BitConverter.SingleToInt32Bits), trainer.EditWeights().Span.ToArray().Select(BitConverter.SingleToInt32Bits));
    }

    [Fact]
    public void Weights_whose_loss_is_finite_but_whose_gradient_is_not_are_found()
    {
        // Values that nobody reads yet, because the rows that would read them are zero, and that the gradient of those rows is made of.
        using WorkerPool pool = TinyModels.Pool(2);
        using var trainer = new Trainer(TinyModels.Llama, TinyModels.Recipe(LinearPrecision.Full), 9, pool, null);
        TokenBatch batch = TinyModels.Batch(trainer.Shape, 1);
        Assert.Null(trainer.FindNonFinite(batch));
        LayerParameters layer = trainer.Tensors.Layers[0];
        foreach (Parameter parameter in new[] { layer.Query, layer.Key, layer.Value })
            trainer.EditWeights().Part(parameter.Offset, (int)parameter.Count).Clear();
        trainer.EditWeights().Part(layer.AttentionNorm.Offset, (int)layer.AttentionNorm.Count).Fill(1e37f);
        foreach (ref float weight in trainer.EditWeights().Part(layer.Output.Offset, (int)layer.Output.Count))
            weight *= 1e6f;
        Assert.True(double.IsFinite(trainer.Loss(batch).Mean));
        Assert.Equal(layer.Value.Name, trainer.FindNonFinite(batch));
        Assert.Equal(layer.Value.Name, trainer.Step(batch).NonFinite);
    }
}
