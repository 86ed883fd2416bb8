using Tern.Kernels;

namespace Tern.Models;

/// <summary>
/// The forward pass: one spec-driven transformer for every architecture. One thread calls it. What a token's output is depends on its own
/// sequence alone: not on what else is in the batch, how its prompt was cut into chunks, the number of threads or the kernel row.
/// </summary>
internal sealed class Transformer : IDisposable
{
    private readonly ModelSpec _spec;
    private readonly ModelWeights _weights;
    private readonly Compute _compute;
    private readonly PagedAttention _attention;
    private readonly Workspace _workspace;
    private readonly RotaryFrequencies _rotary;
    private readonly RotaryFrequencies _localRotary;
    private readonly OutputHead? _head;
    private readonly int[] _outputRows;

    /// <param name="model">Weights.</param>
    /// <param name="cache">Keys and values; positions are addressed through the pages in each slice.</param>
    /// <param name="tokensMax">Most tokens in a batch.</param>
    /// <param name="logitRowsMax">Most rows of output in a batch.</param>
    /// <param name="contextMax">Most positions of one sequence.</param>
    public Transformer(Model model, KvCache cache, int tokensMax, int logitRowsMax, int contextMax)
    {
        _spec = model.Spec;
        _weights = model.Weights;
        _compute = new Compute(model.Kernels.Allowed, model.Pool);
        _attention = new PagedAttention(cache.Pages, cache.Memory, _spec.Layers, cache.PageCount, _spec.Heads, 1 / MathF.Sqrt(_spec.HeadDim), tokensMax, contextMax, model.Kernels.Allowed, model.Pool);
        _workspace = new Workspace(_spec, tokensMax, contextMax);
        ReadOnlySpan<float> divisors = _weights.RopeFactors is { } factors ? factors.Row(0) : [];
        _rotary = RotaryFrequencies.From(_spec.Rope, divisors);
        _localRotary = RotaryFrequencies.From(_spec.Rope with { Base = _spec.LocalRopeBase, Scaling = RopeScaling.None }, []);
        _head = _weights.Head is { } head ? new OutputHead(head.Matrix, _weights.HeadPlanes, _compute, logitRowsMax) : null;
        _outputRows = new int[logitRowsMax];
    }

    /// <summary>What the screened head has read.</summary>
    public HeadCounts HeadCounts => _head is null ? default : _head.Counts;

    /// <summary>
    /// Runs a batch. Output is [batch.LogitRowCount, spec.OutputSize]: logits, or in embedding models hidden states after the final norm.
    /// A slice's demand may be answered with a list instead, see <see cref="LogitDemand"/>.
    /// Every token must be in [0, vocabulary) and every position in [0, contextMax).
    /// </summary>
    public void Forward(Batch batch, Span<float> output)
    {
        int tokens = batch.TokenCount;
        Workspace w = _workspace;
        w.Positions.Clear();
        foreach (ref readonly Slice slice in batch.Slices)
            w.Positions.Add(slice.Pages, slice.First, slice.Count);
        w.Positions.FillAngles(_rotary.PerPair, _rotary.Magnitude, w.Angles);
        if (_spec.SlidingWindow > 0)
            w.Positions.FillAngles(_localRotary.PerPair, _localRotary.Magnitude, w.LocalAngles);

        Embed(batch.Tokens, w.Hidden);
        for (int i = 0; i < _spec.Layers; i++)
        {
            LayerWeights layer = _weights.Layers[i];
            AttentionBlock(layer, i, tokens);
            FeedForwardBlock(layer, tokens);
        }

        Head(batch, output);
    }

    public void Dispose()
    {
        _head?.Dispose();
        _workspace.Dispose();
        _attention.Dispose();
        _compute.Dispose();
    }

    /// <summary>x += attention(norm(x)).</summary>
    private void AttentionBlock(LayerWeights layer, int index, int tokens)
    {
        Workspace w = _workspace;
        bool local = _spec.IsLocal(index);
        FloatMatrix angles = local ? w.LocalAngles : w.Angles;

        Norm(layer.AttentionNorm, tokens);
        if (_spec.HasInputNorms)
        {
            Project(layer.Query, w.Query, tokens);
            Project(layer.Key, w.Key, tokens);
            Project(layer.Value, w.Value, tokens);
        }
        else
        {
            _compute.MatMul(w.Activations, tokens, layer.Query.Matrix, w.Query, layer.Key.Matrix, w.Key, layer.Value.Matrix, w.Value);
        }

        if (_spec.HasQueryKeyNorms)
        {
            _compute.RmsNormHeads(w.Query, layer.QueryNorm!, _spec.NormEpsilon, _spec.Heads, tokens);
            _compute.RmsNormHeads(w.Key, layer.KeyNorm!, _spec.NormEpsilon, _spec.KvHeads, tokens);
        }

        _compute.Rope(_spec.Rope.Style, w.Query, angles, _spec.Heads, _spec.HeadDim, tokens);
        _compute.Rope(_spec.Rope.Style, w.Key, angles, _spec.KvHeads, _spec.HeadDim, tokens);
        _attention.Append(index, w.Positions, w.Key, w.Value);
        _attention.Run(index, w.Positions, w.Query, w.Context, local ? _spec.SlidingWindow : 0);

        SubNorm(layer.AttentionSubNorm, layer.Output.InputNorm, w.Context, tokens);
        _compute.MatMul(layer.Output.Matrix, w.Activations, w.Branch, tokens);
        Join(layer.PostAttentionNorm, tokens);
    }

