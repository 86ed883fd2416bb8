using System.Diagnostics;
using Tern.Kernels;
using Tern.Machine;
using Tern.Models;

namespace Tern.Measure;

/// <summary>Median and extremes of the repetitions of one test.</summary>
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

/// <summary>One test: a prompt of <paramref name="Count"/> tokens at once, or as many steps of generation with a token for each sequence.</summary>
/// <param name="IsPrompt">Which of the two.</param>
/// <param name="Count">Tokens of the prompt, or steps.</param>
/// <param name="Depth">Tokens of context before the test.</param>
/// <param name="Sequences">Sequences that take a step together; 1 for a prompt.</param>
internal sealed record BenchmarkTest(bool IsPrompt, int Count, int Depth, int Sequences)
{
    /// <summary>Positions that it needs.</summary>
    public int Positions => Depth + Count;

    /// <summary>About what one run costs, in tokens of a prompt.</summary>
    public double Work => IsPrompt ? Count : 5.0 * Count;

    /// <summary>pp512, tg128@d2048, tg128x4.</summary>
    public string Name => $"{(IsPrompt ? "pp" : "tg")}{Count}{(Sequences > 1 ? $"x{Sequences}" : "")}{(Depth > 0 ? $"@d{Depth}" : "")}";
}

/// <summary>What came out of a test.</summary>
/// <param name="Test">The test.</param>
/// <param name="Speed">Tokens per second, of all sequences together.</param>
/// <param name="JoulesPerToken">Median over the repetitions; null where energy is not measured.</param>
internal sealed record BenchmarkFigure(BenchmarkTest Test, Speed Speed, double? JoulesPerToken);

/// <summary>
/// The speeds of a model: a prompt of n tokens at once (pp), and n tokens one after the other (tg) in one or more sequences, each behind a
/// context of a given depth. Random tokens of a fixed seed; nothing is sampled; every test runs once unmeasured first.
/// </summary>
internal sealed class ModelBenchmark : IDisposable
{
    private const int Seed = 20240227;

    private readonly SequenceSet _sequences;
    private readonly EnergyMeter? _energy;
    private readonly int[] _tokens; // [positions]: the token at each, in every test, so that what was computed once stays right
    private int _filled;

    /// <param name="model">Stays alive as long as the benchmark.</param>
    /// <param name="tests">All that will be run.</param>
    /// <param name="kvType">How keys and values are kept.</param>
    /// <param name="energy">Measures joules; null where the machine cannot.</param>
    /// <exception cref="TernException">Keys and values would take more than half of the machine's memory.</exception>
    public ModelBenchmark(Model model, IReadOnlyList<BenchmarkTest> tests, KvType kvType, EnergyMeter? energy)
    {
        var random = new Random(Seed);
        int positions = tests.Max(t => t.Positions);
        _tokens = [.. Enumerable.Range(0, positions).Select(_ => random.Next(model.Spec.VocabularySize))];
        _sequences = new SequenceSet(model, tests.Max(t => t.Sequences), positions, kvType);
        _energy = energy;
    }

    /// <summary>About what <see cref="Run"/> of all tests costs, in the unit of its steps.</summary>
    public static double Work(IReadOnlyList<BenchmarkTest> tests, int repetitions) =>
        tests.Max(t => t.Depth) + tests.Sum(t => (repetitions + 1) * t.Work);

    /// <summary>Runs a test.</summary>
    /// <param name="test">One of those the benchmark was made for.</param>
    /// <param name="repetitions">Measured runs.</param>
    /// <param name="step">Receives the work done since it was last called.</param>
    /// <param name="cancellation">Looked at between forward passes.</param>
    public BenchmarkFigure Run(BenchmarkTest test, int repetitions, Action<double> step, CancellationToken cancellation)
    {
        Fill(test, step, cancellation);
        Once(test, cancellation);
        step(test.Work);
        double[] rates = new double[repetitions];
        var joules = new List<double>();
        double tokens = (double)test.Count * test.Sequences;
        for (int i = 0; i < repetitions; i++)
        {
            double? before = _energy?.Read();
            long begin = Stopwatch.GetTimestamp();
            Once(test, cancellation);
            rates[i] = tokens / Stopwatch.GetElapsedTime(begin).TotalSeconds;
            if (_energy?.Read() - before is { } used)
                joules.Add(used / tokens);
            step(test.Work);
        }

        return new BenchmarkFigure(test, Speed.Of(rates), joules.Count == repetitions ? Speed.Of(joules).Median : null);
    }

    /// <summary>What the screened head has read in all tests so far.</summary>
    public HeadCounts HeadCounts => _sequences.HeadCounts;

    public void Dispose() => _sequences.Dispose();

    private void Once(BenchmarkTest test, CancellationToken cancellation)
    {
        if (test.IsPrompt)
        {
            Prefill(test.Depth, test.Positions, LogitRows.Last, _ => { }, cancellation);
        }
        else
        {
            for (int i = test.Depth; i < test.Positions; i++)
            {
                cancellation.ThrowIfCancellationRequested();
                _sequences.Step(test.Sequences, _tokens[i], i);
            }
        }

        _filled = Math.Max(_filled, test.Positions);
    }

    /// <summary>Brings the context before the test into the cache, as far as it is not there.</summary>
    private void Fill(BenchmarkTest test, Action<double> step, CancellationToken cancellation)
    {
        Prefill(_filled, test.Depth, LogitRows.None, step, cancellation);
        _filled = Math.Max(_filled, test.Depth);
        if (test.Sequences > 1)
            _sequences.Share(test.Depth);
    }

    private void Prefill(int first, int end, LogitRows wants, Action<double> step, CancellationToken cancellation)
    {
        for (int start = first; start < end; start += _sequences.Chunk)
        {
            cancellation.ThrowIfCancellationRequested();
            int count = Math.Min(_sequences.Chunk, end - start);
            _sequences.Prompt(_tokens.AsSpan(start, count), start, start + count == end ? wants : LogitRows.None);
            step(count);
        }
    }
}
