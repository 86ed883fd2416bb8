using Tern.Files;
using Tern.Kernels;
using Tern.Machine;
using Tern.Numerics;

namespace Tern.Models;

/// <summary>A linear layer: its matrix and, in the BitNet embedding models, the norm in front of it.</summary>
internal sealed class Linear(Tensor tensor, FloatMatrix? inputNorm) : IDisposable
{
    private WeightMatrix? _matrix;

    public Tensor Tensor => tensor;

    /// <summary>[columns], or null.</summary>
    public FloatMatrix? InputNorm => inputNorm;

    /// <summary>[rows, columns] in the layout of its kernel row.</summary>
    public WeightMatrix Matrix => _matrix ?? throw new InvalidOperationException($"{tensor.Name} is not prepared");

    /// <summary>Chooses the kernel row and repacks if it wants another layout.</summary>
    public void Prepare(KernelChoice choice, WorkerPool pool, bool floatActivations, WeightArena arena) =>
        _matrix = MatMul.Prepare(tensor, choice, pool, floatActivations, arena);

    public void Dispose()
    {
        _matrix?.Dispose();
        inputNorm?.Dispose();
    }
}

/// <summary>The weights of one layer. Norms are [1, size]; those that the model does not have are null.</summary>
internal sealed record LayerWeights(
    FloatMatrix AttentionNorm,
    Linear Query,
    Linear Key,
    Linear Value,
    FloatMatrix? QueryNorm,
    FloatMatrix? KeyNorm,
    FloatMatrix? AttentionSubNorm,
    Linear Output,
    FloatMatrix? PostAttentionNorm,
    FloatMatrix FeedForwardNorm,
    Linear Gate,
    Linear Up,
    FloatMatrix? FeedForwardSubNorm,
    Linear Down,
    FloatMatrix? PostFeedForwardNorm)
{
    public IEnumerable<Linear> Linears => [Query, Key, Value, Output, Gate, Up, Down];

    public IEnumerable<FloatMatrix?> Norms =>
        [AttentionNorm, QueryNorm, KeyNorm, AttentionSubNorm, PostAttentionNorm, FeedForwardNorm, FeedForwardSubNorm, PostFeedForwardNorm];
}

/// <summary>All weights of a model, bound by name, checked for shape, in their working layout.</summary>
internal sealed class ModelWeights : IDisposable
{
    private readonly WeightArena _arena = new();

    private ModelWeights(Tensor embedding, LayerWeights[] layers, FloatMatrix outputNorm, Linear? head, FloatMatrix? ropeFactors) =>
        (Embedding, Layers, OutputNorm, Head, RopeFactors) = (embedding, layers, outputNorm, head, ropeFactors);

    /// <summary>How the kernel rows were chosen.</summary>
    public TuningSource Tuning { get; private set; }

    /// <summary>[vocabulary, hidden]: rows are decoded as tokens need them.</summary>
    public Tensor Embedding { get; }

    public IReadOnlyList<LayerWeights> Layers { get; }

    public FloatMatrix OutputNorm { get; }

    /// <summary>[vocabulary, hidden]; null in embedding models.</summary>
    public Linear? Head { get; }

    /// <summary>The head in planes of 4 bits, where it is screened.</summary>
    public HeadPlanes? HeadPlanes { get; private set; }

    /// <summary>[ropeDimensions / 2] divisors of the rotary frequencies, or null.</summary>
    public FloatMatrix? RopeFactors { get; }

    /// <summary>Every linear layer, the head included.</summary>
    public IEnumerable<Linear> Linears => Layers.SelectMany(l => l.Linears).Concat(Head is null ? [] : [Head]);

