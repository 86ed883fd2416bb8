using Tern.Kernels;
using Tern.Machine;
using Tern.Numerics;

namespace Tern.Tests.Kernels;

/// <summary>The screen against the full head: its bounds hold, its kernels agree, and what it lists is all that can matter.</summary>
public sealed unsafe class HeadScreenTests
{
    public static TheoryData<string, string> Matrices
    {
        get
        {
            var data = new TheoryData<string, string>();
            foreach (string kind in ScreenTestData.Kinds)
                data.Add(kind, "F16");
            foreach (TensorType type in TensorType.All.Where(t => HeadPlanes.Suit(t) && t != TensorType.F16 && t.CanEncode))
                data.Add("gaussian", type.Name);
            return data;
        }
    }

    [Theory]
    [MemberData(nameof(Matrices))]
    public void Every_score_is_within_the_bounds_of_both_planes(string kind, string type)
    {
        using var pool = new WorkerPool(2);
        using var data = new ScreenTestData(kind, TypeOf(type), 1000, 512, 11, pool);
        using var hidden = new PlaneHidden(data.Planes, ScreenTestData.TokensMax);
        double closestHigh = 0, closestLow = 0;
        for (int round = 0; round < 9; round++)
        {
            data.SetHidden(1, round % 3, round);
            float[] scores = data.Full();
            (float[] estimates, float[] squares) = Estimate(data, hidden, ScreenKernel.For(Cpu.Available), low: false, 1);
            closestHigh = Math.Max(closestHigh, Worst(scores, estimates, squares));
            (estimates, squares) = Estimate(data, hidden, ScreenKernel.For(Cpu.Available), low: true, 1);
            closestLow = Math.Max(closestLow, Worst(scores, estimates, squares));
        }

        // Hoeffding allows about twelve deviations of the error, so what is met stays far below the bound, and far above nothing.
        Assert.InRange(closestHigh, kind == "zeros" ? 0.05 : 0.1, 0.7);
        Assert.InRange(closestLow, 0.02, 0.7);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(6)]
    public void Every_kernel_gives_the_bits_of_the_definition(int tokens)
    {
        using var pool = new WorkerPool(2);
        foreach ((int rows, int columns) in ((int, int)[])[(32, 32), (75, 100), (97, 544), (33, 9000)])
        {
            using var data = new ScreenTestData("uneven", TensorType.F32, rows, columns, 3, pool);
            using var hidden = new PlaneHidden(data.Planes, ScreenTestData.TokensMax);
            data.SetHidden(tokens, 1, 5);
            foreach (bool low in (bool[])[false, true])
            {
                (float[] estimates, float[] squares) = Estimate(data, hidden, ScreenKernel.All[^1], low, tokens);
                foreach (ScreenKernel kernel in ScreenKernel.All.Where(k => (k.Needs & ~Cpu.Available) == 0))
                {
                    (float[] estimates2, float[] squares2) = Estimate(data, hidden, kernel, low, tokens);
                    FloatTestData.AssertSameBits(estimates, estimates2, $"{kernel.Name} {rows} x {columns}, low {low}: estimates");
                    FloatTestData.AssertSameBits(squares, squares2, $"{kernel.Name} {rows} x {columns}, low {low}: bounds");
                }
            }
        }
    }

    [Theory]
    [MemberData(nameof(Matrices))]
    public void Lists_hold_every_row_that_can_matter_with_its_exact_score(string kind, string type) => CheckLists(kind, type);

    [Fact]
    public void Rows_that_are_too_large_or_no_numbers_are_computed_exactly() => CheckLists("broken", "F32");

    [Fact]
    public void Planes_are_the_same_with_any_number_of_threads_and_pinned()
    {
        uint[] hashes = new uint[2];
        for (int i = 0; i < 2; i++)
        {
            using var pool = new WorkerPool(1 + (2 * i));
            using var data = new ScreenTestData("gaussian", TensorType.F16, 100, 96, 1, pool);
            uint hash = 2166136261;
            foreach (byte value in new ReadOnlySpan<byte>(data.Planes.High, (int)data.Planes.HighBytes))
                hash = unchecked((hash ^ value) * 16777619);
            foreach (byte value in new ReadOnlySpan<byte>(data.Planes.Low, data.Planes.Rows * data.Planes.LowRowBytes))
                hash = unchecked((hash ^ value) * 16777619);
            hashes[i] = hash;
        }

        Assert.Equal(hashes[0], hashes[1]);
        Assert.Equal(2349298417u, hashes[0]);
    }

    [Theory]
    [InlineData(float.NaN)]
    [InlineData(float.PositiveInfinity)]
    [InlineData(1e30f)]
    public void Hidden_states_that_cannot_be_bounded_are_refused(float value)
    {
        using var pool = new WorkerPool(1);
        using var data = new ScreenTestData("gaussian", TensorType.F16, 64, 64, 1, pool);
        using var screen = new HeadScreen(data.Planes, data.Matrix, Cpu.Available, pool, 3, 32);
        data.SetHidden(3, 0, 1);
        data.Activations.Floats[data.Activations.Stride + 7] = value;
        new Span<float>(data.Activations.Floats + (2 * data.Activations.Stride), 64).Clear();
        bool[] bounded = new bool[3];
        screen.Screen(data.Activations, 0, 3, bounded);
        Assert.Equal([true, false, false], bounded);
    }

