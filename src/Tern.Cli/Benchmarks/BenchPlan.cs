using Tern.Kernels;
using Tern.Measure;

namespace Tern.Cli.Benchmarks;

/// <summary>What <c>tern bench</c> was asked to measure with one number of threads.</summary>
internal sealed record BenchPlan(IReadOnlyList<BenchmarkTest> Tests, int Repetitions, KvType Kv)
{
    /// <summary>Every depth: prompts, generation, and generation of several sequences in one step.</summary>
    public static BenchPlan Of(int[] prompts, int[] generations, int[] depths, int[] parallel, int repetitions, KvType kv)
    {
        var tests = new List<BenchmarkTest>();
        foreach (int depth in depths.Distinct())
        {
            tests.AddRange(prompts.Where(n => n > 0).Select(n => new BenchmarkTest(true, n, depth, 1)));
            foreach (int count in generations.Where(n => n > 0))
                tests.AddRange(parallel.Prepend(1).Distinct().Select(s => new BenchmarkTest(false, count, depth, s)));
        }

        return tests.Count > 0
            ? new BenchPlan([.. tests.Distinct()], repetitions, kv)
            : throw new UsageException("nothing to measure: --n-prompt and --n-gen are both 0");
    }
}
