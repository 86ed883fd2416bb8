using Tern.Files;
using Tern.Machine;
using Tern.Text;
using Tern.Training;

namespace Tern.Tests.Training;

/// <summary>Shapes and batches small enough for tests, with every optional part in at least one of them.</summary>
internal static class TinyModels
{
    public const int Vocabulary = 320;

    /// <summary>Grouped key heads, sub norms, tied head.</summary>
    public static ModelShape BitNet { get; } = new()
    {
        Layers = 2,
        Hidden = 64,
        Heads = 4,
        KvHeads = 2,
        HeadDim = 32,
        FeedForward = 96,
        Vocabulary = 96,
        Context = 80,
    };

    /// <summary>The plain layout: SiLU, no sub norms, a head of its own, heads that are no whole panels.</summary>
    public static ModelShape Llama { get; } = new()
    {
        Layers = 2,
        Hidden = 64,
        Heads = 2,
        KvHeads = 2,
        HeadDim = 48,
        FeedForward = 96,
        Vocabulary = 96,
        Context = 80,
        SubNorms = false,
        Activation = FeedForwardActivation.Silu,
        TiedHead = false,
    };

    /// <summary>Rows of 256, which tensor types of blocks can hold, so that it can be exported in all of them.</summary>
    public static ModelShape Blocks(bool subNorms, bool silu) => new()
    {
        Layers = 2,
        Hidden = 256,
        Heads = 4,
        KvHeads = 2,
        HeadDim = 64,
        FeedForward = 256,
        Vocabulary = Vocabulary,
        Context = 64,
        SubNorms = subNorms,
        Activation = silu ? FeedForwardActivation.Silu : FeedForwardActivation.SquaredRelu,
        TiedHead = !silu,
    };

    public static ModelShape Of(string name) => name == "llama" ? Llama : BitNet;

    public static TrainingRecipe Recipe(LinearPrecision precision) => new()
    {
        Linear = new Quantizer { Precision = precision },
        Steps = 40,
        WarmUpSteps = 4,
        InitialDeviation = 0.1f,
    };

    /// <summary>Random tokens with every tenth target left out; 3 sequences of 53 in micro batches of 2.</summary>
    public static TokenBatch Batch(ModelShape shape, int seed)
    {
        var random = new Random(seed);
        var batch = new TokenBatch(3, 53, 2);
        for (int i = 0; i < batch.Inputs.Length; i++)
        {
            batch.Inputs[i] = random.Next(shape.Vocabulary);
            batch.Targets[i] = random.Next(10) == 0 ? TokenBatch.NoLoss : random.Next(shape.Vocabulary);
        }

        return batch;
    }

    /// <summary>Trains some steps and gives the weights.</summary>
    public static float[] Train(Trainer trainer, int steps, int firstSeed)
    {
        for (int step = 0; step < steps; step++)
            Assert.Null(trainer.Step(Batch(trainer.Shape, firstSeed + step)).NonFinite);
        return trainer.EditWeights().Span.ToArray();
    }

    public static WorkerPool Pool(int threads) => new(threads);

    /// <summary>The 256 byte tokens.</summary>
    public static Metadata Tokenizer()
    {
        var metadata = new Metadata("tokenizer");
        metadata.Set("tokenizer.ggml.model", "gpt2");
        metadata.Set("tokenizer.ggml.pre", "gpt-2");
        metadata.Set("tokenizer.ggml.tokens", StringTable.From(Enumerable.Range(0, 256).Select(b => ByteAlphabet.Spell((byte)b).ToString())));
        metadata.Set("tokenizer.ggml.merges", StringTable.From([]));
        metadata.Set("tokenizer.ggml.bos_token_id", 0u);
        metadata.Set("tokenizer.ggml.eos_token_id", 0u);
        return metadata;
    }
}