    /// <summary>
    /// Finds every tensor that the spec asks for, and reports all that are missing, misshapen or in the way in one error; then chooses kernels
    /// and repacks.
    /// </summary>
    /// <param name="spec">What the model is.</param>
    /// <param name="file">Where the tensors are; must stay open as long as the weights.</param>
    /// <param name="options">Kernels and progress.</param>
    /// <param name="pool">Shares the repacking.</param>
    /// <param name="warn">Receives a line about tensors that are not used.</param>
    /// <exception cref="TernException">Missing or misshapen tensors, or contents that no kernel may see.</exception>
    public static ModelWeights Bind(ModelSpec spec, ModelSource file, ModelOptions options, WorkerPool pool, Action<string> warn)
    {
        var binder = new TensorBinder(file);
        int hidden = spec.HiddenSize;
        int queryWidth = spec.Heads * spec.HeadDim;
        int keyWidth = spec.KvHeads * spec.HeadDim;
        int wide = spec.FeedForwardSize;

        Tensor embedding = binder.Matrix("token_embd.weight", spec.VocabularySize, hidden);
        FloatMatrix outputNorm = binder.Norm("output_norm.weight", hidden);
        Linear? head = spec.IsEmbedding ? null : spec.TiedEmbeddings
            ? new Linear(embedding, null)
            : new Linear(binder.Matrix("output.weight", spec.VocabularySize, hidden), null);
        FloatMatrix? ropeFactors = binder.Has("rope_freqs.weight") ? binder.Norm("rope_freqs.weight", spec.Rope.Dimensions / 2) : null;
        var layers = new LayerWeights[spec.Layers];
        for (int i = 0; i < layers.Length; i++)
        {
            string prefix = $"blk.{i}.";
            layers[i] = new LayerWeights(
                AttentionNorm: Norm("attn_norm", hidden),
                Query: Linear("attn_q", queryWidth, hidden),
                Key: Linear("attn_k", keyWidth, hidden),
                Value: Linear("attn_v", keyWidth, hidden),
                QueryNorm: NormIf(spec.HasQueryKeyNorms, "attn_q_norm", spec.HeadDim),
                KeyNorm: NormIf(spec.HasQueryKeyNorms, "attn_k_norm", spec.HeadDim),
                AttentionSubNorm: NormIf(spec.HasSubNorms, "attn_sub_norm", queryWidth),
                Output: Linear("attn_output", hidden, queryWidth),
                PostAttentionNorm: NormIf(spec.HasPostNorms, "post_attention_norm", hidden),
                FeedForwardNorm: Norm("ffn_norm", hidden),
                Gate: Linear("ffn_gate", wide, hidden),
                Up: Linear("ffn_up", wide, hidden),
                FeedForwardSubNorm: NormIf(spec.HasSubNorms, "ffn_sub_norm", wide),
                Down: Linear("ffn_down", hidden, wide),
                PostFeedForwardNorm: NormIf(spec.HasPostNorms, "post_ffw_norm", hidden));

            FloatMatrix Norm(string name, int size) => binder.Norm($"{prefix}{name}.weight", size);
            FloatMatrix? NormIf(bool present, string name, int size) => present ? Norm(name, size) : null;
            Linear Linear(string name, int rows, int columns) =>
                new(binder.Matrix($"{prefix}{name}.weight", rows, columns), NormIf(spec.HasInputNorms, $"{name}_norm_in", columns));
        }

        binder.Finish(warn);
        var weights = new ModelWeights(embedding, layers, outputNorm, head, ropeFactors);
        weights.Prepare(file, options, pool);
        return weights;
    }

    public void Dispose()
    {
        foreach (Linear linear in Linears)
            linear.Dispose();
        foreach (FloatMatrix? norm in Layers.SelectMany(l => l.Norms))
            norm?.Dispose();
        OutputNorm.Dispose();
        HeadPlanes?.Dispose();
        RopeFactors?.Dispose();
        _arena.Dispose();
    }

    /// <summary>
    /// Brings every matrix to its working layout. One that was repacked leaves the map of the file at once, so that at no time two copies of
    /// more than one matrix are in memory; its neighbours may have mapped its last pages again, hence the second round.
    /// </summary>
    private void Prepare(ModelSource file, ModelOptions options, WorkerPool pool)
    {
        TunedKernels kernels = TunedKernels.Of([.. Layers.SelectMany(l => l.Linears).Select(l => l.Tensor)], Head?.Tensor, options, pool);
        Tuning = kernels.Source;
        Linear[] linears = [.. Linears];
        long bytes = linears.Sum(l => l.Tensor.ByteCount);
        long done = 0;
        for (int i = 0; i < linears.Length; i++)
        {
            options.CancellationToken.ThrowIfCancellationRequested();
            Linear linear = linears[i];
            if (i + 1 < linears.Length)
                file.Fetch(linears[i + 1].Tensor);
            linear.Prepare(kernels.For(linear.Tensor.Type), pool, options.FloatActivations, _arena);
            if (!linear.Matrix.IsInPlace)
                file.Drop(linear.Tensor);
            done += linear.Tensor.ByteCount;
            options.Progress?.Invoke((double)done / bytes);
        }

        if (Head is not null)
            HeadPlanes = OutputHead.Planes(Head, options, pool);
        foreach (Linear linear in linears)
            if (!linear.Matrix.IsInPlace || (linear == Head && HeadPlanes is not null)) // of a screened head few rows are read again
                file.Drop(linear.Tensor);
    }
}
