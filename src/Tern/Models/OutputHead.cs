using Tern.Kernels;
using Tern.Machine;

namespace Tern.Models;

/// <summary>What the screened head has read.</summary>
/// <param name="Tokens">Rows of logits that were answered with a list.</param>
/// <param name="Widened">Rows of logits that the screen could not decide and the full head computed.</param>
/// <param name="Screened">Matrix rows read in the high plane, for all tokens together.</param>
/// <param name="Tightened">Matrix rows read in the low plane.</param>
/// <param name="Exact">Matrix rows computed from the original weights, the full head's not counted.</param>
internal readonly record struct HeadCounts(long Tokens, long Widened, long Screened, long Tightened, long Exact);

/// <summary>The output matrix: all of it for every token, or screened where what is asked for allows it.</summary>
internal sealed class OutputHead : IDisposable
{
    /// <summary>Tokens that share a reading of the planes.</summary>
    private const int TokensMax = 16;

    /// <summary>Smaller matrices stay in the caches, and the full head is hardly slower.</summary>
    private const long AutoBytesMin = 16 << 20;

    /// <summary>The screen must be faster than this part of the full head.</summary>
    private const double AutoShare = 0.9;

    /// <summary>How far the running cost looks back, in tokens.</summary>
    private const double CostMemory = 64;

    /// <summary>Tokens without a screen after it did not pay.</summary>
    private const int PauseTokens = 1024;

    private readonly WeightMatrix _matrix;
    private readonly Compute _compute;
    private readonly HeadPlanes? _planes;
    private readonly HeadScreen? _screen;
    private readonly bool[] _bounded = new bool[TokensMax];
    private readonly LogitDemand[] _demands; // [rowsMax]
    private double _cost; // running mean of the bytes of a token, as a part of the full head's
    private int _pause;

    /// <param name="matrix">[vocabulary, hidden].</param>
    /// <param name="planes">Its planes, or null: every token is computed in full.</param>
    /// <param name="compute">Arithmetic.</param>
    /// <param name="rowsMax">Most rows of logits in a batch.</param>
    public OutputHead(WeightMatrix matrix, HeadPlanes? planes, Compute compute, int rowsMax)
    {
        (_matrix, _compute, _planes) = (matrix, compute, planes);
        _demands = new LogitDemand[rowsMax];
        if (planes is not null)
            _screen = new HeadScreen(planes, matrix, compute.Allowed, compute.Pool, Math.Min(rowsMax, TokensMax), LogitDemand.IdsMax);
    }

    /// <summary>What was read so far.</summary>
    public HeadCounts Counts { get; private set; }

    /// <summary>
    /// Planes of the head, or null where it is computed in full: on request, where the type does not suit, and in mode auto where the matrix is
    /// small, the processor has no fast kernel, or the full head proves to be as fast.
    /// </summary>
    public static HeadPlanes? Planes(Linear head, ModelOptions options, WorkerPool pool)
    {
        WeightMatrix matrix = head.Matrix;
        bool suits = HeadPlanes.Suit(head.Tensor.Type);
        bool promising = matrix.ByteCount >= AutoBytesMin && options.Kernels.Allowed.HasFlag(Isa.Avx2);
        if (options.Head == HeadMode.Full || !suits || (options.Head == HeadMode.Auto && !promising))
            return null;

        HeadPlanes planes = HeadPlanes.Build(head.Tensor, pool);
        if (options.Head == HeadMode.Screened || ScreenTrial.Measure(planes, matrix, options.Kernels.Allowed, pool) < AutoShare)
            return planes;
        planes.Dispose();
        return null;
    }

    /// <summary>Logits of the rows of <paramref name="normed"/>: full rows of <paramref name="output"/>, or lists where a demand allows it.</summary>
    /// <param name="batch">Whose demands are answered.</param>
    /// <param name="normed">[rows, hidden].</param>
    /// <param name="output">[rows, vocabulary].</param>
    /// <param name="rows">Rows.</param>
    public void Run(Batch batch, Activations normed, Span<float> output, int rows)
    {
        // Where one row needs all logits, the others cost little more.
        if (_screen is null || !TakeDemands(batch, rows))
        {
            _compute.MatMul(_matrix, normed, output, rows);
            return;
        }

        for (int first = 0; first < rows; first += _screen.TokensMax)
            Screen(normed, output, first, Math.Min(_screen.TokensMax, rows - first));
    }

    public void Dispose() => _screen?.Dispose();

    /// <summary>Collects the demand of every row and marks it as not answered; false when a row has none or the screen pauses.</summary>
    private bool TakeDemands(Batch batch, int rows)
    {
        int count = 0;
        foreach (ref readonly Slice slice in batch.Slices)
        {
            slice.Demand?.Answer(0);
            if (slice.Demand is not null)
                _demands[count++] = slice.Demand;
        }

        if (_pause == 0)
            return count == rows;
        _pause = Math.Max(0, _pause - rows);
        return false;
    }

    private void Screen(Activations normed, Span<float> output, int first, int count)
    {
        int width = _matrix.Rows;
        _screen!.Screen(normed, first, count, _bounded);
        double planeBytes = (double)_planes!.HighBytes / count;
        for (int token = 0; token < count; token++)
        {
            LogitDemand demand = _demands[first + token];
            Span<float> row = output.Slice((first + token) * width, width);
            ScreenedRows read = default;
            int listed = _bounded[token]
                ? _screen.TrySelect(token, demand.Count, demand.Distance, demand.Forced, demand.Room, row, out read)
                : -1;
            demand.Answer(Math.Max(listed, 0));
            if (listed < 0)
                _screen.Full(token, row);
            Note(listed >= 0, read, planeBytes);
        }

        Counts = Counts with { Screened = Counts.Screened + width };
    }

    /// <summary>Counts a token, and pauses when the tokens of late cost more than the full head would.</summary>
    private void Note(bool listed, ScreenedRows read, double planeBytes)
    {
        Counts = Counts with
        {
            Tokens = Counts.Tokens + (listed ? 1 : 0),
            Widened = Counts.Widened + (listed ? 0 : 1),
            Tightened = Counts.Tightened + read.Tightened,
            Exact = Counts.Exact + read.Exact,
        };
        double bytes = planeBytes + ((double)read.Tightened * _planes!.LowRowBytes) + ((double)read.Exact * _matrix.RowBytes) + (listed ? 0 : _matrix.ByteCount);
        _cost += ((bytes / _matrix.ByteCount) - _cost) / CostMemory;
        if (_cost > 1)
            (_cost, _pause) = (0, PauseTokens);
    }
}
