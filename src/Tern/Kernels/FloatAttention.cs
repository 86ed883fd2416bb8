using System.Diagnostics;

namespace Tern.Kernels;

/// <summary>
/// The attention of <see cref="Attention"/>, span by span: scores (lanes are positions), softmax, weighted values (lanes are dimensions), and
/// the fold into what earlier spans gave. A run's queries stand in rows, token by token and head by head, and move in steps of four rows. Up
/// to four rows read the tiles as they are stored; more of them share tiles that are expanded to floats once.
/// </summary>
/// <typeparam name="TLanes">Lanes.</typeparam>
/// <typeparam name="TRows">How pages store numbers.</typeparam>
/// <typeparam name="TExpanded">The same numbers expanded.</typeparam>
internal static unsafe class FloatAttention<TLanes, TRows, TExpanded>
    where TLanes : unmanaged, ILanes<TLanes>
    where TRows : IKvRows
    where TExpanded : IKvRows
{
    private const int Side = KvPages.PageTokens;
    private const int SpanPages = Attention.SpanTokens / Side;
    private const int Step = KvTiles<TLanes, TRows>.RowsPerStep;

    /// <summary>Computes items [start, end).</summary>
    public static void Work(void* state, int start, int end, int worker)
    {
        var shared = (AttentionState*)state;
        for (int item = start; item < end; item++)
        {
            int run = FindRun(shared, item);
            int local = item - shared->Runs[run].FirstItem;
            int spans = shared->Runs[run].SpanCount;
            if (shared->Runs[run].IsSplit)
                new Head(shared, run, local / spans, worker).OneSpan(local % spans);
            else
                new Head(shared, run, local, worker).AllSpans();
        }
    }

    /// <summary>The run that an item belongs to: the last one that does not begin behind it.</summary>
    private static int FindRun(AttentionState* shared, int item)
    {
        int low = 0;
        int high = shared->RunCount - 1;
        while (low < high)
        {
            int middle = (low + high + 1) / 2;
            if (shared->Runs[middle].FirstItem <= item)
                low = middle;
            else
                high = middle - 1;
        }

        return low;
    }

    /// <summary>One KV head of a run, with the worker's scratch.</summary>
    private readonly ref struct Head
    {
        private readonly AttentionState* _shared;
        private readonly AttentionProblem* _problem;
        private readonly AttentionRun* _run;
        private readonly int _runIndex;
        private readonly int _kvHead;
        private readonly int _rows;
        private readonly int _group;
        private readonly int _paddedDim;
        private readonly ScratchLayout _scratch;

        public Head(AttentionState* shared, int run, int kvHead, int worker)
        {
            _shared = shared;
            _problem = shared->Problem;
            _run = shared->Runs + run;
            _runIndex = run;
            _kvHead = kvHead;
            _group = shared->Group;
            _rows = _run->Count * _group;
            _paddedDim = shared->PaddedDim;
            _scratch = new ScratchLayout(shared->Scratch + (worker * shared->ScratchFloats), shared->RowsMax, _paddedDim);
            Debug.Assert(_rows <= shared->RowsMax, "the rows fit the scratch");
        }

        /// <summary>All spans one after the other, each folded in at once.</summary>
        public void AllSpans()
        {
            LoadQueries();
            for (int span = _run->FirstSpan; span < _run->FirstSpan + _run->SpanCount; span++)
            {
                ComputeSpan(span);
                for (int row = 0; row < _rows; row++)
                    if (Sees(span, row / _group))
                        Fold(span, row, _scratch.Sums + ((long)row * _paddedDim), _scratch.SpanMax[row], _scratch.SpanWeight[row]);
            }

            Finish();
        }

        /// <summary>One span; its results are kept, and with the last one that is missing all are folded.</summary>
        public void OneSpan(int index)
        {
            LoadQueries();
            ComputeSpan(_run->FirstSpan + index);
            for (int row = 0; row < _rows; row++)
            {
                float* partial = Partial(index, row);
                new ReadOnlySpan<float>(_scratch.Sums + ((long)row * _paddedDim), _paddedDim).CopyTo(new Span<float>(partial, _paddedDim));
                (partial[_paddedDim], partial[_paddedDim + 1]) = (_scratch.SpanMax[row], _scratch.SpanWeight[row]);
            }

            if (Interlocked.Decrement(ref _shared->Pending[(_runIndex * _shared->KvHeads) + _kvHead]) > 0)
                return;

            for (int i = 0; i < _run->SpanCount; i++)
                for (int row = 0; row < _rows; row++)
                    if (Sees(_run->FirstSpan + i, row / _group))
                    {
                        float* partial = Partial(i, row);
                        Fold(_run->FirstSpan + i, row, partial, partial[_paddedDim], partial[_paddedDim + 1]);
                    }

            Finish();
        }

        /// <summary>Queries times the factor on scores, four rows interleaved; missing rows of the last four are zeros.</summary>
        private void LoadQueries()
        {
            int headDim = _shared->HeadDim;
            float scale = _problem->Scale;
            for (int row = 0; row < _rows; row++)
            {
                float* destination = Queries(row / Step * Step) + (row % Step);
                float* query = _problem->Queries + Place(row, _problem->QueryStride);
                for (int d = 0; d < headDim; d++)
                    destination[d * Step] = query[d] * scale;
            }

            for (int row = _rows; row % Step != 0; row++)
                for (int d = 0; d < headDim; d++)
                    Queries(row / Step * Step)[(d * Step) + (row % Step)] = 0;
        }

        private void ComputeSpan(int span)
        {
            int firstPage = Math.Max(_run->FirstPage, span * SpanPages);
            int endPage = Math.Min(_run->EndPage, (span + 1) * SpanPages);
            for (int page = firstPage; page < endPage; page++)
                ScorePage(page, page % SpanPages * Side, page + 1 < endPage ? Keys(page + 1) : Values(firstPage));
            for (int row = 0; row < _rows; row++)
                Softmax(span, row);
            new Span<float>(_scratch.Sums, (_rows + Step - 1) / Step * Step * _paddedDim).Clear();
            for (int page = firstPage; page < endPage; page++)
                SumPage(page, page % SpanPages * Side, page + 1 < endPage ? Values(page + 1) : page + 1 < _run->EndPage ? Keys(page + 1) : Values(page));
        }

        /// <summary>Scores of a page for all rows, those of positions that a token does not see included.</summary>
        private void ScorePage(int page, int column, byte* ahead)
        {
            byte* keys = Keys(page);
            float* scores = _scratch.Scores + column;
            if (_rows <= Step)
            {
                Scores<TRows>(0, keys, scores, ahead);
                return;
            }

            byte* tile = Expanded(keys, _shared->HeadDim);
            for (int row = 0; row < _rows;)
            {
                int count = TLanes.IsWide && _rows - row >= 2 * Step ? 2 * Step : Step;
                bool isSeen = false;
                for (int token = row / _group; token <= (Math.Min(row + count, _rows) - 1) / _group; token++)
                    isSeen |= SeesIn(page, token) is var (begin, end) && begin < end;
                if (isSeen && count > Step)
                    KvTiles<TLanes, TExpanded>.Scores8(Queries(row), tile, _shared->HeadDim, scores + ((long)row * Attention.SpanTokens));
                else if (isSeen)
                    Scores<TExpanded>(row, tile, scores, tile);
                row += count;
            }
        }

        private void Scores<TStored>(int row, byte* tile, float* scores, byte* ahead)
            where TStored : IKvRows
        {
            float* s = scores + ((long)row * Attention.SpanTokens);
            if (_rows - row == 1)
                KvTiles<TLanes, TStored>.Scores1(Queries(row), tile, _shared->HeadDim, s, ahead);
            else
                KvTiles<TLanes, TStored>.Scores4(Queries(row), tile, _shared->HeadDim, s, ahead);
        }

        /// <summary>Scores become weights; a row that sees nothing of the span is left out.</summary>
        private void Softmax(int span, int row)
        {
            (int begin, int end) = _problem->Sees(_run->FirstToken + (row / _group));
            begin = Math.Max(begin - (span * Attention.SpanTokens), 0);
            end = Math.Min(end - (span * Attention.SpanTokens), Attention.SpanTokens);
            if (begin >= end)
                return;

            // Whole pages: what the token does not see of them weighs nothing.
            float* scores = _scratch.Scores + ((long)row * Attention.SpanTokens);
            int first = begin / Side * Side;
            int count = ((end + Side - 1) / Side * Side) - first;
            new Span<float>(scores + first, begin - first).Fill(float.NegativeInfinity);
            new Span<float>(scores + end, first + count - end).Fill(float.NegativeInfinity);
            float max = FloatFunctions.Max<TLanes>(scores + first, count);
            _scratch.SpanMax[row] = max;
            _scratch.SpanWeight[row] = FloatFunctions.ExpInPlace<TLanes>(scores + first, count, max);
        }

        /// <summary>Adds the weighted values of a page to the sums of all rows.</summary>
        private void SumPage(int page, int column, byte* ahead)
        {
            byte* values = Values(page);
            float* weights = _scratch.Scores + column;
            if (_rows <= Step)
            {
                Sums<TRows>(page, 0, values, weights, ahead);
                return;
            }

            byte* tile = Expanded(values, _paddedDim);
            for (int row = 0; row < _rows;)
            {
                if (TLanes.IsWide && SharedRange(page, row, 2 * Step) is var (begin, end) && begin < end)
                {
                    KvTiles<TLanes, TExpanded>.Sums8(
                        weights + ((long)row * Attention.SpanTokens), tile, _paddedDim / KvPages.BlockDims, begin, end,
                        _scratch.Sums + ((long)row * _paddedDim), _paddedDim);
                    row += 2 * Step;
                }
                else
                {
                    Sums<TExpanded>(page, row, tile, weights, tile);
                    row += Step;
                }
            }
        }

        /// <summary>What all of <paramref name="count"/> rows see of a page, if that is the same for all; else empty.</summary>
        private (int Begin, int End) SharedRange(int page, int row, int count)
        {
            if (_rows - row < count)
                return (0, 0);

            (int Begin, int End) range = SeesIn(page, row / _group);
            for (int token = (row / _group) + 1; token <= (row + count - 1) / _group; token++)
                if (SeesIn(page, token) != range)
                    return (0, 0);
            return range;
        }

        /// <summary>
        /// Four rows together where all of them see a position. Rows of different tokens may begin or end at different ones, and take what
        /// lies before and behind the common part alone.
        /// </summary>
        private void Sums<TStored>(int page, int row, byte* tile, float* weights, byte* ahead)
            where TStored : IKvRows
        {
            int count = Math.Min(Step, _rows - row);
            (int begin, int end) = SeesIn(page, row / _group);
            for (int token = (row / _group) + 1; token <= (row + count - 1) / _group; token++)
            {
                (int otherBegin, int otherEnd) = SeesIn(page, token);
                (begin, end) = (Math.Max(begin, otherBegin), Math.Min(end, otherEnd));
            }

            if (begin >= end || count == 1)
                (begin, end) = (Side, Side);

            int blocks = _paddedDim / KvPages.BlockDims;
            float* w = weights + ((long)row * Attention.SpanTokens);
            float* sums = _scratch.Sums + ((long)row * _paddedDim);
            for (int r = 0; r < count; r++)
                if (SeesIn(page, (row + r) / _group) is var (from, to) && from < Math.Min(begin, to))
                    KvTiles<TLanes, TStored>.Sums1(w + (r * Attention.SpanTokens), tile, blocks, from, Math.Min(begin, to), sums + ((long)r * _paddedDim), ahead);
            if (begin < end)
                KvTiles<TLanes, TStored>.Sums4(w, tile, blocks, begin, end, sums, _paddedDim, ahead);
            for (int r = 0; r < count; r++)
                if (SeesIn(page, (row + r) / _group) is var (_, to) && to > end)
                    KvTiles<TLanes, TStored>.Sums1(w + (r * Attention.SpanTokens), tile, blocks, end, to, sums + ((long)r * _paddedDim), ahead);
        }

        /// <summary>Adds a span's results to those of the spans before it.</summary>
        private void Fold(int span, int row, float* sums, float max, float weight)
        {
            float* totals = _scratch.Totals + ((long)row * _paddedDim);
            if (!Sees(span - 1, row / _group))
            {
                new ReadOnlySpan<float>(sums, _paddedDim).CopyTo(new Span<float>(totals, _paddedDim));
                (_scratch.TotalMax[row], _scratch.TotalWeight[row]) = (max, weight);
                return;
            }

            float old = _scratch.TotalMax[row];
            float highest = max > old ? max : old;
            TLanes oldFactor = FloatFunctions.Exp(TLanes.Subtract(TLanes.Broadcast(old), TLanes.Broadcast(highest)));
            TLanes factor = FloatFunctions.Exp(TLanes.Subtract(TLanes.Broadcast(max), TLanes.Broadcast(highest)));
            for (int d = 0; d < _paddedDim; d += Lanes.Count)
                TLanes.Store(TLanes.FusedMultiplyAdd(TLanes.Load(sums + d), factor, TLanes.Multiply(TLanes.Load(totals + d), oldFactor)), totals + d);

            float* lanes = stackalloc float[Lanes.Count];
            TLanes.Store(TLanes.FusedMultiplyAdd(TLanes.Broadcast(weight), factor, TLanes.Multiply(TLanes.Broadcast(_scratch.TotalWeight[row]), oldFactor)), lanes);
            (_scratch.TotalMax[row], _scratch.TotalWeight[row]) = (highest, lanes[0]);
        }

        private void Finish()
        {
            int headDim = _shared->HeadDim;
            for (int row = 0; row < _rows; row++)
            {
                float* totals = _scratch.Totals + ((long)row * _paddedDim);
                float* output = _problem->Output + Place(row, _problem->OutputStride);
                FloatMaps.Run<TLanes, FloatMaps.Quotient>(totals, totals, _scratch.TotalWeight[row], output, headDim);
            }
        }

        /// <summary>The tile as floats: itself, or expanded into the scratch.</summary>
        private byte* Expanded(byte* tile, int rows)
        {
            if (typeof(TRows) == typeof(TExpanded))
                return tile;

            KvTiles<TLanes, TRows>.Expand(tile, rows, _scratch.Tile);
            return (byte*)_scratch.Tile;
        }

        /// <summary>Whether a token of the run sees any position of a span.</summary>
        private bool Sees(int span, int token)
        {
            (int begin, int end) = _problem->Sees(_run->FirstToken + token);
            return begin < (span + 1) * Attention.SpanTokens && end > span * Attention.SpanTokens && span >= 0;
        }

        /// <summary>Slots [begin, end) of a page that a token of the run sees; empty when begin >= end.</summary>
        private (int Begin, int End) SeesIn(int page, int token)
        {
            (int begin, int end) = _problem->Sees(_run->FirstToken + token);
            return (Math.Max(begin - (page * Side), 0), Math.Min(end - (page * Side), Side));
        }

        /// <summary>Where a row's token and head stand in queries and outputs.</summary>
        private long Place(int row, int stride) =>
            ((long)(_run->FirstToken + (row / _group)) * stride) + (((_kvHead * _group) + (row % _group)) * _shared->HeadDim);

        /// <summary>[headDim][4] four rows of queries from a row that is a multiple of four.</summary>
        private float* Queries(int row) => _scratch.Queries + ((long)row * _shared->HeadDim);

        private byte* Keys(int page) => _problem->Layer
            + (_problem->Pages[_problem->PageStarts[_run->FirstToken] + page] * _shared->LayerPageBytes) + (_shared->HeadBytes * _kvHead);

        private byte* Values(int page) => Keys(page) + _shared->KeyTileBytes;

        /// <summary>Where the results of a row in the run's span number <paramref name="index"/> are kept.</summary>
        private float* Partial(int index, int row)
        {
            long slot = _run->FirstSlot + ((row / _group) * _run->SpanCount) + index;
            long head = (slot * _shared->KvHeads * _group) + (_kvHead * _group) + (row % _group);
            return _shared->Partials + (head * (_paddedDim + AttentionMemory.PartialTail));
        }
    }
}
