using System.Diagnostics;
using System.Runtime.CompilerServices;
using Tern.Machine;
using Tern.Numerics;

namespace Tern.Kernels;

/// <summary>The matrices of one tensor type in a model: what one choice of a kernel row is for.</summary>
/// <param name="Type">The type.</param>
/// <param name="Columns">Columns of those that hold most of the weights.</param>
/// <param name="InPrompts">Whether they multiply every token of a prompt; an output matrix multiplies the last one alone.</param>
internal readonly record struct TunedMatrices(TensorType Type, int Columns, bool InPrompts);

/// <summary>What a row took for a tensor type, in picoseconds per weight: for a generated token, and for a token of a prompt (0 where that does not count).</summary>
internal readonly record struct TunedRow(string Type, string Row, double Generated, double Prompt)
{
    /// <summary>A chat reads about this many tokens for each that it writes.</summary>
    public const double PromptTokensPerGenerated = 4;

    public double Cost => Generated + (PromptTokensPerGenerated * Prompt);
}

/// <summary>
/// Finds the fastest of the kernel rows that compute the same numbers, by running them. Weights are random and of the model's width; each row
/// has some megabytes of its own, so that with all of them in turn none finds its weights in a cache:
/// <code>
///   until the time is over:   row A [one token, then 128 tokens]   row B […]   row C […]     the fastest run of each counts
/// </code>
/// The row with the least cost is taken, cost = time of a generated token + 4 · time of a prompt's token, both per weight: a chat reads
/// about four tokens for each that it writes.
/// </summary>
internal static class KernelTuner
{
    private const int PromptTokens = 128;

    // Generation reads memory; prompts compute, on weights that stay in the second-level cache.
    private const long ReadBytes = 8L << 20;
    private const long ComputeBytes = 512L << 10;

    private const long ProbeBytes = 16L << 10;
    private const int WarmUpTokens = 8;

    /// <summary>A row that is so much slower than the best after its first runs is out: its runs would take the time of the others.</summary>
    private const double Hopeless = 4;

    private const int RoundsMin = 3;

    /// <summary>A row has to be this much cheaper than one that stands before it in the table: less is noise.</summary>
    private const double Clearly = 0.97;

    /// <summary>A row's time is known when its two fastest runs are this close: on a busy machine that takes some more tries.</summary>
    private const double Agreeing = 1.1;

    private static readonly TimeSpan s_time = TimeSpan.FromMilliseconds(100), s_timeMax = TimeSpan.FromMilliseconds(800);

    /// <summary>
    /// By default the runtime compiles a loop in its final form only when it has run for a while, twice, and only when it finds the time. As
    /// long as a row still gets faster the measurement has to wait: what it finds is remembered.
    /// </summary>
    private static readonly TimeSpan s_steady = TimeSpan.FromMilliseconds(300), s_warmUpMax = TimeSpan.FromSeconds(2);

    /// <summary>Whether loops run in their final form from the start: a program may ask for that (as tern does), and native code has no other.</summary>
    private static bool LoopsAreCompiledOnce =>
        !RuntimeFeature.IsDynamicCodeCompiled
        || (AppContext.TryGetSwitch("System.Runtime.TieredCompilation.QuickJitForLoops", out bool quick) && !quick);

    /// <summary>Rows that may be able to run the type and that are worth trying, in the order of the table.</summary>
    public static IReadOnlyList<KernelRow> Candidates(KernelChoice choice, TensorType type, bool floatActivations)
    {
        KernelRow[] rows = [.. KernelTable.All.Where(row => choice.Allows(row) && row.Needs != Isa.None && MayRun(row, type))];
        return rows.Length < 2 || (floatActivations && rows[0].Form == ActivationForm.Int8PerBlock) ? [] : [.. rows.Where(r => r.Form == rows[0].Form)];
    }

    /// <summary>
    /// What every row took, the one to use of each type first; types without a choice are left out. Nothing at all when the machine is so busy
    /// that no two runs agree.
    /// </summary>
    /// <param name="matrices">One entry for each type, the heaviest first.</param>
    /// <param name="choice">Which rows may be used.</param>
    /// <param name="floatActivations">As in <see cref="MatMul.Prepare"/>.</param>
    /// <param name="pool">The workers that the model will run on.</param>
    /// <param name="cancellation">Ends the measurement.</param>
    public static IReadOnlyList<TunedRow> Measure(
        IReadOnlyList<TunedMatrices> matrices, KernelChoice choice, bool floatActivations, WorkerPool pool, CancellationToken cancellation)
    {
        var contenders = new List<Contender>();
        try
        {
            foreach (TunedMatrices of in matrices)
                contenders.AddRange(ContendersOf(of, Candidates(choice, of.Type, floatActivations), pool));

            if (!LoopsAreCompiledOnce)
                WarmUp(matrices, contenders, cancellation);

            long begin = Stopwatch.GetTimestamp();
            for (int round = 0; round < RoundsMin || Stopwatch.GetElapsedTime(begin) < s_time || !contenders.TrueForAll(c => c.IsKnown); round++)
            {
                if (round >= RoundsMin && Stopwatch.GetElapsedTime(begin) > s_timeMax)
                    return [];

                foreach (Contender contender in contenders)
                {
                    cancellation.ThrowIfCancellationRequested();
                    contender.Run();
                }

                foreach (IGrouping<TensorType, Contender> rivals in contenders.GroupBy(c => c.Type))
                {
                    double best = rivals.Min(c => c.Result.Cost);
                    foreach (Contender rival in rivals)
                        rival.IsOut |= round > 0 && rival.Result.Cost > Hopeless * best;
                }
            }

            return [.. contenders.GroupBy(c => c.Type).SelectMany(g => Ranked([.. g.Select(c => c.Result)]))];
        }
        finally
        {
            foreach (Contender contender in contenders)
                contender.Dispose();
        }
    }

