using Tern.Kernels;
using Tern.Models;

namespace Tern.Tests.Models;

/// <summary>Logits are the same bits on every kernel family and row, with any number of threads, in any chunking, alone or in any company.</summary>
public sealed class InvarianceTests
{
    private static readonly int[] s_prompt = [.. Enumerable.Range(0, 45).Select(i => i * 37 % 540 + 1)];

    public static TheoryData<string> Models => [.. Goldens.Names];

    [SharedTheory]
    [MemberData(nameof(Models))]
    public void Every_kernel_choice_gives_the_same_bits(string name)
    {
        foreach (bool floatActivations in (bool[])[false, true])
        {
            var scalar = new ModelOptions { Kernels = KernelChoice.Parse("scalar"), Threads = 1, FloatActivations = floatActivations };
            using Model model = Model.Load(Goldens.File(name), scalar);
            float[] expected = Alone(model, s_prompt, s_prompt.Length);
            KernelRow[] used = [.. model.Weights.Linears.Select(l => l.Matrix.Kernel).Distinct()];
            IEnumerable<string> rows = KernelTable.All
                .Where(row => KernelChoice.Best.Allows(row) && used.Any(u => ReadsTheSame(row.Layout, u.Layout) && u.Form == row.Form))
                .Select(row => row.Name);
            foreach (string choice in KernelChoice.Families.Concat(rows))
            {
                float[] actual = Logits(name, scalar with { Kernels = KernelChoice.Parse(choice), Threads = 2 }, 16);
                Assert.True(expected.AsSpan().SequenceEqual(actual), $"{choice}, float activations: {floatActivations}");
            }
        }
    }

    private static bool ReadsTheSame(WeightLayout layout, WeightLayout used) =>
        layout == used || (layout.Native is not null && layout.Native == used.Native);

    [SharedTheory]
    [MemberData(nameof(Models))]
    public void Threads_and_chunks_do_not_matter(string name)
    {
        float[] expected = Logits(name, new ModelOptions { Threads = 1 }, s_prompt.Length);
        foreach ((int threads, int chunk) in ((int, int)[])[(1, 1), (1, 7), (2, s_prompt.Length), (3, 7), (5, 32)])
            Assert.True(expected.AsSpan().SequenceEqual(Logits(name, new ModelOptions { Threads = threads }, chunk)), $"{threads} threads, chunks of {chunk}");
    }

    [SharedTheory]
    [MemberData(nameof(Models))]
    public void Company_does_not_matter(string name)
    {
        using Model model = Model.Load(Goldens.File(name), new ModelOptions { Threads = 2 });
        float[] expected = Alone(model, s_prompt, s_prompt.Length);

        // Three sequences, cut differently, on interleaved pages: the first is the one that is compared.
        int width = model.Spec.OutputSize;
        using var cache = new KvCache(model.Spec, KvType.F32, 12);
        using var transformer = new Transformer(model, cache, 128, 8, 128);
        int[][] pages = [[7, 2, 9, 4], [0, 11, 5, 1], [3, 8, 6, 10]];
        int[][] prompts = [s_prompt, [.. s_prompt.Reverse()], [.. s_prompt.Skip(9)]];
        int[] done = new int[3];
        int[] steps = [19, 5, 31];
        var batch = new Batch(128, 8);
        var output = new float[8 * width];
        float[]? last = null;
        while (done[0] < s_prompt.Length)
        {
            batch.Clear();
            foreach (int s in (int[])[2, 0, 1])
            {
                int count = Math.Min(steps[s], prompts[s].Length - done[s]);
                if (count == 0)
                    continue;
                batch.Add(pages[s], done[s], prompts[s].AsSpan(done[s], count), s == 0 ? LogitRows.Last : LogitRows.None);
                done[s] += count;
            }

            transformer.Forward(batch, output);
            last = output[..width];
        }

        Assert.True(expected.AsSpan().SequenceEqual(last));
    }

    [SharedTheory]
    [MemberData(nameof(Models))]
    public void Quantized_keys_and_values_keep_every_bit_too(string name)
    {
        foreach (KvType type in (KvType[])[KvType.F16, KvType.Q8_0, KvType.Q4_0])
        {
            float[] expected = Logits(name, new ModelOptions { Kernels = KernelChoice.Parse("scalar"), Threads = 1 }, s_prompt.Length, type);
            Assert.DoesNotContain(expected, float.IsNaN);
            foreach ((string choice, int threads, int chunk) in ((string, int, int)[])[("best", 2, 1), ("avx2", 1, 7), ("best", 3, 16)])
                if (KernelChoice.Families.Contains(choice) || choice == "best")
                    Assert.True(
                        expected.AsSpan().SequenceEqual(Logits(name, new ModelOptions { Kernels = KernelChoice.Parse(choice), Threads = threads }, chunk, type)),
                        $"{type}, {choice}, {threads} threads, chunks of {chunk}");
        }
    }

    private static float[] Logits(string name, ModelOptions options, int chunk, KvType type = KvType.F32)
    {
        using Model model = Model.Load(Goldens.File(name), options);
        return Alone(model, s_prompt, chunk, type);
    }

    private static float[] Alone(Model model, int[] prompt, int chunk, KvType type = KvType.F32)
    {
        int width = model.Spec.OutputSize;
        using var cache = new KvCache(model.Spec, type, 4);
        using var transformer = new Transformer(model, cache, Math.Max(chunk, 1), 1, 128);
        var batch = new Batch(chunk, 1);
        var output = new float[width];
        for (int first = 0; first < prompt.Length; first += chunk)
        {
            batch.Clear();
            batch.Add([0, 1, 2, 3], first, prompt.AsSpan(first, Math.Min(chunk, prompt.Length - first)), LogitRows.Last);
            transformer.Forward(batch, output);
        }

        return output;
    }
}
