using System.Text.Json;
using Tern.Kernels;

namespace Tern.Tests.Kernels;

/// <summary>Every ternary row that runs here against the scalar definition, bit for bit, and the definition against the reference vectors.</summary>
public sealed unsafe class TernaryRowTests
{
    public static TheoryData<string> Rows => RunnableRows.Ternary();

    [Theory]
    [MemberData(nameof(Rows))]
    public void Random_codes_and_activations_of_any_shape(string name)
    {
        KernelRow row = RunnableRows.Find(name);
        var random = new Random(1);
        int[] columns = [1, 31, 33, 100, 128, 129, 200, 256, 640, 1000, 1024, 1152, 2176, 2560, 4224, 6912, 8640];
        foreach (int columnCount in columns)
            foreach (int tokens in new[] { 1, 2, 3, 4, 5, 8, 13, 17, 41 })
                Compare(row, random.Next(1, columnCount < 1000 ? 200 : 14), columnCount, tokens, _ => (sbyte)random.Next(-1, 2), _ => (sbyte)random.Next(-128, 128), random);
    }

    [Theory]
    [MemberData(nameof(Rows))]
    public void Worst_cases_overflow_nowhere(string name)
    {
        KernelRow row = RunnableRows.Find(name);
        var random = new Random(2);
        foreach (int columns in new[] { 128, 1024, 2048, 2176, 4096, 8640, 32_768 })
            foreach (int tokens in new[] { 1, 4, 6 })
                foreach (sbyte weight in new sbyte[] { 1, -1, 0 })
                    foreach (sbyte activation in new sbyte[] { 127, -127, -128 })
                        Compare(row, 4, columns, tokens, _ => weight, _ => activation, random);
    }

    [Theory]
    [MemberData(nameof(Rows))]
    public void Signs_that_line_up_with_every_period_of_the_layout(string name)
    {
        KernelRow row = RunnableRows.Find(name);
        var random = new Random(3);
        foreach (int period in new[] { 1, 2, 4, 16, 32, 64, 128, 256 })
        {
            sbyte Weight(int i) => (sbyte)(i / period % 2 == 0 ? 1 : -1);
            sbyte Activation(int i) => (sbyte)(i / period % 2 == 0 ? 127 : -128);
            Compare(row, 4, 8192, 5, Weight, Activation, random);
        }
    }

    [Theory]
    [MemberData(nameof(Rows))]
    public void More_tokens_than_a_round_of_panels(string name)
    {
        var random = new Random(4);
        foreach (int tokens in new[] { 191, 192, 193, 195, 390 })
            Compare(RunnableRows.Find(name), 5, 384, tokens, _ => (sbyte)random.Next(-1, 2), _ => (sbyte)random.Next(-128, 128), random);
    }

    /// <summary>Segments of rows, blocks that are cut, and chunks that begin inside a block.</summary>
    [Theory]
    [MemberData(nameof(Rows))]
    public void Many_rows(string name)
    {
        var random = new Random(5);
        foreach (int rows in new[] { 63, 64, 65, 130, 3700 })
            foreach (int tokens in new[] { 1, 6, 20 })
                Compare(RunnableRows.Find(name), rows, 70, tokens, _ => (sbyte)random.Next(-1, 2), _ => (sbyte)random.Next(-128, 128), random);
    }

    [SharedTheory]
    [MemberData(nameof(Rows))]
    public void Reference_dot_products(string name)
    {
        KernelRow row = RunnableRows.Find(name);
        using JsonDocument document = JsonDocument.Parse(File.ReadAllBytes(SharedData.File("goldens", "kernels.json")));
        int vectors = 0;
        foreach (JsonElement vector in document.RootElement.GetProperty("ternary_dot").EnumerateArray())
        {
            sbyte[] trits = SBytes(vector, "trits_i8"), activations = SBytes(vector, "acts_i8");
            byte[] packed = I2SByDescription.Pack(trits, 0);
            Assert.Equal(vector.GetProperty("i2_s").GetBytesFromBase64(), packed[..(trits.Length / 4)]);
            foreach (int copies in new[] { 1, 4 })
            {
                using var problem = new TernaryProblem(trits, [.. Enumerable.Repeat(activations, copies).SelectMany(a => a)], 1, copies);
                foreach (float y in problem.Run(row))
                    Assert.Equal(vector.GetProperty("dot").GetInt32(), y);
            }

            vectors++;
        }

        Assert.Equal(81, vectors);
    }

    internal static sbyte[] SBytes(JsonElement parent, string property) => (sbyte[])(Array)parent.GetProperty(property).GetBytesFromBase64();

    private static void Compare(KernelRow row, int rows, int columns, int tokens, Func<int, sbyte> weight, Func<int, sbyte> activation, Random random)
    {
        sbyte[] trits = [.. Enumerable.Range(0, rows * columns).Select(i => weight(i % columns))];
        sbyte[] activations = [.. Enumerable.Range(0, tokens * columns).Select(i => activation(i % columns))];
        using var problem = new TernaryProblem(trits, activations, rows, tokens);
        foreach (ref float multiplier in problem.Multipliers)
            multiplier = random.NextSingle() * 50 + 0.01f;
        foreach (ref float scale in problem.Scales)
            scale = random.NextSingle() * 4 - 2;

        float[] expected = new float[tokens * rows];
        for (int token = 0; token < tokens; token++)
            for (int r = 0; r < rows; r++)
            {
                int dot = 0;
                for (int i = 0; i < columns; i++)
                    dot += trits[r * columns + i] * activations[token * columns + i];
                expected[token * rows + r] = (float)dot / problem.Multipliers[token] * problem.Scales[r];
            }

        foreach (int split in new[] { 0, rows / 2 })
        {
            float[] actual = problem.Run(row, split);
            for (int i = 0; i < expected.Length; i++)
                Assert.True(
                    BitConverter.SingleToInt32Bits(expected[i]) == BitConverter.SingleToInt32Bits(actual[i]),
                    $"{row.Name}, {rows} x {columns}, {tokens} tokens, split {split}: y[{i / rows}, {i % rows}] is {actual[i]:r}, the definition gives {expected[i]:r}");
        }
    }
}
