using System.Diagnostics;
using Tern.Kernels;
using Tern.Models;

namespace Tern.Measure;

/// <summary>Tokens per second over the repetitions of one test.</summary>
internal sealed record Speed(double Median, double Minimum, double Maximum)
{
    public static Speed Of(IReadOnlyList<double> rates)
    {
        double[] sorted = [.. rates.Order()];
        int middle = sorted.Length / 2;
        double median = sorted.Length % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
        return new Speed(median, sorted[0], sorted[^1]);
    }
}

/// <summary>
/// The two speeds of a language model: a prompt of n tokens at once (pp), and n tokens one after the other (tg), each behind a context of a
/// given depth. Random tokens of a fixed seed; nothing is sampled; every test runs once unmeasured first.
/// </summary>
internal sealed class ModelBenchmark : IDisposable
{
    private const int Seed = 20240227;

    private readonly SequenceRunner _runner;
    private readonly int[] _tokens; // [positions]

    /// <param name="model">Stays alive as long as the benchmark.</param>
    /// <param name="positionsMax">Most positions that a test takes, depth included.</param>
    /// <param name="kvType">How keys and values are kept.</param>
    public ModelBenchmark(Model model, int positionsMax, KvType kvType)
    {
        var random = new Random(Seed);
        _tokens = [.. Enumerable.Range(0, positionsMax).Select(_ => random.Next(model.Spec.VocabularySize))];
        _runner = new SequenceRunner(model, positionsMax, 0, kvType);
    }

    /// <summary>Tokens per second of prompts of <paramref name="count"/> tokens.</summary>
    public Speed Prompt(int count, int depth, int repetitions, Action step, CancellationToken cancellation)
    {
        Fill(depth, cancellation);
        return Repeat(count, repetitions, step, () => _runner.Prefill(_tokens.AsSpan(depth, count), depth, cancellation));
    }

    /// <summary>Tokens per second when each one waits for the one before it.</summary>
    public Speed Generation(int count, int depth, int repetitions, Action step, CancellationToken cancellation)
    {
        Fill(depth, cancellation);
        return Repeat(count, repetitions, step, () =>
        {
            for (int i = 0; i < count; i++)
            {
                cancellation.ThrowIfCancellationRequested();
                _runner.Next(_tokens[depth + i], depth + i);
            }
        });
    }

    public void Dispose() => _runner.Dispose();

    private void Fill(int depth, CancellationToken cancellation)
    {
        if (depth > 0)
            _runner.Prefill(_tokens.AsSpan(0, depth), 0, cancellation);
    }

    private static Speed Repeat(int count, int repetitions, Action step, Action test)
    {
        test();
        step();
        double[] rates = new double[repetitions];
        for (int i = 0; i < repetitions; i++)
        {
            long begin = Stopwatch.GetTimestamp();
            test();
            rates[i] = count / Stopwatch.GetElapsedTime(begin).TotalSeconds;
            step();
        }

        return Speed.Of(rates);
    }
}
