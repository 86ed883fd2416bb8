using Tern.Kernels;
using Tern.Machine;

namespace Tern.Tests.Kernels;

/// <summary>Attention equals its definition on every lane type, and a token's result depends on nothing but its own sequence.</summary>
public sealed unsafe class AttentionTests
{
    public static TheoryData<bool, int, int, int, int, int> Shapes => new()
    {
        // half, KV heads, group, headDim, window, positions
        { false, 1, 4, 64, 0, 70 },
        { false, 2, 1, 100, 0, 33 },
        { true, 2, 3, 100, 0, 65 },
        { true, 1, 5, 80, 20, 131 },
        { true, 1, 2, 128, 0, 100 },
        { false, 1, 8, 256, 33, 96 },
        { true, 1, 1, 2, 1, 40 },
        { false, 3, 2, 24, 64, 129 },
    };

    [Theory]
    [MemberData(nameof(Shapes))]
    public void Attention_is_close_to_double(bool half, int kvHeads, int group, int headDim, int window, int positions)
    {
        using var world = new World(half ? KvType.F16 : KvType.F32, kvHeads, group, headDim, window, positions);
        int[] tokens = [0, 1, 15, 16, 31, 32, positions / 2, positions - 1];
        float[] output = world.Run(Cpu.Available, [.. tokens.Select(p => (0, p))]);
        for (int i = 0; i < tokens.Length; i++)
            for (int head = 0; head < group * kvHeads; head++)
            {
                double[] expected = world.Reference(tokens[i], head);
                for (int d = 0; d < headDim; d++)
                {
                    // Scores are sums of headDim products of size up to 1 · scale; their error moves every weight by as much.
                    double tolerance = 1.2e-7 * (8 + Math.Sqrt(headDim) + Math.Sqrt(positions));
                    double actual = output[(i * world.Width) + (head * headDim) + d];
                    Assert.InRange(actual, expected[d] - tolerance, expected[d] + tolerance);
                }
            }
    }

    [Theory]
    [MemberData(nameof(Shapes))]
    public void Every_lane_type_gives_the_bits_of_the_definition(bool half, int kvHeads, int group, int headDim, int window, int positions)
    {
        using var world = new World(half ? KvType.F16 : KvType.F32, kvHeads, group, headDim, window, positions);
        (int, int)[] tokens = [(0, 0), (0, 31), (0, 40 % positions), (0, positions - 1)];
        float[] expected = world.Run(Isa.None, tokens);
        foreach (Isa isa in FloatTestData.FastChoices)
            FloatTestData.AssertSameBits(expected, world.Run(isa, tokens), $"{isa}");
    }

    [Theory]
    [MemberData(nameof(Shapes))]
    public void A_token_alone_in_chunks_or_in_a_batch_gives_the_same_bits(bool half, int kvHeads, int group, int headDim, int window, int positions)
    {
        using var world = new World(half ? KvType.F16 : KvType.F32, kvHeads, group, headDim, window, positions);
        (int Sequence, int Position)[] all = [.. Enumerable.Range(0, positions).Select(p => (0, p))];
        float[] together = world.Run(Cpu.Available, all);

        foreach (int chunk in new[] { 1, 7 })
            FloatTestData.AssertSameBits(together, [.. all.Chunk(chunk).SelectMany(part => world.Run(Cpu.Available, part))], $"chunks of {chunk}");

        // Two sequences in one batch, neighbours changing all the time; sequence 1 has the same contents in other pages.
        (int, int)[] mixed = [.. all.SelectMany(t => t.Position % 3 == 0 ? new[] { (1, t.Position), t } : [t, (1, t.Position)])];
        float[] batch = world.Run(Cpu.Available, mixed);
        for (int i = 0; i < mixed.Length; i++)
            FloatTestData.AssertSameBits(
                together.AsSpan(mixed[i].Item2 * world.Width, world.Width), batch.AsSpan(i * world.Width, world.Width), $"token {mixed[i]} in a mixed batch");
    }

    [Fact]
    public void Threads_do_not_change_the_bits()
    {
        using var world = new World(KvType.F16, 2, 4, 64, 0, 90);
        (int, int)[] all = [.. Enumerable.Range(0, 90).Select(p => (0, p))];
        FloatTestData.AssertSameBits(world.Run(Cpu.Available, all, threads: 1), world.Run(Cpu.Available, all, threads: 3), "three threads");
    }