    /// <summary>Rows of one type, given in the order of the table: the one to use, then the others by cost.</summary>
    private static IEnumerable<TunedRow> Ranked(List<TunedRow> rows)
    {
        TunedRow chosen = rows[0];
        foreach (TunedRow row in rows)
            if (row.Cost < Clearly * chosen.Cost)
                chosen = row;
        return rows.Where(row => row != chosen).OrderBy(row => row.Cost).Prepend(chosen);
    }

    /// <summary>Small runs of every row until none gets faster any more. One thread, with pauses: the compiler works in the background.</summary>
    private static void WarmUp(IReadOnlyList<TunedMatrices> matrices, List<Contender> contenders, CancellationToken cancellation)
    {
        const double clearly = 0.75;
        using var pool = new WorkerPool(1);
        var trials = new List<KernelTrial>();
        try
        {
            foreach (TunedMatrices of in matrices)
            {
                foreach (Contender contender in contenders.Where(c => c.Type == of.Type))
                {
                    var weights = new TrialWeights(StandIn(contender.Row, of), ProbeBytes, of.Columns);
                    trials.Add(KernelTrial.Of(contender.Row, weights, 1, pool)!);
                    trials.Add(KernelTrial.Of(contender.Row, weights, WarmUpTokens, pool)!);
                }
            }

            double[] best = [.. trials.Select(_ => double.PositiveInfinity)];
            long begin = Stopwatch.GetTimestamp(), changed = begin;
            while (Stopwatch.GetElapsedTime(changed) < s_steady && Stopwatch.GetElapsedTime(begin) < s_warmUpMax)
            {
                cancellation.ThrowIfCancellationRequested();
                for (int i = 0; i < trials.Count; i++)
                {
                    double seconds = Seconds(trials[i]);
                    if (seconds > clearly * best[i])
                        continue;
                    best[i] = seconds;
                    changed = Stopwatch.GetTimestamp();
                }

                Thread.Sleep(1);
            }
        }
        finally
        {
            foreach (KernelTrial trial in trials)
                trial.Dispose();
        }
    }

    private static double Seconds(KernelTrial trial)
    {
        long start = Stopwatch.GetTimestamp();
        trial.Run();
        return Stopwatch.GetElapsedTime(start).TotalSeconds;
    }

    private static bool MayRun(KernelRow row, TensorType type) =>
        row.Layout != WeightLayout.Decoded && (row.Layout.Native is { } native ? native == type : type.IsTernary);

    /// <summary>What the weights of a trial come from: layouts that all ternary types share are made fastest of the one that needs no repacking.</summary>
    private static TensorType StandIn(KernelRow row, TunedMatrices of) =>
        row.Layout.Native is null && TensorType.I2S.FitsShape((UInt128)of.Columns, 1) ? TensorType.I2S : of.Type;

    /// <summary>Two at least, or none.</summary>
    private static List<Contender> ContendersOf(TunedMatrices of, IReadOnlyList<KernelRow> rows, WorkerPool pool)
    {
        var contenders = new List<Contender>();
        if (rows.Count < 2)
            return contenders;

        foreach (IGrouping<TensorType, KernelRow> alike in rows.GroupBy(row => StandIn(row, of)))
        {
            var probe = new TrialWeights(alike.Key, ProbeBytes, of.Columns);
            var readWeights = new TrialWeights(alike.Key, ReadBytes, of.Columns);
            var computeWeights = new TrialWeights(alike.Key, ComputeBytes, of.Columns);
            foreach (KernelRow row in alike)
            {
                using (KernelTrial? probing = KernelTrial.Of(row, probe, 1, pool))
                    if (probing is null)
                        continue;
                KernelTrial generated = KernelTrial.Of(row, readWeights, 1, pool)!;
                KernelTrial? prompt = of.InPrompts ? KernelTrial.Of(row, computeWeights, PromptTokens, pool) : null;
                contenders.Add(new Contender(of.Type, row, generated, prompt));
            }
        }

        if (contenders.Count > 1)
            return contenders;
        foreach (Contender contender in contenders)
            contender.Dispose();
        return [];
    }

    private sealed class Contender(TensorType type, KernelRow row, KernelTrial generated, KernelTrial? prompt) : IDisposable
    {
        private (double Best, double Next) _generatedSeconds = (double.PositiveInfinity, double.PositiveInfinity);
        private (double Best, double Next) _promptSeconds = prompt is null ? default : (double.PositiveInfinity, double.PositiveInfinity);

        public TensorType Type => type;

        public KernelRow Row => row;

        public bool IsOut { get; set; }

        /// <summary>Whether more runs would change little.</summary>
        public bool IsKnown => IsOut
            || (_generatedSeconds.Next < Agreeing * _generatedSeconds.Best && (prompt is null || _promptSeconds.Next < Agreeing * _promptSeconds.Best));

        public TunedRow Result => new(
            type.Name,
            row.Name,
            2e12 * _generatedSeconds.Best / generated.Operations,
            prompt is null ? 0 : 2e12 * _promptSeconds.Best / prompt.Operations);

        public void Run()
        {
            if (IsOut)
                return;
            _generatedSeconds = With(_generatedSeconds, Seconds(generated));
            if (prompt is not null)
                _promptSeconds = With(_promptSeconds, Seconds(prompt));
        }

        public void Dispose()
        {
            generated.Dispose();
            prompt?.Dispose();
        }

        private static (double Best, double Next) With((double Best, double Next) fastest, double seconds) =>
            seconds < fastest.Best ? (seconds, fastest.Best) : (fastest.Best, Math.Min(fastest.Next, seconds));
    }
}
