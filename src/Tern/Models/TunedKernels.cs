using System.Globalization;
using System.Reflection;
using Tern.Kernels;
using Tern.Machine;
using Tern.Numerics;

namespace Tern.Models;

/// <summary>Where the choice of kernel rows comes from.</summary>
internal enum TuningSource
{
    /// <summary>The order of the table: tuning is off, a kernel was named, the model is too small to gain by it, or the machine too busy to measure.</summary>
    Table,

    /// <summary>An earlier run on this machine.</summary>
    Remembered,

    /// <summary>A measurement at this load.</summary>
    Measured,
}

/// <summary>Which kernel row each tensor type of a model gets: the measured one where a measurement was made, else the first of the table.</summary>
internal sealed class TunedKernels
{
    /// <summary>Models with fewer bytes of linear layers are quick on any row.</summary>
    private const long WorthBytes = 32L << 20;

    private readonly KernelChoice _choice;
    private readonly IReadOnlyDictionary<string, string> _rows;

    private TunedKernels(KernelChoice choice, IReadOnlyDictionary<string, string> rows, TuningSource source) =>
        (_choice, _rows, Source) = (choice, rows, source);

    public TuningSource Source { get; }

    /// <summary>What to choose by for tensors of a type.</summary>
    public KernelChoice For(TensorType type) => _rows.TryGetValue(type.Representative.Name, out string? row) ? _choice with { Row = row } : _choice;

    /// <summary>Looks up what an earlier load found for these matrices on this machine, or measures.</summary>
    /// <param name="layers">The tensors that every token is multiplied with.</param>
    /// <param name="head">The output matrix, if there is one.</param>
    /// <param name="options">Whether to tune, and which rows may be used.</param>
    /// <param name="pool">The workers that the model will run on.</param>
    public static TunedKernels Of(IReadOnlyList<Tensor> layers, Tensor? head, ModelOptions options, WorkerPool pool)
    {
        var table = new TunedKernels(options.Kernels, new Dictionary<string, string>(), TuningSource.Table);
        if (!options.Tune || options.Kernels != KernelChoice.Best || layers.Sum(t => t.ByteCount) < WorthBytes)
            return table;

        List<TunedMatrices> matrices = Matrices(layers, head);
        matrices.RemoveAll(m => !m.Type.CanEncode || KernelTuner.Candidates(options.Kernels, m.Type, options.FloatActivations).Count < 2);
        if (matrices.Count == 0)
            return table;

        var cache = new TuningCache(CacheFolder.Path);
        string key = Key(matrices, options, pool);
        if (cache.Find(key) is { } remembered)
            return new TunedKernels(options.Kernels, remembered, TuningSource.Remembered);

        IReadOnlyList<TunedRow> measured = KernelTuner.Measure(matrices, options.Kernels, options.FloatActivations, pool, options.CancellationToken);
        if (measured.Count == 0)
            return table;
        cache.Remember(key, measured);
        var best = measured.DistinctBy(m => m.Type).ToDictionary(m => m.Type, m => m.Row, StringComparer.Ordinal);
        return new TunedKernels(options.Kernels, best, TuningSource.Measured);
    }

    private static List<TunedMatrices> Matrices(IReadOnlyList<Tensor> layers, Tensor? head)
    {
        IEnumerable<Tensor> all = head is null ? layers : layers.Append(head);
        return
        [
            .. all.GroupBy(t => t.Type.Representative).OrderByDescending(g => g.Sum(t => t.ByteCount)).Select(type =>
            {
                long columns = type.GroupBy(t => t.Columns).MaxBy(g => g.Sum(t => t.ByteCount))!.Key;
                return new TunedMatrices(type.Key, (int)columns, layers.Any(t => t.Type.Representative == type.Key));
            }),
        ];
    }

    /// <summary>Everything that a measurement depends on.</summary>
    private static string Key(List<TunedMatrices> matrices, ModelOptions options, WorkerPool pool)
    {
        string version = typeof(TunedKernels).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion ?? "";
        var parts = new List<string>
        {
            $"tern {version}",
            CpuIdentity.Name,
            CpuIdentity.Signature,
            string.Join(' ', Cpu.Names),
            string.Create(CultureInfo.InvariantCulture, $"{pool.Threads} threads"),
        };
        foreach (TunedMatrices m in matrices)
        {
            IEnumerable<string> rows = KernelTuner.Candidates(options.Kernels, m.Type, options.FloatActivations).Select(r => r.Name);
            parts.Add(string.Create(CultureInfo.InvariantCulture, $"{m.Type.Name} x{m.Columns}{(m.InPrompts ? "" : " head")}: {string.Join(' ', rows)}"));
        }

        return string.Join(" | ", parts);
    }
}