    [Fact]
    public void What_a_token_does_not_see_has_no_influence()
    {
        // A window of 20 at position 60 sees 41..60; everything else becomes NaN.
        using var world = new World(KvType.F32, 1, 4, 32, 20, 96);
        float[] expected = world.Run(Cpu.Available, [(0, 60)]);
        world.Poison(p => p is < 41 or > 60);
        FloatTestData.AssertSameBits(expected, world.Run(Cpu.Available, [(0, 60)]), "with poison outside the window");
        FloatTestData.AssertSameBits(expected, world.Run(Cpu.Available, [(0, 59), (0, 60)]).AsSpan(world.Width), "with a neighbour that sees poison");
        world.Poison(p => p == 41);
        Assert.Contains(world.Run(Cpu.Available, [(0, 60)]), float.IsNaN);
    }

    [Fact]
    public void Problems_that_do_not_fit_are_refused()
    {
        using var world = new World(KvType.F32, 2, 2, 32, 0, 40);
        Assert.Throws<ArgumentOutOfRangeException>(() => world.Run(Cpu.Available, [(0, 64)]));
        Assert.Throws<ArgumentOutOfRangeException>(() => world.Run(Cpu.Available, [(0, -1)]));
    }

    /// <summary>Two sequences with the same keys and values in different pages, and queries for every position.</summary>
    private sealed class World : IDisposable
    {
        private readonly KvPages _pages;
        private readonly int _group;
        private readonly int _window;
        private readonly int _positionsMax;
        private readonly int _pagesPerSequence;
        private readonly int[] _pageNumbers;
        private readonly float[] _keys;
        private readonly float[] _values;
        private readonly float[] _queries;
        private readonly NativeBuffer<byte> _layer;

        public World(KvType type, int kvHeads, int group, int headDim, int window, int positions)
        {
            _pages = new KvPages(type, kvHeads, headDim);
            (_group, _window) = (group, window);
            Width = kvHeads * group * headDim;
            _pagesPerSequence = (positions + KvPages.PageTokens - 1) / KvPages.PageTokens;
            _positionsMax = _pagesPerSequence * KvPages.PageTokens;

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
            var attention = new Attention(_pages, isa);
            using var pool = new WorkerPool(threads);
            using var scores = new NativeBuffer<float>(threads * Attention.ScratchFloats(_group, _positionsMax));
            using var queries = new NativeBuffer<float>(tokens.Length * Width);
            using var output = new NativeBuffer<float>(tokens.Length * Width);
            scores.Span.Fill(float.NaN);
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
                    Heads = _pages.KvHeads * _group,
                    Scale = (float)(1 / Math.Sqrt(_pages.HeadDim)),
                    Positions = positions,
                    PageStarts = starts,
                    Pages = pages,
                    Layer = _layer.Pointer,
                    Window = _window,
                    Scores = scores.Pointer,
                    PositionsMax = _positionsMax,
                };
                attention.Run(pool, ref problem);
            }

            return output.Span.ToArray();
        }

        /// <summary>The output of one head in double precision, from the keys and values as they are stored.</summary>
        public double[] Reference(int position, int head)
        {
            int headDim = _pages.HeadDim;
            int kv = head / _group * headDim;
            int first = _window > 0 ? Math.Max(0, position - _window + 1) : 0;
            var weights = new double[position + 1];
            for (int p = first; p <= position; p++)
            {
                for (int d = 0; d < headDim; d++)
                    weights[p] += (double)_queries[(position * Width) + (head * headDim) + d] * Stored(_keys[(p * KvWidth) + kv + d]);
                weights[p] = Math.Exp(weights[p] / Math.Sqrt(headDim));
            }

            var output = new double[headDim];
            for (int p = first; p <= position; p++)
                for (int d = 0; d < headDim; d++)
                    output[d] += weights[p] / weights.Sum() * Stored(_values[(p * KvWidth) + kv + d]);
            return output;
        }

        private double Stored(float value) => _pages.Type == KvType.F16 ? (double)(Half)value : value;

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
}
