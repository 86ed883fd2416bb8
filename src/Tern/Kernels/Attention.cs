using Tern.Machine;

namespace Tern.Kernels;

/// <summary>Attention of a batch of query tokens over the pages of their sequences in one layer.</summary>
internal unsafe struct AttentionProblem
{
    /// <summary>[tokens, heads, headDim], RoPE applied.</summary>
    public float* Queries;

    /// <summary>[tokens, OutputStride]: heads · headDim floats each.</summary>
    public float* Output;

    public int QueryStride;

    public int OutputStride;

    public int Tokens;

    /// <summary>Query heads; head h reads KV head h / (Heads / KvHeads).</summary>
    public int Heads;

    /// <summary>Factor on the scores, 1/sqrt(headDim) usually.</summary>
    public float Scale;

    /// <summary>[tokens] position of each token; it sees positions 0..itself (within the window).</summary>
    public int* Positions;

    /// <summary>[tokens] where the token's sequence begins in <see cref="Pages"/>.</summary>
    public int* PageStarts;

    /// <summary>Page numbers: page of position p of a token is Pages[PageStarts[token] + p / PageTokens].</summary>
    public int* Pages;

    /// <summary>Base of this layer: page n is at Layer + n · LayerPageBytes.</summary>
    public byte* Layer;

    /// <summary>A position sees at most this many positions, itself included; 0 means all.</summary>
    public int Window;

    /// <summary>[threads, group, positionsMax] scratch for scores.</summary>
    public float* Scores;

    public int PositionsMax;
}

/// <summary>
/// Softmax(q·k)·v with one definition: each score is a sequential fused-multiply-add over dimensions, each output a sequential one over
/// positions; nothing depends on the batch, the chunking or the threads.
/// </summary>
internal sealed unsafe class Attention
{
    public Attention(KvPages pages, Isa allowed) => (Pages, _) = (pages, allowed);

    public KvPages Pages { get; }

    /// <summary>Floats of scratch per thread for a group of query heads per KV head.</summary>
    public static long ScratchFloats(int group, int positionsMax) => (long)group * ((positionsMax + 31) & ~31);

    /// <summary>Computes all tokens and heads; work items are (token, KV head) pairs, handed out dynamically.</summary>
    public void Run(WorkerPool pool, ref AttentionProblem problem) => throw new NotSupportedException();
}
