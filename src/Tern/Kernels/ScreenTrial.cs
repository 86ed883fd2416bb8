using System.Diagnostics;
using Tern.Machine;

namespace Tern.Kernels;

/// <summary>What screening a matrix costs here and now, compared with computing all of it.</summary>
internal static unsafe class ScreenTrial
{
    /// <summary>The largest scores that are asked for: the default of sampling.</summary>
    private const int Count = 40;

    private const int Runs = 3;
    private const int Seed = 20240227;

    /// <summary>Time of a screened token as a part of the full head's, the shortest of a few runs each, for a random hidden state.</summary>
    public static double Measure(HeadPlanes planes, WeightMatrix matrix, Isa kernels, WorkerPool pool)
    {
        using var x = new Activations(1, matrix.Columns);
        using var screen = new HeadScreen(planes, matrix, kernels, pool, 1, 16 * Count);
        using var scores = new NativeBuffer<float>(matrix.Rows);
        int[] ids = new int[16 * Count];
        bool[] bounded = new bool[1];
        var random = new Random(Seed);
        double screened = double.MaxValue, full = double.MaxValue;
        for (int run = 0; run < Runs; run++)
        {
            x.Begin(1, matrix.Columns);
            for (int i = 0; i < matrix.Columns; i++)
                x.Floats[i] = (float)(random.NextDouble() + random.NextDouble() + random.NextDouble() - 1.5);

            long begin = Stopwatch.GetTimestamp();
            MatMul.Run(pool, matrix, x, scores.Pointer, matrix.Rows);
            full = Math.Min(full, Stopwatch.GetElapsedTime(begin).TotalSeconds);

            begin = Stopwatch.GetTimestamp();
            screen.Screen(x, 0, 1, bounded);
            if (bounded[0])
                screen.TrySelect(0, Count, float.NegativeInfinity, [], ids, scores.Span, out _);
            screened = Math.Min(screened, Stopwatch.GetElapsedTime(begin).TotalSeconds);
        }

        return screened / full;
    }
}
