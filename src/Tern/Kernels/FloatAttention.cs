using System.Diagnostics;
using System.Runtime.CompilerServices;

namespace Tern.Kernels;

/// <summary>What the attention of all lane types shares.</summary>
internal static unsafe class FloatAttention
{
    /// <summary>Tokens of one sequence that share the expansion of a tile.</summary>
    public const int TokensPerItem = 4;

    /// <summary>Floats from the scores of one head to those of the next: whole pages.</summary>
    public static int ScoreStride(int positionsMax) => (positionsMax + KvPages.PageTokens - 1) / KvPages.PageTokens * KvPages.PageTokens;

    /// <summary>What workers need besides the problem itself.</summary>
    public struct State
    {
        public AttentionProblem* Problem;
        public KvType Type;
        public int KvHeads;
        public int HeadDim;
        public long LayerPageBytes;
        public long TileBytes;
    }
}

/// <summary>
/// The attention of <see cref="Attention"/> in three passes over the pages that a token sees: scores (lanes are positions), softmax, and the
/// weighted sum of values (lanes are dimensions). Scores of a whole row are kept, four heads move together, and each tile of keys or values
/// is expanded to float32 in a scratch on the stack that stays in the first-level cache.
/// </summary>
internal static unsafe class FloatAttention<TLanes>
    where TLanes : unmanaged, ILanes<TLanes>
{
    private const int PageTokens = KvPages.PageTokens;

    /// <summary>Computes items [start, end); item = kvHead · tokens + token.</summary>
    [SkipLocalsInit]
    public static void Work(void* state, int start, int end, int worker)
    {
        var shared = (FloatAttention.State*)state;
        AttentionProblem* problem = shared->Problem;
        int group = problem->Heads / shared->KvHeads;
        int paddedDim = (shared->HeadDim + Lanes.Count - 1) / Lanes.Count * Lanes.Count;

        float* tile = stackalloc float[PageTokens * paddedDim];
        float* sums = stackalloc float[FloatAttention.TokensPerItem * group * (paddedDim + 1)];
        float* scores = problem->Scores + (worker * Attention.ScratchFloats(group, problem->PositionsMax));

        for (int item = start; item < end; item++)
        {
            int first = item % problem->Tokens;
            if (!LeadsItsRun(problem, first))
                continue;

            int last = first + 1;
            while (last < problem->Tokens && !LeadsItsRun(problem, last))
                last++;
            var run = new Run(shared, item / problem->Tokens, first, last - first, paddedDim, tile, scores, sums);
            run.Scores();
            run.Softmax();
            run.Values();
        }
    }

    /// <summary>Runs of tokens of one sequence begin at every fourth token and wherever the sequence changes.</summary>
    private static bool LeadsItsRun(AttentionProblem* problem, int token) =>
        token % FloatAttention.TokensPerItem == 0 || problem->PageStarts[token] != problem->PageStarts[token - 1];

    /// <summary>Up to four tokens of one sequence and one KV head with its group of query heads.</summary>
    private readonly ref struct Run
    {
        private readonly FloatAttention.State* _shared;
        private readonly AttentionProblem* _problem;
        private readonly int _kvHead;
        private readonly int _first;          // the first token
        private readonly int _count;          // tokens
        private readonly int _group;          // query heads per KV head
        private readonly int _headDim;
        private readonly int _paddedDim;      // headDim rounded up to whole lanes
        private readonly int _firstPage;      // pages that any of the tokens sees: [_firstPage, _endPage)
        private readonly int _endPage;
        private readonly int _stride;         // floats from one row of scores to the next
        private readonly float* _tile;        // [headDim][PageTokens] keys or [PageTokens][paddedDim] values
        private readonly float* _scores;      // [token, group][stride], column 0 is the first position of _firstPage
        private readonly float* _outputs;     // [token, group][paddedDim]
        private readonly float* _sums;        // [token, group]

        public Run(
            FloatAttention.State* shared, int kvHead, int first, int count, int paddedDim, float* tile, float* scores, float* sums)
        {
            _shared = shared;
            _problem = shared->Problem;
            _kvHead = kvHead;
            _first = first;
            _count = count;
            _group = shared->Problem->Heads / shared->KvHeads;
            _headDim = shared->HeadDim;
            _paddedDim = paddedDim;
            _stride = FloatAttention.ScoreStride(shared->Problem->PositionsMax);
            _tile = tile;
            _scores = scores;
            _outputs = sums;
            _sums = sums + (FloatAttention.TokensPerItem * _group * paddedDim);
            (_firstPage, _endPage) = (int.MaxValue, 0);
            for (int i = 0; i < count; i++)
            {
                (int begin, int end) = Sees(i);
                _firstPage = Math.Min(_firstPage, begin / PageTokens);
                _endPage = Math.Max(_endPage, ((end - 1) / PageTokens) + 1);
            }

            Debug.Assert((_endPage - _firstPage) * PageTokens <= _stride, "the scores fit the scratch");
        }

        /// <summary>Pass 1: the scores of every page, -∞ where a token does not see a position of a page it sees in part.</summary>
        public void Scores()
        {
            for (int page = _firstPage; page < _endPage; page++)
            {
                byte* keys = PageData(page);
                float* tile = FloatTiles<TLanes>.Expand(_shared->Type, keys, _headDim * PageTokens, _tile);
                for (int i = 0; i < _count; i++)
                {
                    (int begin, int end) = SeesIn(page, i);
                    if (begin >= end)
                        continue;

                    float* rows = _scores + ((long)i * _group * _stride) + ((page - _firstPage) * PageTokens);
                    ScorePage(Query(i), tile, rows);
                    for (int h = 0; h < _group; h++)
                    {
                        float* row = rows + ((long)h * _stride);
                        new Span<float>(row, begin).Fill(float.NegativeInfinity);
                        new Span<float>(row + end, PageTokens - end).Fill(float.NegativeInfinity);
                    }
                }
            }
        }

        /// <summary>Pass 2: scores become exp(score - max), and their sums are kept.</summary>
        public void Softmax()
        {
            for (int i = 0; i < _count; i++)
            {
                (int begin, int end) = Sees(i);
                int skipped = ((begin / PageTokens) - _firstPage) * PageTokens;
                int length = (((end - 1) / PageTokens) + 1 - (begin / PageTokens)) * PageTokens;
                for (int h = 0; h < _group; h++)
                {
                    float* row = _scores + ((((long)i * _group) + h) * _stride) + skipped;
                    float max = FloatFunctions.Max<TLanes>(row, length);
                    _sums[(i * _group) + h] = FloatFunctions.ExpInPlace<TLanes>(row, length, max);
                }
            }
        }

        /// <summary>Pass 3: the weighted sum of values, divided by the sum of weights.</summary>
        public void Values()
        {
            new Span<float>(_outputs, _count * _group * _paddedDim).Clear();
            for (int page = _firstPage; page < _endPage; page++)
            {
                byte* values = PageData(page) + _shared->TileBytes;
                float* tile = FloatTiles<TLanes>.ExpandRows(_shared->Type, values, PageTokens, _headDim, _paddedDim, _tile);
                for (int i = 0; i < _count; i++)
                {
                    (int begin, int end) = SeesIn(page, i);
                    if (begin >= end)
                        continue;

                    float* weights = _scores + ((long)i * _group * _stride) + ((page - _firstPage) * PageTokens);
                    SumPage(weights, tile, begin, end, _outputs + (i * _group * _paddedDim));
                }
            }

            for (int i = 0; i < _count; i++)
            {
                float* output = _problem->Output + ((long)(_first + i) * _problem->OutputStride) + (_kvHead * _group * _headDim);
                for (int h = 0; h < _group; h++)
                {
                    int row = (i * _group) + h;
                    float* sums = _outputs + (row * _paddedDim);
                    FloatMaps.Run<TLanes, FloatMaps.Quotient>(sums, sums, _sums[row], output + (h * _headDim), _headDim);
                }
            }
        }

        /// <summary>Positions [begin, end) that token i sees.</summary>
        private (int Begin, int End) Sees(int i)
        {
            int position = _problem->Positions[_first + i];
            return (_problem->Window > 0 ? Math.Max(0, position - _problem->Window + 1) : 0, position + 1);
        }

        /// <summary>Slots [begin, end) of a page that token i sees; empty when begin >= end.</summary>
        private (int Begin, int End) SeesIn(int page, int i)
        {
            (int begin, int end) = Sees(i);
            int origin = page * PageTokens;
            return (Math.Max(begin - origin, 0), Math.Min(end - origin, PageTokens));
        }

        private float* Query(int i) =>
            _problem->Queries + ((long)(_first + i) * _problem->QueryStride) + (_kvHead * _group * _headDim);

        /// <summary>The tiles of this KV head in a page: keys, then values.</summary>
        private byte* PageData(int page) => _problem->Layer
            + (_problem->Pages[_problem->PageStarts[_first] + page] * _shared->LayerPageBytes)
            + (2 * _shared->TileBytes * _kvHead);

        /// <summary>Scores of 32 positions for the group, four heads at a time; where fewer remain, the last one is repeated.</summary>
        private void ScorePage(float* query, float* tile, float* rows)
        {
            for (int h = 0; h < _group; h += 4)
            {
                int h1 = Math.Min(h + 1, _group - 1), h2 = Math.Min(h + 2, _group - 1), h3 = Math.Min(h + 3, _group - 1);
                float* q0 = query + (h * _headDim), q1 = query + (h1 * _headDim);
                float* q2 = query + (h2 * _headDim), q3 = query + (h3 * _headDim);
                float* s0 = rows + ((long)h * _stride), s1 = rows + ((long)h1 * _stride);
                float* s2 = rows + ((long)h2 * _stride), s3 = rows + ((long)h3 * _stride);
                if (TLanes.IsWide)
                {
                    FloatTiles<TLanes>.Scores4x2(q0, q1, q2, q3, tile, _headDim, _problem->Scale, s0, s1, s2, s3);
                }
                else
                {
                    for (int p = 0; p < PageTokens; p += Lanes.Count)
                        FloatTiles<TLanes>.Scores4x1(q0, q1, q2, q3, tile + p, _headDim, _problem->Scale, s0 + p, s1 + p, s2 + p, s3 + p);
                }
            }
        }

        /// <summary>Adds slots [begin, end) of a tile of values to the sums of the group, four heads at a time as in ScorePage.</summary>
        private void SumPage(float* weights, float* tile, int begin, int end, float* outputs)
        {
            for (int h = 0; h < _group; h += 4)
            {
                int h1 = Math.Min(h + 1, _group - 1), h2 = Math.Min(h + 2, _group - 1), h3 = Math.Min(h + 3, _group - 1);
                float* w0 = weights + ((long)h * _stride), w1 = weights + ((long)h1 * _stride);
                float* w2 = weights + ((long)h2 * _stride), w3 = weights + ((long)h3 * _stride);
                float* o0 = outputs + (h * _paddedDim), o1 = outputs + (h1 * _paddedDim);
                float* o2 = outputs + (h2 * _paddedDim), o3 = outputs + (h3 * _paddedDim);
                int d = 0;
                if (TLanes.IsWide)
                {
                    for (; d <= _paddedDim - (2 * Lanes.Count); d += 2 * Lanes.Count)
                        FloatTiles<TLanes>.Sums4x2(w0, w1, w2, w3, tile + d, _paddedDim, begin, end, o0 + d, o1 + d, o2 + d, o3 + d);
                }

                for (; d < _paddedDim; d += Lanes.Count)
                    FloatTiles<TLanes>.Sums4x1(w0, w1, w2, w3, tile + d, _paddedDim, begin, end, o0 + d, o1 + d, o2 + d, o3 + d);
            }
        }
    }
}
