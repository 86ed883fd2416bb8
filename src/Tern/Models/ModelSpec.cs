using Tern.Kernels;

namespace Tern.Models;

/// <summary>How positions beyond the trained length are reached.</summary>
internal enum RopeScaling
{
    None,

    /// <summary>All frequencies divided by the factor.</summary>
    Linear,

    /// <summary>YaRN (Peng et al. 2023): low frequencies divided, high ones kept, a ramp between.</summary>
    Yarn,
}

/// <summary>Rotary position embedding, as a config file holds it.</summary>
internal sealed record RopeSpec
{
    public required RopeStyle Style { get; init; }

    /// <summary>Dimensions of a head that rotate; even, at most the head's.</summary>
    public required int Dimensions { get; init; }

    /// <summary>θ: the frequency of pair i is θ^(-2i / Dimensions).</summary>
    public required double Base { get; init; }

    public RopeScaling Scaling { get; init; }

    public double Factor { get; init; } = 1;

    /// <summary>Context length before scaling (YaRN).</summary>
    public int OriginalContextLength { get; init; }

    /// <summary>YaRN: rotations within the original context above which a frequency is kept.</summary>
    public double BetaFast { get; init; } = 32;

    /// <summary>YaRN: rotations below which it is divided.</summary>
    public double BetaSlow { get; init; } = 1;

    /// <summary>YaRN: factor on cosines and sines besides YaRN's own 1 + 0.1 ln(factor).</summary>
    public double AttentionFactor { get; init; } = 1;
}

/// <summary>How an embedding model makes one vector of a text.</summary>
internal enum Pooling
{
    /// <summary>Not an embedding model: the output are logits.</summary>
    None,

    /// <summary>The hidden state of the last token.</summary>
    Last,
}

/// <summary>What a paper would print of the model in a table. Read by the architecture entry from the file's metadata.</summary>
internal sealed record ModelSpec
{
    public required string Architecture { get; init; }

    public required int VocabularySize { get; init; }

    /// <summary>Context length it was trained for, in tokens.</summary>
    public required int ContextLength { get; init; }

    public required int HiddenSize { get; init; }

    public required int FeedForwardSize { get; init; }

    public required int Layers { get; init; }

    public required int Heads { get; init; }

    public required int KvHeads { get; init; }

    public required int HeadDim { get; init; }

    public required float NormEpsilon { get; init; }

    public required GateFunction Activation { get; init; }

    public required RopeSpec Rope { get; init; }

    /// <summary>RMSNorm before the attention output and the down projection (SubLN).</summary>
    public bool HasSubNorms { get; init; }

    /// <summary>RMSNorm on every head of q and k.</summary>
    public bool HasQueryKeyNorms { get; init; }

    /// <summary>RMSNorm on the output of each block before it joins the residual stream.</summary>
    public bool HasPostNorms { get; init; }

    /// <summary>One more RMSNorm in front of every linear layer (the BitNet embedding models).</summary>
    public bool HasInputNorms { get; init; }

    /// <summary>The output matrix is the embedding matrix.</summary>
    public bool TiedEmbeddings { get; init; }

    /// <summary>Factor on token embeddings.</summary>
    public float EmbeddingScale { get; init; } = 1;

    /// <summary>Positions that a local layer sees; 0 when all layers are global.</summary>
    public int SlidingWindow { get; init; }

    /// <summary>Layer i is local iff i % period &lt; period - 1.</summary>
    public int SlidingWindowPeriod { get; init; } = 1;

    /// <summary>θ of local layers.</summary>
    public double LocalRopeBase { get; init; }

    public Pooling Pooling { get; init; }

    /// <summary>Whether the last hidden state is the output instead of logits.</summary>
    public bool IsEmbedding => Pooling != Pooling.None;

    /// <summary>Columns of a row of output: logits, or the hidden state.</summary>
    public int OutputSize => IsEmbedding ? HiddenSize : VocabularySize;

    /// <summary>Whether layer <paramref name="layer"/> sees the sliding window only.</summary>
    public bool IsLocal(int layer) => SlidingWindow > 0 && layer % SlidingWindowPeriod < SlidingWindowPeriod - 1;
}
