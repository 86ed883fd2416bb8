using Tern.Kernels;
using Tern.Machine;
using Tern.Numerics;

namespace Tern.Tests.Kernels;

public sealed class KernelTunerTests
{
    public static TheoryData<string> Types => [.. TensorType.All.Where(t => t.CanEncode).Select(t => t.Name)];

    /// <summary>Rows that compute other numbers than the first one would change answers.</summary>
    [Theory]
    [MemberData(nameof(Types))]
    public void Candidates_take_the_same_activations_as_the_first_of_the_table(string name)
    {
        TensorType type = TensorType.All.First(t => t.Name == name);
        using var pool = new WorkerPool(1);
        var weights = new TrialWeights(type, 1, 256);
        foreach (bool floats in new[] { false, true })
        {
            IReadOnlyList<KernelRow> candidates = KernelTuner.Candidates(KernelChoice.Best, type, floats);
            Assert.Equal(candidates.Count, candidates.Count(r => r.Form == candidates[0].Form));
            if (floats)
                Assert.DoesNotContain(candidates, r => r.Form == ActivationForm.Int8PerBlock);

            // What the table would choose is among them, so that a measurement can only win.
            if (!floats && candidates.Count > 0)
                Assert.Contains(candidates, r => KernelTrial.Of(r, weights, 1, pool) is { } trial && Disposed(trial));
        }
    }

    [Theory]
    [MemberData(nameof(Types))]
    public void Trial_weights_are_a_valid_tensor_with_one_scale_per_row(string name)
    {
        TensorType type = TensorType.All.First(t => t.Name == name);
        using var pool = new WorkerPool(2);
        var weights = new TrialWeights(type, 64 << 10, 512);
        Assert.InRange((long)type.ByteCount((UInt128)weights.Columns, (UInt128)weights.Rows), 32 << 10, 65 << 10);
        KernelRow[] rows = [.. KernelTable.All.Where(r => r.Needs == Isa.None)];
        KernelRow used = rows.First(row => KernelTrial.Of(row, weights, 2, pool) is { } trial && Disposed(trial));
        Assert.NotEqual(WeightLayout.TernaryGroups, used.Layout);
        Assert.NotEqual(WeightLayout.Decoded, used.Layout);
    }

    [Fact]
    public void A_measurement_names_a_candidate_of_every_type_with_a_choice()
    {
        if (KernelTuner.Candidates(KernelChoice.Best, TensorType.I2S, false).Count < 2)
            return; // nothing to choose on this processor

        using var pool = new WorkerPool(2);
        TunedMatrices[] matrices = [new(TensorType.I2S, 512, InPrompts: true), new(TensorType.F16, 512, InPrompts: false)];
        IReadOnlyList<TunedRow> measured = KernelTuner.Measure(matrices, KernelChoice.Best, false, pool, CancellationToken.None);
        if (measured.Count == 0)
            return; // the machine is too busy to measure, which the tuner says

        foreach (TensorType type in (TensorType[])[TensorType.I2S, TensorType.F16])
        {
            TunedRow[] rows = [.. measured.Where(m => m.Type == type.Name)];
            Assert.True(rows.Length > 1);
            Assert.Equal(rows.Length, KernelTuner.Candidates(KernelChoice.Best, type, false).Count(r => rows.Any(m => m.Row == r.Name)));
            Assert.InRange(rows[0].Cost, 0, rows.Min(r => r.Cost) / 0.97);
            Assert.All(rows, r => Assert.InRange(r.Generated, 0.01, 1e9));
            Assert.All(rows, r => Assert.Equal(type == TensorType.I2S, r.Prompt > 0));
        }
    }

    [Fact]
    public void A_measurement_can_be_cancelled()
    {
        using var pool = new WorkerPool(1);
        using var cancelled = new CancellationTokenSource();
        cancelled.Cancel();
        if (KernelTuner.Candidates(KernelChoice.Best, TensorType.I2S, false).Count > 1)
            Assert.Throws<OperationCanceledException>(() => KernelTuner.Measure([new(TensorType.I2S, 256, true)], KernelChoice.Best, false, pool, cancelled.Token));
    }

    private static bool Disposed(KernelTrial trial)
    {
        trial.Run();
        trial.Dispose();
        return true;
    }
}
