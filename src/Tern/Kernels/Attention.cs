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

    /// <summary>Positions [begin, end) that a token sees.</summary>
    public readonly (int Begin, int End) Sees(int token)
    {
        int position = Positions[token];
        return (Window > 0 ? Math.Max(0, position - Window + 1) : 0, position + 1);
    }
}

/// <summary>
/// Softmax(q·k)·v with one definition; nothing in it depends on the batch, the chunking or the threads. Positions fall into spans of 256 by
/// their number alone:
/// <code>
///     within a span, for the positions p that the token sees:
///         score_p = fused multiply-adds over d = 0, 1, … of (scale · q_d) · k_pd, from 0
///         m = max of scores      e_p = exp(score_p - m)      l = the 16-lane sum of e_p, lane = p mod 16
///         o_d = fused multiply-adds over p ascending of e_p · v_pd, from 0
///
///     quantized: k_pd and v_pd are whole codes; per block b of 32 dimensions with the scales c_pb of keys and values
///         score_p = t_0 · c_p0, then fused t_b · c_pb + score_p, where t_b is the chain over the block's dimensions
///         o_d     = as above with (e_p · c_pb) in place of e_p
///
///     over the spans in ascending order, (M, L, O) being those of the first one:
///         M' = max(M, m)      L = fused l · exp(m - M') + L · exp(M - M')      O_d the same with o_d
///
///     out_d = O_d / L
/// </code>
/// The softmax is therefore computed on the way, and no row of scores is longer than a span. Who computes a span does not matter: with few
/// tokens each span is a work item of its own, and whoever finishes the last one of a token folds them in order.
/// </summary>
internal sealed unsafe class Attention : IDisposable
{
    /// <summary>Positions of a span: whole pages.</summary>
    public const int SpanTokens = 256;

    /// <summary>Below this many work items per thread, tokens are split into spans.</summary>
    private const int ItemsPerThread = 8;

    private readonly delegate*<void*, int, int, int, void> _work;
    private readonly AttentionMemory _memory;
    private readonly WorkerPool _pool;

    /// <summary>Attention over <paramref name="pages"/> with the widest lanes within <paramref name="allowed"/>.</summary>
    /// <param name="pages">Layout of the pages.</param>
    /// <param name="heads">Query heads; head h reads KV head h / (heads / KvHeads).</param>
    /// <param name="tokensMax">Most tokens of a batch.</param>
    /// <param name="contextMax">Most positions of one sequence.</param>
    /// <param name="allowed">Instruction sets that may be used.</param>
    /// <param name="pool">Workers.</param>
    public Attention(KvPages pages, int heads, int tokensMax, int contextMax, Isa allowed, WorkerPool pool)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(heads % pages.KvHeads, 0, nameof(heads));
        Pages = pages;
        Heads = heads;
        _pool = pool;
        _memory = new AttentionMemory(pages, heads, tokensMax, contextMax, pool.Threads);
        _work = allowed.HasFlag(Isa.Avx512) ? Work<Lanes512>(pages.Type)
            : allowed.HasFlag(Isa.Avx2) ? Work<Lanes256>(pages.Type)
            : allowed.HasFlag(Isa.AdvSimd) ? Work<Lanes128>(pages.Type)
            : Work<LanesScalar>(pages.Type);
    }

    public KvPages Pages { get; }

    /// <summary>Query heads.</summary>
    public int Heads { get; }

    /// <summary>Bytes of working memory, linear in the positions of a sequence.</summary>
    public long ScratchBytes => _memory.ByteCount;

    /// <summary>Computes all tokens and heads.</summary>
    public void Run(ref AttentionProblem problem)
    {
        if (problem.Tokens == 0)
            return;

        ArgumentOutOfRangeException.ThrowIfGreaterThan(problem.Tokens, _memory.TokensMax, nameof(problem));
        ArgumentOutOfRangeException.ThrowIfLessThan(problem.QueryStride, Heads * Pages.HeadDim, nameof(problem));
        ArgumentOutOfRangeException.ThrowIfLessThan(problem.OutputStride, Heads * Pages.HeadDim, nameof(problem));
        for (int token = 0; token < problem.Tokens; token++)
            ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)problem.Positions[token], (uint)_memory.ContextMax, nameof(problem));

        fixed (AttentionProblem* pinned = &problem)
        {
            AttentionState state = _memory.State;
            state.Problem = pinned;
            state.RunCount = FindRuns(ref problem);
            _pool.Run(_work, &state, PlanItems(state.RunCount), 1);
        }
    }

    public void Dispose() => _memory.Dispose();

    /// <summary>Cuts the batch into runs of neighbouring tokens of one sequence.</summary>
    private int FindRuns(ref AttentionProblem problem)
    {
        int runs = 0;
        for (int first = 0; first < problem.Tokens;)
        {
            (int begin, int end) = problem.Sees(first);
            int next = first + 1;
            for (; next < problem.Tokens && next - first < _memory.TokensPerRun && problem.PageStarts[next] == problem.PageStarts[first]; next++)
            {
                (int otherBegin, int otherEnd) = problem.Sees(next);
                (begin, end) = (Math.Min(begin, otherBegin), Math.Max(end, otherEnd));
            }

            _memory.Runs[runs++] = new AttentionRun
            {
                FirstToken = first,
                Count = next - first,
                FirstPage = begin / KvPages.PageTokens,
                EndPage = (end + KvPages.PageTokens - 1) / KvPages.PageTokens,
            };
            first = next;
        }

        return runs;
    }

    /// <summary>Says what the work items are: a KV head of a run, or where those are few, a KV head of a run and a span.</summary>
    private int PlanItems(int runs)
    {
        bool splits = _pool.Threads > 1 && (long)runs * Pages.KvHeads < (long)ItemsPerThread * _pool.Threads;
        int items = 0;
        int slots = 0;
        for (int i = 0; i < runs; i++)
        {
            AttentionRun* run = _memory.Runs + i;
            run->FirstItem = items;
            run->FirstSlot = slots;
            int needed = run->Count * run->SpanCount;
            run->IsSplit = splits && run->SpanCount > 1 && needed <= _memory.SlotCount - slots;
            if (run->IsSplit)
            {
                slots += needed;
                for (int kvHead = 0; kvHead < Pages.KvHeads; kvHead++)
                    _memory.Pending[(i * Pages.KvHeads) + kvHead] = run->SpanCount;
            }

            items += Pages.KvHeads * (run->IsSplit ? run->SpanCount : 1);
        }

        return items;
    }

    private static delegate*<void*, int, int, int, void> Work<TLanes>(KvType type)
        where TLanes : unmanaged, ILanes<TLanes> => type switch
        {
            KvType.F32 => &FloatAttention<TLanes, KvRows.F32, KvRows.F32>.Work,
            KvType.F16 => &FloatAttention<TLanes, KvRows.F16, KvRows.F32>.Work,
            KvType.Q8_0 => &FloatAttention<TLanes, KvRows.Q8_0, KvRows.ScaledF32>.Work,
            _ => &FloatAttention<TLanes, KvRows.Q4_0, KvRows.ScaledF32>.Work,
        };
}
