using Tern.Kernels;
using Tern.Machine;
using Tern.Numerics;

namespace Tern.Tests.Kernels;

/// <summary>Two sequences with the same keys and values in different pages, and queries for every position.</summary>
internal sealed unsafe class AttentionWorld : IDisposable
{
    private const int Block = KvPages.BlockDims;

    private readonly KvPages _pages;
    private readonly int _group;
    private readonly int _window;
    private readonly int _contextMax;
    private readonly int _pagesPerSequence;
    private readonly int[] _pageNumbers;
    private readonly float[] _keys;
    private readonly float[] _values;
    private readonly float[] _queries;
    private readonly NativeBuffer<byte> _layer;

    public AttentionWorld(KvType type, int kvHeads, int group, int headDim, int window, int positions)
    {
        _pages = new KvPages(type, kvHeads, headDim);
        (_group, _window) = (group, window);
        Width = kvHeads * group * headDim;
        _pagesPerSequence = (positions + KvPages.PageTokens - 1) / KvPages.PageTokens;
        _contextMax = _pagesPerSequence * KvPages.PageTokens;

        // Pages of both sequences shuffled, with unused pages of garbage between them.
        var random = new Random(positions);
        _pageNumbers = [.. Enumerable.Range(0, 3 * _pagesPerSequence).OrderBy(_ => random.Next())];
        _layer = new NativeBuffer<byte>(3 * _pagesPerSequence * _pages.LayerPageBytes);
        _layer.Span.Fill(0xFF);

        _keys = FloatTestData.Uniform(1, positions * kvHeads * headDim);
        _values = FloatTestData.Uniform(2, positions * kvHeads * headDim);
        _queries = FloatTestData.Uniform(3, positions * Width, 4);
        for (int p = 0; p < positions; p++)
            Append(p, _keys, _values);
    }

    public int Width { get; }

    private int KvWidth => _pages.KvHeads * _pages.HeadDim;

    private float Scale => (float)(1 / Math.Sqrt(_pages.HeadDim));

    public void Dispose() => _layer.Dispose();

    /// <summary>Replaces the stored keys and values of positions by NaN.</summary>
    public void Poison(Func<int, bool> which)
    {
        float[] poison = [.. _keys.Select(_ => float.NaN)];
        for (int p = 0; p < _keys.Length / KvWidth; p++)
            if (which(p))
                Append(p, poison, poison);
    }

    /// <summary>[tokens, Width] outputs of (sequence, position) tokens.</summary>
    public float[] Run(Isa isa, (int Sequence, int Position)[] tokens, int threads = 1)
    {
        using var pool = new WorkerPool(threads);
        using var attention = new Attention(_pages, _pages.KvHeads * _group, tokens.Length, _contextMax, isa, pool);
        using var queries = new NativeBuffer<float>(tokens.Length * Width);
        using var output = new NativeBuffer<float>(tokens.Length * Width);
        for (int i = 0; i < tokens.Length; i++)
            if (tokens[i].Position >= 0 && tokens[i].Position < _queries.Length / Width)
                _queries.AsSpan(tokens[i].Position * Width, Width).CopyTo(queries.Span[(i * Width)..]);

        fixed (int* positions = tokens.Select(t => t.Position).ToArray(),
            starts = tokens.Select(t => t.Sequence * _pagesPerSequence).ToArray(), pages = _pageNumbers)
        {
            var problem = new AttentionProblem
            {
                Queries = queries.Pointer,
                Output = output.Pointer,
                QueryStride = Width,
                OutputStride = Width,
                Tokens = tokens.Length,
                Scale = Scale,
                Positions = positions,
                PageStarts = starts,
                Pages = pages,
                Layer = _layer.Pointer,
                Window = _window,
            };
            attention.Run(ref problem);
        }

        return output.Span.ToArray();
    }

    /// <summary>The output of one head in double precision, from the keys and values as they are stored.</summary>
    public double[] Reference(int position, int head)
    {
        int headDim = _pages.HeadDim;
        int first = _window > 0 ? Math.Max(0, position - _window + 1) : 0;
        var weights = new double[position + 1];
        for (int p = first; p <= position; p++)
        {
            (float[] codes, float[] scales) = Stored(_keys, p, head);
            for (int d = 0; d < headDim; d++)
                weights[p] += (double)Query(position, head)[d] * codes[d] * scales[d / Block];
            weights[p] = Math.Exp(weights[p] / Math.Sqrt(headDim));
        }

        var output = new double[headDim];
        double sum = weights.Sum();
        for (int p = first; p <= position; p++)
        {
            (float[] codes, float[] scales) = Stored(_values, p, head);
            for (int d = 0; d < headDim; d++)
                output[d] += weights[p] / sum * codes[d] * scales[d / Block];
        }

        return output;
    }

