using Tern.Machine;

namespace Tern.Kernels;

/// <summary>Attention of a batch of query tokens over the pages of their sequences in one layer.</summary>
internal unsafe struct AttentionProblem
{
    /// <summary>[tokens, QueryStride]: heads · headDim floats each, RoPE applied.</summary>
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

    /// <summary>[tokens] where the token's sequence begins in <see cref="Pages"/>; tokens with the same start share their pages.</summary>
    public int* PageStarts;

    /// <summary>Page numbers: page of position p of a token is Pages[PageStarts[token] + p / PageTokens].</summary>
    public int* Pages;

    /// <summary>Base of this layer: page n is at Layer + n · LayerPageBytes.</summary>
    public byte* Layer;

    /// <summary>A position sees at most this many positions, itself included; 0 means all.</summary>
    public int Window;

    /// <summary>[threads, <see cref="Attention.ScratchFloats"/>] scratch for scores.</summary>
    public float* Scores;

    /// <summary>The positions that the scratch has room for; every position is below it.</summary>
    public int PositionsMax;
}

/// <summary>
/// Softmax(q·k)·v with one definition; nothing in it depends on the batch, the chunking or the threads:
/// <code>
///     score_p = scale · (fused multiply-adds over d = 0, 1, … of q_d · k_pd, from 0)
///     e_p     = exp(score_p - max of scores)            sum = the 16-lane sum of e_p, lane = p mod 16
///     out_d   = (fused multiply-adds over p ascending of e_p · v_pd, from 0) / sum
/// </code>
/// Positions that a token does not see are left out, which is the same as e_p = 0.
/// </summary>
internal sealed unsafe class Attention
{
    private readonly delegate*<void*, int, int, int, void> _work;

    /// <summary>Attention over <paramref name="pages"/> with the widest lanes within <paramref name="allowed"/>.</summary>
    public Attention(KvPages pages, Isa allowed)
    {
        Pages = pages;
        _work = allowed.HasFlag(Isa.Avx512) ? &FloatAttention<Lanes512>.Work
            : allowed.HasFlag(Isa.Avx2) ? &FloatAttention<Lanes256>.Work
            : allowed.HasFlag(Isa.AdvSimd) ? &FloatAttention<Lanes128>.Work
            : &FloatAttention<LanesScalar>.Work;
    }

    public KvPages Pages { get; }

    /// <summary>Floats of scratch per thread for a group of query heads per KV head.</summary>
    public static long ScratchFloats(int group, int positionsMax) =>
        (long)FloatAttention.TokensPerItem * group * FloatAttention.ScoreStride(positionsMax);

    /// <summary>
    /// Computes all tokens and heads. Work items are (KV head, token) pairs, handed out dynamically; neighbouring tokens of one sequence are
    /// computed together, so a tile of keys or values is expanded once for up to four of them.
    /// </summary>
    public void Run(WorkerPool pool, ref AttentionProblem problem)
    {
        if (problem.Tokens == 0)
            return;

        ArgumentOutOfRangeException.ThrowIfNotEqual(problem.Heads % Pages.KvHeads, 0, nameof(problem));
        ArgumentOutOfRangeException.ThrowIfLessThan(problem.QueryStride, problem.Heads * Pages.HeadDim, nameof(problem));
        ArgumentOutOfRangeException.ThrowIfLessThan(problem.OutputStride, problem.Heads * Pages.HeadDim, nameof(problem));
        for (int token = 0; token < problem.Tokens; token++)
            ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)problem.Positions[token], (uint)problem.PositionsMax, nameof(problem));

        fixed (AttentionProblem* pinned = &problem)
        {
            var state = new FloatAttention.State
            {
                Problem = pinned,
                Type = Pages.Type,
                KvHeads = Pages.KvHeads,
                HeadDim = Pages.HeadDim,
                LayerPageBytes = Pages.LayerPageBytes,
                TileBytes = Pages.TileBytes,
            };
            int chunk = problem.Tokens >= FloatAttention.TokensPerItem ? FloatAttention.TokensPerItem : 1;
            pool.Run(_work, &state, problem.Tokens * Pages.KvHeads, chunk);
        }
    }
}
