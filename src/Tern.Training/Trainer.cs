using Tern.Files;
using Tern.Machine;

namespace Tern.Training;

/// <summary>
/// Trains one model: forward and backward by hand over a fixed graph, AdamW, checkpoints, export. One thread calls it. The same seed, recipe and
/// batches give the same weights bit for bit, with any number of threads.
/// </summary>
internal sealed class Trainer : IDisposable
{
    /// <summary>A model with fresh weights.</summary>
    /// <param name="shape">Its dimensions.</param>
    /// <param name="recipe">How it is trained.</param>
    /// <param name="seed">Of the weights and of stochastic rounding.</param>
    /// <param name="pool">Workers; must outlive the trainer.</param>
    /// <param name="teacher">For <see cref="TrainingRecipe.Distillation"/>: same vocabulary, same layers and heads if the attention term is used; must outlive the trainer. Null without distillation.</param>
    /// <exception cref="TernException">Shape or recipe are out of range, the teacher does not fit, or memory is short.</exception>
    public Trainer(ModelShape shape, TrainingRecipe recipe, ulong seed, WorkerPool pool, Trainer? teacher) =>
        throw new NotSupportedException($"{shape} {recipe} {seed} {pool} {teacher}");

    public ModelShape Shape => throw new NotSupportedException();

    public TrainingRecipe Recipe => throw new NotSupportedException();

    public ulong Seed => throw new NotSupportedException();

    /// <summary>Optimizer steps done.</summary>
    public int StepsDone => throw new NotSupportedException();

    /// <summary>All weights.</summary>
    public long Parameters => throw new NotSupportedException();

    /// <summary>Bytes that a trainer of this shape takes: weights, gradients, moments and the workspace of a micro batch.</summary>
    /// <param name="shape">Dimensions.</param>
    /// <param name="recipe">How it is trained.</param>
    /// <param name="microSequences">Sequences computed at a time.</param>
    /// <param name="length">Tokens of each.</param>
    /// <param name="threads">Workers.</param>
    public static long MemoryNeeded(ModelShape shape, TrainingRecipe recipe, int microSequences, int length, int threads) =>
        throw new NotSupportedException($"{shape} {recipe} {microSequences} {length} {threads}");

    /// <summary>A model with the weights of a GGUF file (F32, F16, BF16 or any type that decodes), for fine-tuning or as a teacher.</summary>
    /// <param name="path">A model of an architecture that the trainer knows: llama, bitnet, bitnet-b1.58.</param>
    /// <param name="context">Longest sequence that will be trained.</param>
    /// <param name="recipe">How it is trained.</param>
    /// <param name="seed">Of stochastic rounding.</param>
    /// <param name="pool">Workers.</param>
    /// <param name="teacher">As in the constructor.</param>
    /// <exception cref="TernException">The file is not a model that the trainer can hold.</exception>
    public static Trainer From(string path, int context, TrainingRecipe recipe, ulong seed, WorkerPool pool, Trainer? teacher) =>
        throw new NotSupportedException($"{path} {context} {recipe} {seed} {pool} {teacher}");

    /// <summary>One optimizer step over all micro batches of <paramref name="batch"/>.</summary>
    /// <exception cref="TernException">A token is outside the vocabulary, or the sequences are longer than the context.</exception>
    public StepReport Step(TokenBatch batch) => throw new NotSupportedException($"{batch}");

    /// <summary>Cross-entropy of a batch without training, with the recipe's quantizer.</summary>
    public LossSum Loss(TokenBatch batch) => throw new NotSupportedException($"{batch}");

    /// <summary>Cross-entropy under another quantizer (post-training quantization of the present weights), or of the moving average of the weights.</summary>
    /// <param name="batch">Tokens.</param>
    /// <param name="linear">What the linear layers compute with.</param>
    /// <param name="average">Use the moving average; the recipe must keep one.</param>
    public LossSum Loss(TokenBatch batch, Quantizer linear, bool average) => throw new NotSupportedException($"{batch} {linear} {average}");

    /// <summary>Logits of the last token of one sequence, for samples of text; uses the recipe's quantizer.</summary>
    /// <param name="tokens">1 to context ids.</param>
    /// <param name="logits">[vocabulary].</param>
    public void LastLogits(ReadOnlySpan<int> tokens, Span<float> logits) => throw new NotSupportedException($"{tokens.Length} {logits.Length}");

    /// <summary>The distribution of codes in every linear layer, as the present weights quantize to ternary.</summary>
    public IReadOnlyList<CodeShares> Shares() => throw new NotSupportedException();

    /// <summary>Writes weights, moments, step, random numbers and the caller's own state to one file, atomically.</summary>
    /// <param name="path">The checkpoint.</param>
    /// <param name="dataState">Opaque bytes of the caller, such as the position in the data; given back by <see cref="Load"/>.</param>
    /// <exception cref="TernException">The file cannot be written.</exception>
    public void Save(string path, ReadOnlySpan<byte> dataState) => throw new NotSupportedException($"{path} {dataState.Length}");

    /// <summary>Opens a checkpoint; the next step continues bit for bit where <see cref="Save"/> was called.</summary>
    /// <exception cref="TernException">The file is missing or damaged, or the teacher does not fit.</exception>
    public static Trainer Load(string path, WorkerPool pool, Trainer? teacher, out byte[] dataState) =>
        throw new NotSupportedException($"{path} {pool} {teacher} {dataState = []}");

    /// <summary>What a checkpoint holds, from its head alone.</summary>
    /// <exception cref="TernException">The file is missing or damaged.</exception>
    public static CheckpointHeader Describe(string path) => throw new NotSupportedException(path);

    /// <summary>Writes the model as GGUF: quantized from the float masters, as the forward pass quantizes them.</summary>
    /// <param name="path">The file; replaced as a whole.</param>
    /// <param name="tokenizer">Its <c>tokenizer.*</c> keys are copied; as many tokens as the vocabulary or fewer.</param>
    /// <param name="options">Types and name.</param>
    /// <exception cref="TernException">The type does not fit the precision or the shape, or the file cannot be written.</exception>
    public void Export(string path, Metadata tokenizer, ExportOptions options) => throw new NotSupportedException($"{path} {tokenizer} {options}");

    public void Dispose()
    {
    }
}

/// <summary>What the head of a checkpoint says.</summary>
internal sealed record CheckpointHeader(ModelShape Shape, TrainingRecipe Recipe, ulong Seed, int StepsDone);
