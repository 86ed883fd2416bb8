using Tern.Machine;

namespace Tern.Kernels;

/// <summary>How many rows of the output matrix a token needed.</summary>
/// <param name="Tightened">Rows whose low plane was read.</param>
/// <param name="Exact">Rows whose score was computed from the original weights.</param>
internal readonly record struct ScreenedRows(int Tightened, int Exact);

/// <summary>
/// Finds the rows of the output matrix that can be among the largest scores, without reading all of it:
/// <code>
/// high plane, all rows          estimates and bounds
/// the largest few estimates     exact scores → a threshold that the k-th largest score surely reaches
/// low plane                     rows whose estimate + bound reaches the threshold
/// original weights              rows that still reach it → exact scores
/// </code>
/// Exact scores are computed by the full head's own kernel, bit for bit. One thread uses it; the work is shared out to the pool.
/// </summary>
internal sealed unsafe class HeadScreen : IDisposable
{
    /// <summary>At most this share of the rows, one in two, is tightened for a token; where more are undecided the full head is the better way.</summary>
    private const int UndecidedShare = 2;

    /// <summary>Rows of the largest estimates that are computed beyond those that are needed.</summary>
    private const int LeadersMore = 7;

    private readonly HeadPlanes _planes;
    private readonly WeightMatrix _weights;
    private readonly WorkerPool _pool;
    private readonly ScreenKernel _kernel;
    private readonly PlaneHidden _hidden;
    private readonly NativeBuffer<float> _estimates; // [tokensMax, rows of all blocks]
    private readonly NativeBuffer<float> _squares;   // [tokensMax, rows of all blocks] κ² V; negative: the row is done with
    private readonly NativeBuffer<int> _undecided;   // [rows / 2]
    private readonly float[] _decoded;               // [columns] a hidden state as the full head's kernel sees it
    private readonly float[] _topEstimates;
    private readonly int[] _top;
    private MatMulProblem _exact;
    private Activations? _x;
    private int _first;
    private ScreenProblem _problem;

