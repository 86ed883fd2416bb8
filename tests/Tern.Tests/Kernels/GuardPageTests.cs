using Tern.Kernels;
using Tern.Machine;
using Tern.Numerics;

namespace Tern.Tests.Kernels;

/// <summary>No row reads outside its weights: they lie against a forbidden page on either side. A row that does ends the test process.</summary>
public sealed unsafe class GuardPageTests
{
    public static TheoryData<string, bool> Rows
    {
        get
        {
            var rows = new TheoryData<string, bool>();
            string[] emulated = [RunnableRows.EmulatedArm, RunnableRows.EmulatedArmGroups];
            foreach (string name in KernelTable.All.Where(row => KernelChoice.Best.Allows(row) && !IsPacked(row)).Select(row => row.Name).Concat(emulated))
            {
                rows.Add(name, true);
                rows.Add(name, false);
            }

            return rows;
        }
    }

    /// <summary>Rows with a layout of their own read what was packed for them; BlockGuardTests look at those.</summary>
    private static bool IsPacked(KernelRow row) => row.Layout.Native is { } native && row.Layout.Name != native.Name;

    [GuardPageTheory]
    [MemberData(nameof(Rows))]
    public void No_row_reads_outside_the_weights(string name, bool atEnd)
    {
        KernelRow row = RunnableRows.Find(name);
        bool isWords = row.Layout == WeightLayout.TernaryWords;
        bool isTernary = isWords || row.Layout == WeightLayout.Ternary || row.Layout == WeightLayout.TernaryGroups;
        TensorType type = row.Layout.Native ?? (isTernary ? I2SByDescription.Instance : HalvedBytes.Instance);
        var random = new Random(21);
        foreach (int rows in new[] { 1, 2, 3, 4, 5, 9 })
            foreach (int blocks in new[] { 1, 2, 3, 9, 33 })
                foreach (int tokens in new[] { 1, 2, 3, 4, 9 })
                {
                    int columns = blocks * (isTernary ? 128 : Math.Max(type.BlockSize, 32));
                    byte[] bytes = isWords ? Words(rows, columns, random) : isTernary
                        ? I2SByDescription.Pack([.. Enumerable.Range(0, rows * columns).Select(_ => (sbyte)random.Next(-1, 2))], 1)[..(rows * columns / 4)]
                        : MatMulTests.RandomBytes(type, rows, columns, random);
                    using var memory = new GuardPageMemory(bytes, atEnd);
                    Run(row, type, memory.Pointer, bytes.Length, rows, columns, tokens, isTernary);
                }
    }

    [GuardPageFact]
    public void The_guard_is_there()
    {
        using var memory = new GuardPageMemory(new byte[100], atEnd: true);
        Assert.True(memory.Pointer + 100 == memory.End);
        string start = $"{(nuint)memory.End:x}-";
        string line = File.ReadLines("/proc/self/maps").First(l => l.TrimStart('0').StartsWith(start, StringComparison.Ordinal));
        Assert.Contains(" ---p ", line, StringComparison.Ordinal);
    }

    private static byte[] Words(int rows, int columns, Random random)
    {
        int stride = TernaryWords.CodeStride(columns), words = TernaryWords.WordsOf(columns);
        sbyte[] codes = [.. Enumerable.Range(0, rows * stride).Select(i => i % stride < columns ? (sbyte)random.Next(-1, 2) : (sbyte)0)];
        byte[] packed = new byte[TernaryWords.ByteCount(rows, columns)];
        fixed (sbyte* from = codes)
        fixed (byte* to = packed)
            TernaryWords.PackBlock(from, rows, words, (ushort*)to);
        return packed;
    }

    /// <summary>Runs the row on the memory itself: preparing would read it, or copy it away.</summary>
    private static void Run(KernelRow row, TensorType type, byte* weights, int byteCount, int rows, int columns, int tokens, bool isTernary)
    {
        var tensor = new Tensor { Name = "guarded", Type = type, Shape = [columns, rows], Data = weights, ByteCount = byteCount, Path = "memory", FileOffset = 0 };
        using var pool = new WorkerPool(1);
        using var x = new Activations(tokens, columns);
        x.Begin(tokens, columns);
        new Span<float>(x.Floats, tokens * x.Stride).Fill(1);
        using var y = new NativeBuffer<float>(tokens * rows);
        using var scratch = new NativeBuffer<byte>(row.ScratchBytes is null ? 0 : row.ScratchBytes(columns, tokens));
        using var scales = new NativeBuffer<float>(rows * (columns / 128));
        MatMulProblem problem = default;
        x.Bind(row.Form, pool, ref problem);
        problem.Output = y.Pointer;
        problem.OutputStride = rows;
        problem.Rows = rows;
        problem.Scratch = scratch.Pointer;
        if (isTernary)
        {
            problem.Weights = weights;
            problem.RowBytes = columns / 4;
            problem.RowScales = scales.Pointer;
            problem.ScaleColumns = 128;
            if (row.Prepare is not null)
                row.Prepare(&problem);
        }
        else
        {
            using var matrix = new WeightMatrix(tensor, row, packed: null);
            matrix.Bind(ref problem);
            row.Run(&problem, 0, rows);
            return;
        }

        row.Run(&problem, 0, rows);
    }
}