    private static void CheckLists(string kind, string type)
    {
        const int listMax = 700;
        using var pool = new WorkerPool(2);
        using var data = new ScreenTestData(kind, TypeOf(type), 6000, 256, 7, pool);
        using var screen = new HeadScreen(data.Planes, data.Matrix, Cpu.Available, pool, ScreenTestData.TokensMax, listMax);
        bool[] bounded = new bool[ScreenTestData.TokensMax];
        int[] ids = new int[listMax];
        float[] listed = new float[listMax];
        int lists = 0;
        for (int round = 0; round < 12; round++)
        {
            int tokens = 1 + (round % ScreenTestData.TokensMax);
            data.SetHidden(tokens, round % 3, 100 + round);
            float[] scores = data.Full();
            screen.Screen(data.Activations, 0, tokens, bounded);
            for (int token = 0; token < tokens; token++)
            {
                Assert.True(bounded[token]);
                int count = ((int[])[1, 5, 40, int.MaxValue])[(round + token) % 4];
                float distance = count == int.MaxValue ? -0.5f : round % 2 == 0 ? float.NegativeInfinity : -3;
                int[] forced = [3, 5999, 3];
                int found = screen.TrySelect(token, count, distance, forced, ids, listed, out ScreenedRows rows);
                if (found < 0)
                    continue;
                lists++;
                Assert.True(rows.Exact == found);
                ReadOnlySpan<float> own = scores.AsSpan(token * data.Rows, data.Rows);
                int[] expected = Mattering(own, count, distance, forced);
                int[] got = ids[..found];
                Assert.Equal(got.Distinct().Order(), got);
                Assert.Empty(expected.Except(got));
                for (int i = 0; i < found; i++)
                    Assert.Equal(FloatTestData.Bits(own[ids[i]]), FloatTestData.Bits(listed[i]));
            }
        }

        // A matrix of duplicates has too many equals now and then; every kind must be decided somewhere.
        Assert.True(lists >= 3, $"{lists} lists");
    }

    /// <summary>All rows that reach both the count-th largest score and the distance, and the forced ones.</summary>
    private static int[] Mattering(ReadOnlySpan<float> scores, int count, float distance, int[] forced)
    {
        float[] own = scores.ToArray();
        float[] sorted = [.. own.Where((_, id) => !forced.Contains(id)).OrderDescending()];
        float threshold = MathF.Max(sorted[0] + distance, count <= sorted.Length ? sorted[count - 1] : float.NegativeInfinity);
        return [.. Enumerable.Range(0, own.Length).Where(id => own[id] >= threshold || forced.Contains(id))];
    }

    private static (float[] Estimates, float[] Squares) Estimate(ScreenTestData data, PlaneHidden hidden, ScreenKernel kernel, bool low, int tokens)
    {
        MatMulProblem exact = default;
        data.Activations.Bind(data.Matrix.Kernel.Form, data.Pool, ref exact);
        float[] x = new float[data.Columns];
        for (int token = 0; token < tokens; token++)
        {
            for (int i = 0; i < x.Length; i++)
                x[i] = data.Matrix.Kernel.Form == ActivationForm.Int8PerBlock
                    ? exact.Codes[(token * exact.CodeStride) + i] * exact.Scales[(token * exact.BlockStride) + (i / 32)]
                    : exact.Floats[(token * exact.FloatStride) + i];
            Assert.True(hidden.TrySet(token, x));
        }

        HeadPlanes planes = data.Planes;
        int stride = planes.Blocks * HeadPlanes.BlockRows;
        float[] estimates = new float[tokens * stride], squares = new float[tokens * stride];
        int[] rows = [.. Enumerable.Range(0, data.Rows)];
        fixed (float* estimate = estimates, square = squares)
        fixed (int* ids = rows)
        {
            var problem = new ScreenProblem
            {
                High = planes.High,
                Low = planes.Low,
                LowRowBytes = planes.LowRowBytes,
                Groups = planes.Groups,
                GroupStride = planes.GroupStride,
                Tokens = tokens,
                HighBound = ScreenBound.HighSquared(planes.Rows, planes.Columns, planes.Groups),
                LowBound = ScreenBound.LowSquared(planes.Rows, planes.Columns, planes.Groups),
                Estimates = estimate,
                Squares = square,
                RowStride = stride,
                Rows = ids,
            };
            hidden.Bind(0, ref problem);
            kernel.High(&problem, 0, planes.Blocks);
            if (low)
                kernel.Low(&problem, 0, data.Rows);
        }

        return (estimates, squares);
    }

    /// <summary>The largest part of its bound that an error takes.</summary>
    private static double Worst(float[] scores, float[] estimates, float[] squares)
    {
        double worst = 0;
        for (int i = 0; i < scores.Length; i++)
            if (squares[i] > 0)
                worst = Math.Max(worst, Math.Abs((double)scores[i] - estimates[i]) / Math.Sqrt(squares[i]));
            else
                Assert.Equal(scores[i], estimates[i]);
        return worst;
    }

    private static TensorType TypeOf(string name) => TensorType.All.First(t => t.Name == name);
}