    /// <summary>x += down(function(gate(norm(x))) · up(norm(x))).</summary>
    private void FeedForwardBlock(LayerWeights layer, int tokens)
    {
        Workspace w = _workspace;
        Norm(layer.FeedForwardNorm, tokens);
        if (_spec.HasInputNorms)
        {
            Project(layer.Gate, w.Gate, tokens);
            Project(layer.Up, w.Up, tokens);
        }
        else
        {
            _compute.MatMul(w.Activations, tokens, layer.Gate.Matrix, w.Gate, layer.Up.Matrix, w.Up);
        }

        if (layer.FeedForwardSubNorm is null && layer.Down.InputNorm is null)
        {
            _compute.Gate(_spec.Activation, w.Gate, w.Up, w.Activations, tokens);
        }
        else
        {
            _compute.Gate(_spec.Activation, w.Gate, w.Up, tokens);
            SubNorm(layer.FeedForwardSubNorm, layer.Down.InputNorm, w.Gate, tokens);
        }

        _compute.MatMul(layer.Down.Matrix, w.Activations, w.Branch, tokens);
        Join(layer.PostFeedForwardNorm, tokens);
    }

    private void Embed(ReadOnlySpan<int> tokens, FloatMatrix x)
    {
        for (int i = 0; i < tokens.Length; i++)
        {
            ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)tokens[i], (uint)_spec.VocabularySize);
            _weights.Embedding.DecodeRow(tokens[i], x.Row(i));
        }

        if (_spec.EmbeddingScale != 1)
            _compute.Scale(x, _spec.EmbeddingScale, tokens.Length);
    }

    /// <summary>The norm in front of a block: into the activations, or where every linear has a norm of its own, into a buffer.</summary>
    private void Norm(FloatMatrix weight, int tokens)
    {
        if (_spec.HasInputNorms)
            _compute.RmsNorm(_workspace.Hidden, weight, _spec.NormEpsilon, _workspace.Normed, tokens);
        else
            _compute.RmsNorm(_workspace.Hidden, weight, _spec.NormEpsilon, _workspace.Activations, tokens);
    }

    /// <summary>A linear layer with a norm of its own, on the output of <see cref="Norm"/>.</summary>
    private void Project(Linear linear, FloatMatrix y, int tokens)
    {
        _compute.RmsNorm(_workspace.Normed, linear.InputNorm!, _spec.NormEpsilon, _workspace.Activations, tokens);
        _compute.MatMul(linear.Matrix, _workspace.Activations, y, tokens);
    }

    /// <summary>The norm between the middle of a block and its last linear, if the model has one, into the activations.</summary>
    private void SubNorm(FloatMatrix? subNorm, FloatMatrix? inputNorm, FloatMatrix x, int tokens)
    {
        if (subNorm is not null && inputNorm is not null)
        {
            _compute.RmsNorm(x, subNorm, _spec.NormEpsilon, x, tokens);
            subNorm = null;
        }

        if ((subNorm ?? inputNorm) is { } norm)
            _compute.RmsNorm(x, norm, _spec.NormEpsilon, _workspace.Activations, tokens);
        else
            _compute.Copy(x, _workspace.Activations, tokens);
    }

    /// <summary>The block's output joins the residual stream.</summary>
    private void Join(FloatMatrix? postNorm, int tokens)
    {
        if (postNorm is not null)
            _compute.RmsNorm(_workspace.Branch, postNorm, _spec.NormEpsilon, _workspace.Branch, tokens);
        _compute.Add(_workspace.Hidden, _workspace.Branch, tokens);
    }

    /// <summary>Final norm and output matrix, on the rows that want it.</summary>
    private void Head(Batch batch, Span<float> output)
    {
        int rows = OutputRows(batch);
        if (rows == 0)
            return;

        Activations normed = _workspace.Activations;
        _compute.RmsNormRows(_workspace.Hidden, _outputRows.AsSpan(0, rows), _weights.OutputNorm, _spec.NormEpsilon, normed);
        if (_head is not null)
            _head.Run(batch, normed, output, rows);
        else
            Compute.CopyTo(normed, _spec.HiddenSize, output, rows);
    }

    private int OutputRows(Batch batch)
    {
        int rows = 0;
        int token = 0;
        foreach (ref readonly Slice slice in batch.Slices)
        {
            for (int i = 0; i < slice.Count; i++)
                if (slice.Wants == LogitRows.All || (slice.Wants == LogitRows.Last && i == slice.Count - 1))
                    _outputRows[rows++] = token + i;
            token += slice.Count;
        }

        return rows;
    }
}
