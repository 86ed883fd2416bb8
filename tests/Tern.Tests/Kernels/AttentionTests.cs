using Tern.Kernels;
using Tern.Machine;

namespace Tern.Tests.Kernels;

/// <summary>Attention equals its definition on every lane type, and a token's result depends on nothing but its own sequence.</summary>
public sealed class AttentionTests
{
    /// <summary>KV type, KV heads, group, headDim, window, positions: every type in every shape.</summary>
    public static TheoryData<string, int, int, int, int, int> Shapes
    {
        get
        {
            var shapes = new TheoryData<string, int, int, int, int, int>();
            foreach (KvType type in Enum.GetValues<KvType>())
                foreach ((int kvHeads, int group, int headDim, int window, int positions) in ((int, int, int, int, int)[])
                    [(1, 4, 64, 0, 70), (2, 1, 100, 0, 33), (1, 3, 96, 0, 520), (1, 5, 80, 20, 131), (1, 2, 128, 300, 530), (1, 8, 256, 33, 96), (1, 1, 2, 1, 40), (3, 2, 24, 64, 129)])
                    shapes.Add(type.ToString(), kvHeads, group, headDim, window, positions);
            return shapes;
        }
    }

    [Theory]
    [MemberData(nameof(Shapes))]
    public void Attention_is_close_to_double(string type, int kvHeads, int group, int headDim, int window, int positions)
    {
        using var world = new AttentionWorld(Enum.Parse<KvType>(type), kvHeads, group, headDim, window, positions);
        int[] tokens = Interesting(positions);
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
    public void Every_lane_type_gives_the_bits_of_the_definition(string type, int kvHeads, int group, int headDim, int window, int positions)
    {
        using var world = new AttentionWorld(Enum.Parse<KvType>(type), kvHeads, group, headDim, window, positions);
        int[] tokens = Interesting(positions);
        float[] expected = [.. tokens.SelectMany(p => Enumerable.Range(0, group * kvHeads).SelectMany(head => world.Definition(p, head)))];
        foreach (Isa isa in FloatTestData.Choices)
        {
            FloatTestData.AssertSameBits(expected, world.Run(isa, [.. tokens.Select(p => (0, p))]), $"{isa}, together");
            FloatTestData.AssertSameBits(expected, [.. tokens.SelectMany(p => world.Run(isa, [(1, p)]))], $"{isa}, alone");
        }
    }

    [Theory]
    [MemberData(nameof(Shapes))]
    public void A_token_alone_in_chunks_or_in_a_batch_gives_the_same_bits(string type, int kvHeads, int group, int headDim, int window, int positions)
    {
        using var world = new AttentionWorld(Enum.Parse<KvType>(type), kvHeads, group, headDim, window, positions);
        // Long sequences: only around the ends of spans, where something can go wrong.
        (int Sequence, int Position)[] all = [.. Enumerable.Range(0, positions).Where(p => positions < 200 || p % 256 is < 20 or > 230 || p > positions - 41).Select(p => (0, p))];
        float[] together = world.Run(Cpu.Available, all);

        (int Sequence, int Position)[] last = [.. all.TakeLast(33)];
        foreach ((int chunk, int threads) in ((int, int)[])[(1, 1), (1, 3), (7, 1), (7, 3), (33, 3)])
            FloatTestData.AssertSameBits(
                together.AsSpan((all.Length - last.Length) * world.Width),
                [.. last.Chunk(chunk).SelectMany(part => world.Run(Cpu.Available, part, threads))],
                $"chunks of {chunk}, {threads} threads");

        // Two sequences in one batch, neighbours changing all the time; sequence 1 has the same contents in other pages.
        (int, int)[] mixed = [.. all.SelectMany(t => t.Position % 3 == 0 ? new[] { (1, t.Position), t } : [t, (1, t.Position)])];
        float[] batch = world.Run(Cpu.Available, mixed);
        for (int i = 0; i < mixed.Length; i++)
            FloatTestData.AssertSameBits(
                together.AsSpan(Array.IndexOf(all, (0, mixed[i].Item2)) * world.Width, world.Width),
                batch.AsSpan(i * world.Width, world.Width),
                $"token {mixed[i]} in a mixed batch");
    }

    [Theory]
    [InlineData(nameof(KvType.F32))]
    [InlineData(nameof(KvType.F16))]
    [InlineData(nameof(KvType.Q8_0))]
    [InlineData(nameof(KvType.Q4_0))]
    public void Threads_do_not_change_the_bits(string type)
    {
        using var world = new AttentionWorld(Enum.Parse<KvType>(type), 2, 4, 64, 0, 700);
        foreach ((int, int)[] batch in ((int, int)[][])[[(0, 699)], [(0, 650), (1, 10), (1, 300)], [.. Enumerable.Range(600, 90).Select(p => (0, p))]])
        {
            float[] expected = world.Run(Cpu.Available, batch, threads: 1);
            foreach (int threads in (int[])[2, 3, 8])
                FloatTestData.AssertSameBits(expected, world.Run(Cpu.Available, batch, threads), $"{threads} threads");
        }
    }

    [Fact]
    public void What_a_token_does_not_see_has_no_influence()
    {
        // A window of 20 at position 60 sees 41..60; everything else becomes NaN.
        using var world = new AttentionWorld(KvType.F32, 1, 4, 32, 20, 96);
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
        using var world = new AttentionWorld(KvType.F32, 2, 2, 32, 0, 40);
        Assert.Throws<ArgumentOutOfRangeException>(() => world.Run(Cpu.Available, [(0, 64)]));
        Assert.Throws<ArgumentOutOfRangeException>(() => world.Run(Cpu.Available, [(0, -1)]));
    }

    [Fact]
    public void Working_memory_grows_with_the_context_and_not_with_its_square()
    {
        // The heads of BitNet b1.58 2B-4T. Whole rows of scores would be 512 tokens · 20 heads · 32,768 positions · 4 bytes: 1.3 GB.
        long small = Bytes(4_096), large = Bytes(32_768), larger = Bytes(65_536);
        Assert.InRange(large, small, 16L << 20);
        Assert.Equal(2 * (large - small) * 32_768 / (32_768 - 4_096), 2 * (larger - large));

        static long Bytes(int context)
        {
            using var pool = new WorkerPool(2);
            using var attention = new Attention(new KvPages(KvType.F16, 5, 128), 20, 512, context, Cpu.Available, pool);
            return attention.ScratchBytes;
        }
    }

    private static int[] Interesting(int positions) =>
        [.. new[] { 0, 15, 31, 32, positions / 2, 255, 256, 512, positions - 3, positions - 2, positions - 1 }.Where(p => p < positions)];
}