    /// <summary>The definition that <see cref="Attention"/> writes down, word for word, one number at a time.</summary>
    public float[] Definition(int position, int head)
    {
        int headDim = _pages.HeadDim;
        float[] query = [.. Query(position, head).Select(q => q * Scale)];
        int first = _window > 0 ? Math.Max(0, position - _window + 1) : 0;
        float max = 0, weight = 0;
        float[]? total = null;
        for (int span = first / Attention.SpanTokens; span <= position / Attention.SpanTokens; span++)
        {
            int begin = Math.Max(first, span * Attention.SpanTokens);
            int end = Math.Min(position + 1, (span + 1) * Attention.SpanTokens);
            float[] scores = [.. Enumerable.Range(begin, end - begin).Select(p => Score(query, p, head))];
            float m = scores.Max();
            float[] e = [.. scores.Select(s => Exp(s - m))];
            float l = LaneSum(begin, e);
            var o = new float[headDim];
            for (int p = begin; p < end; p++)
            {
                (float[] codes, float[] scales) = Stored(_values, p, head);
                for (int d = 0; d < headDim; d++)
                    o[d] = MathF.FusedMultiplyAdd(IsScaled ? e[p - begin] * scales[d / Block] : e[p - begin], codes[d], o[d]);
            }

            if (total is null)
            {
                (max, weight, total) = (m, l, o);
                continue;
            }

            float highest = Math.Max(max, m);
            float oldFactor = Exp(max - highest), factor = Exp(m - highest);
            weight = MathF.FusedMultiplyAdd(l, factor, weight * oldFactor);
            for (int d = 0; d < headDim; d++)
                total[d] = MathF.FusedMultiplyAdd(o[d], factor, total[d] * oldFactor);
            max = highest;
        }

        return [.. total!.Select(t => t / weight)];
    }

    private bool IsScaled => _pages.Type is KvType.Q8_0 or KvType.Q4_0;

    private float Score(float[] query, int position, int head)
    {
        (float[] codes, float[] scales) = Stored(_keys, position, head);
        int step = IsScaled ? Block : query.Length;
        float score = 0;
        for (int first = 0; first < query.Length; first += step)
        {
            float t = 0;
            for (int d = first; d < Math.Min(first + step, query.Length); d++)
                t = MathF.FusedMultiplyAdd(query[d], codes[d], t);
            score = first == 0 ? (IsScaled ? t * scales[0] : t) : MathF.FusedMultiplyAdd(t, scales[first / Block], score);
        }

        return score;
    }

    private static float LaneSum(int first, float[] e)
    {
        float* lanes = stackalloc float[Lanes.Count];
        new Span<float>(lanes, Lanes.Count).Clear();
        for (int i = 0; i < e.Length; i++)
            lanes[(first + i) % Lanes.Count] += e[i];
        return LanesScalar.TreeSum(LanesScalar.Load(lanes));
    }

    private static float Exp(float value)
    {
        float* lanes = stackalloc float[Lanes.Count];
        LanesScalar.Store(FloatFunctions.Exp(LanesScalar.Broadcast(value)), lanes);
        return lanes[0];
    }

    private float[] Query(int position, int head) => _queries.AsSpan((position * Width) + (head * _pages.HeadDim), _pages.HeadDim).ToArray();

    /// <summary>A head vector as its type keeps it: numbers, and what they are multiplied by in each block of 32.</summary>
    private (float[] Codes, float[] Scales) Stored(float[] source, int position, int head)
    {
        int headDim = _pages.HeadDim;
        float[] vector = source.AsSpan((position * KvWidth) + (head / _group * headDim), headDim).ToArray();
        int blocks = (headDim + Block - 1) / Block;
        if (!IsScaled)
            return ([.. vector.Select(x => _pages.Type == KvType.F16 ? (float)(Half)x : x)], [.. Enumerable.Repeat(1f, blocks)]);

        // The file format of the same name, unpacked by hand.
        TensorType type = _pages.Type == KvType.Q8_0 ? TensorType.Q8_0 : TensorType.Q4_0;
        var padded = new float[blocks * Block];
        vector.CopyTo(padded, 0);
        var bytes = new byte[blocks * type.BlockBytes];
        type.Encode(padded, padded.Length, bytes);
        var codes = new float[padded.Length];
        var scales = new float[blocks];
        for (int b = 0; b < blocks; b++)
        {
            ReadOnlySpan<byte> block = bytes.AsSpan(b * type.BlockBytes, type.BlockBytes);
            scales[b] = (float)BitConverter.ToHalf(block);
            for (int i = 0; i < Block; i++)
                codes[(b * Block) + i] = _pages.Type == KvType.Q8_0 ? (sbyte)block[2 + i] : (i < 16 ? block[2 + i] & 15 : block[2 + i - 16] >> 4) - 8;
        }

        return (codes[..headDim], scales);
    }

    private void Append(int position, float[] keys, float[] values)
    {
        fixed (float* k = keys, v = values)
        {
            for (int sequence = 0; sequence < 2; sequence++)
            {
                int page = _pageNumbers[(sequence * _pagesPerSequence) + (position / KvPages.PageTokens)];
                _pages.Append(
                    _layer.Pointer + (page * _pages.LayerPageBytes), position % KvPages.PageTokens, k + (position * KvWidth), v + (position * KvWidth));
            }
        }
    }
}