    /// <param name="planes">Planes of <paramref name="weights"/>; both stay alive as long as this.</param>
    /// <param name="weights">The original matrix.</param>
    /// <param name="kernels">Which kernels may be used.</param>
    /// <param name="pool">Workers.</param>
    /// <param name="tokensMax">Most tokens that are screened together.</param>
    /// <param name="listMax">Most rows that are listed for a token.</param>
    public HeadScreen(HeadPlanes planes, WeightMatrix weights, Isa kernels, WorkerPool pool, int tokensMax, int listMax)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(planes.Rows, weights.Rows);
        ArgumentOutOfRangeException.ThrowIfNotEqual(planes.Columns, weights.Columns);
        (_planes, _weights, _pool, _kernel) = (planes, weights, pool, ScreenKernel.For(kernels));
        TokensMax = tokensMax;
        int stride = planes.Blocks * HeadPlanes.BlockRows;
        _hidden = new PlaneHidden(planes, tokensMax);
        _estimates = new NativeBuffer<float>((long)tokensMax * stride);
        _squares = new NativeBuffer<float>((long)tokensMax * stride);
        _undecided = new NativeBuffer<int>(Math.Max(planes.Rows / UndecidedShare, 1));
        _decoded = new float[planes.Columns];
        (_topEstimates, _top) = (new float[listMax], new int[listMax]);
        _problem = new ScreenProblem
        {
            High = planes.High,
            Low = planes.Low,
            LowRowBytes = planes.LowRowBytes,
            Groups = planes.Groups,
            GroupStride = planes.GroupStride,
            HighBound = ScreenBound.HighSquared(planes.Rows, planes.Columns, planes.Groups),
            LowBound = ScreenBound.LowSquared(planes.Rows, planes.Columns, planes.Groups),
            RowStride = stride,
        };
    }

    /// <summary>Most tokens that are screened together.</summary>
    public int TokensMax { get; }

    /// <summary>Estimates of all rows for tokens [first, first + count) of <paramref name="x"/>, which become tokens 0 … of this.</summary>
    /// <param name="x">[tokens, columns]; must stay as it is until the last <see cref="TrySelect"/>.</param>
    /// <param name="first">First token.</param>
    /// <param name="count">At most <see cref="TokensMax"/>.</param>
    /// <param name="bounded">Receives for each token whether it can be screened; where it cannot, its estimates mean nothing.</param>
    public void Screen(Activations x, int first, int count, Span<bool> bounded)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(x.Columns, _planes.Columns);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(count, TokensMax);
        ArgumentOutOfRangeException.ThrowIfGreaterThan((uint)(first + count), (uint)x.Tokens);
        (_x, _first) = (x, first);
        _exact = default;
        _weights.Bind(ref _exact);
        x.Bind(_weights.Kernel.Form, _pool, ref _exact);
        Advance(ref _exact, first);
        for (int token = 0; token < count; token++)
            bounded[token] = _hidden.TrySet(token, Hidden(token));

        ScreenProblem problem = ProblemOf(0);
        problem.Tokens = count;
        var loop = new ScreenLoop { Problem = &problem, Run = _kernel.High };
        _pool.Run(&RunScreen, &loop, _planes.Blocks, Math.Clamp(_planes.Blocks / (8 * _pool.Threads), 1, 8));
    }

    /// <summary>
    /// Lists every row that can be among the <paramref name="count"/> largest scores and within <paramref name="distance"/> of the largest
    /// one, with its exact score, in ascending order; besides them the forced rows, which are left out of both comparisons.
    /// </summary>
    /// <param name="token">A bounded token of the last <see cref="Screen"/>.</param>
    /// <param name="count">At least 1; more than there are rows where only the distance matters.</param>
    /// <param name="distance">At most 0; negative infinity where only the count matters.</param>
    /// <param name="forced">Rows that are listed in any case; may repeat.</param>
    /// <param name="ids">Receives the rows.</param>
    /// <param name="scores">Receives their scores; at least as long as <paramref name="ids"/>.</param>
    /// <param name="rows">Receives what was read.</param>
    /// <returns>How many rows were listed; −1 when too many are undecided or a score is not finite, and only the full head can tell.</returns>
    public int TrySelect(int token, int count, float distance, ReadOnlySpan<int> forced, Span<int> ids, Span<float> scores, out ScreenedRows rows)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)token, (uint)TokensMax);
        ArgumentOutOfRangeException.ThrowIfLessThan(count, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(scores.Length, ids.Length);
        rows = default;
        ScreenProblem problem = ProblemOf(token);
        int listed = 0;
        foreach (int row in forced)
        {
            ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)row, (uint)_planes.Rows);
            if (IsDone(problem, row))
                continue;
            if (listed == ids.Length)
                return -1;
            Done(problem, ids[listed++] = row);
        }

        // Some more than are asked for, because estimates do not order like scores.
        int comparing = listed;
        bool counts = count <= _planes.Rows;
        int asked = counts ? count + (count / 2) + LeadersMore : 1 + LeadersMore;
        if (asked > _top.Length || asked > ids.Length - listed)
            return -1;
        int leaders = ScreenRows.Largest(problem.Estimates, _planes.Rows, _topEstimates.AsSpan(0, asked), _top.AsSpan(0, asked));
        if (leaders < (counts ? count : 1))
            return -1;
        _top.AsSpan(0, leaders).CopyTo(ids[listed..]);
        listed += leaders;
        Exact(token, ids[..listed], scores);
        rows = new ScreenedRows(0, listed);
        float threshold = Threshold(scores[comparing..listed], count, distance);
        if (!float.IsFinite(threshold))
            return -1;

        foreach (int row in ids[comparing..listed])
            Done(problem, row);
        int undecided = ScreenRows.Reaching(problem.Estimates, problem.Squares, _planes.Rows, threshold, _undecided.Pointer, (int)_undecided.Count);
        if (undecided < 0)
            return -1;
        problem.Rows = _undecided.Pointer;
        var loop = new ScreenLoop { Problem = &problem, Run = _kernel.Low };
        _pool.Run(&RunScreen, &loop, undecided, 32);
        rows = rows with { Tightened = undecided };

        int decided = listed;
        for (int i = 0; i < undecided; i++)
        {
            int row = _undecided.Pointer[i];
            if (!Reaches(problem, row, threshold))
                continue;
            if (listed == ids.Length)
                return -1;
            ids[listed++] = row;
        }

        Exact(token, ids[decided..listed], scores[decided..]);
        rows = rows with { Exact = listed };
        ids[..listed].Sort(scores[..listed]);
        return listed;
    }

    /// <summary>All scores of a token of the last <see cref="Screen"/>, from the original weights.</summary>
    /// <param name="token">The token.</param>
    /// <param name="scores">[rows].</param>
    public void Full(int token, Span<float> scores)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(scores.Length, _planes.Rows);
        fixed (float* output = scores)
            MatMul.Run(_pool, _x!, _first + token, 1, [new MatMulTarget(_weights, output, scores.Length)]);
    }

    public void Dispose()
    {
        _hidden.Dispose();
        _estimates.Dispose();
        _squares.Dispose();
        _undecided.Dispose();
    }

    private static void Advance(ref MatMulProblem problem, long tokens)
    {
        problem.Floats += tokens * problem.FloatStride;
        if (problem.Codes is null)
            return;
        problem.Codes += tokens * problem.CodeStride;
        problem.Scales += tokens * problem.BlockStride;
        problem.Sums += tokens * problem.BlockStride;
    }

    /// <summary>What the k-th largest of all scores, and the largest one plus the distance, cannot be below.</summary>
    private float Threshold(ReadOnlySpan<float> scores, int count, float distance)
    {
        Span<float> sorted = _topEstimates.AsSpan(0, scores.Length);
        scores.CopyTo(sorted);
        sorted.Sort(); // NaN first
        float threshold = sorted[^1] + distance;
        return count <= sorted.Length ? MathF.Max(threshold, sorted[^count]) : threshold;
    }

    private static bool IsDone(in ScreenProblem problem, int row) => problem.Squares[row] < 0;

    /// <summary>Takes a row out of all that follows.</summary>
    private static void Done(in ScreenProblem problem, int row) =>
        (problem.Estimates[row], problem.Squares[row]) = (float.NegativeInfinity, -1);

    /// <summary>Whether a row's score may be at least the threshold; what is no number may.</summary>
    private static bool Reaches(in ScreenProblem problem, int row, float threshold)
    {
        float missing = threshold - problem.Estimates[row];
        return !(missing > 0 && missing * missing > problem.Squares[row]);
    }

    private ScreenProblem ProblemOf(int token)
    {
        ScreenProblem problem = _problem;
        _hidden.Bind(token, ref problem);
        problem.Tokens = 1;
        problem.Estimates = _estimates.Pointer + ((long)token * problem.RowStride);
        problem.Squares = _squares.Pointer + ((long)token * problem.RowStride);
        return problem;
    }

    /// <summary>The hidden state that the exact scores are computed from.</summary>
    private ReadOnlySpan<float> Hidden(int token)
    {
        MatMulProblem own = _exact;
        Advance(ref own, token);
        if (_weights.Kernel.Form != ActivationForm.Int8PerBlock)
            return new ReadOnlySpan<float>(own.Floats, _planes.Columns);

        for (int i = 0; i < _decoded.Length; i++)
            _decoded[i] = own.Codes[i] * own.Scales[i / Numerics.ActivationQuantization.BlockColumns];
        return _decoded;
    }

    /// <summary>The full head's scores of single rows.</summary>
    private void Exact(int token, ReadOnlySpan<int> rows, Span<float> scores) => MatMul.RunRows(_pool, _weights, _x!, _first + token, rows, scores);

    private static void RunScreen(void* state, int start, int end, int worker)
    {
        var loop = (ScreenLoop*)state;
        loop->Run(loop->Problem, start, end);
    }

    private struct ScreenLoop
    {
        public ScreenProblem* Problem;
        public delegate*<ScreenProblem*, int, int, void> Run;
    }
}
