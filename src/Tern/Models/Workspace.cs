using Tern.Kernels;

namespace Tern.Models;

/// <summary>Every buffer of a forward pass, made once. T is the most tokens of a batch.</summary>
internal sealed class Workspace : IDisposable
{
    public Workspace(ModelSpec spec, int tokensMax, int contextMax)
    {
        int queryWidth = spec.Heads * spec.HeadDim;
        int keyWidth = spec.KvHeads * spec.HeadDim;
        int widest = Math.Max(Math.Max(spec.HiddenSize, queryWidth), spec.FeedForwardSize);
        Activations = new Activations(tokensMax, widest);
        Hidden = new FloatMatrix(tokensMax, spec.HiddenSize);
        Normed = new FloatMatrix(tokensMax, spec.HiddenSize);
        Branch = new FloatMatrix(tokensMax, spec.HiddenSize);
        Query = new FloatMatrix(tokensMax, queryWidth);
        Key = new FloatMatrix(tokensMax, keyWidth);
        Value = new FloatMatrix(tokensMax, keyWidth);
        Context = new FloatMatrix(tokensMax, queryWidth);
        Gate = new FloatMatrix(tokensMax, spec.FeedForwardSize);
        Up = new FloatMatrix(tokensMax, spec.FeedForwardSize);
        Angles = new FloatMatrix(tokensMax, spec.Rope.Dimensions);
        LocalAngles = new FloatMatrix(spec.SlidingWindow > 0 ? tokensMax : 0, spec.Rope.Dimensions);
        Positions = new BatchPositions(tokensMax, contextMax);
    }

    /// <summary>Input of the next matmuls, in the forms their kernels read.</summary>
    public Activations Activations { get; }

    /// <summary>[T, hidden] the residual stream x.</summary>
    public FloatMatrix Hidden { get; }

    /// <summary>[T, hidden] a norm's output, where more norms stand between it and the linears.</summary>
    public FloatMatrix Normed { get; }

    /// <summary>[T, hidden] output of a block before it joins x.</summary>
    public FloatMatrix Branch { get; }

    /// <summary>[T, heads · headDim]</summary>
    public FloatMatrix Query { get; }

    /// <summary>[T, kvHeads · headDim]</summary>
    public FloatMatrix Key { get; }

    /// <summary>[T, kvHeads · headDim]</summary>
    public FloatMatrix Value { get; }

    /// <summary>[T, heads · headDim] what attention gathered.</summary>
    public FloatMatrix Context { get; }

    /// <summary>[T, feedForward]</summary>
    public FloatMatrix Gate { get; }

    /// <summary>[T, feedForward]</summary>
    public FloatMatrix Up { get; }

    /// <summary>[T, ropeDimensions] cosines and sines of each token's position.</summary>
    public FloatMatrix Angles { get; }

    /// <summary>[T or 0, ropeDimensions] the same for local layers.</summary>
    public FloatMatrix LocalAngles { get; }

    /// <summary>Where the tokens of the batch stand.</summary>
    public BatchPositions Positions { get; }

    public void Dispose()
    {
        Activations.Dispose();
        foreach (FloatMatrix matrix in (FloatMatrix[])[Hidden, Normed, Branch, Query, Key, Value, Context, Gate, Up, Angles, LocalAngles])
            matrix.Dispose();
        Positions.Dispose();
    }
}
