using System.Text.Json;
using Tern.Kernels;
using Tern.Machine;

namespace Tern.Tests.Kernels;

/// <summary>The small operations: the same bits on every lane type, and close to double precision.</summary>
public sealed unsafe class OperationsTests
{
    private const double Epsilon = 1.1920929e-7;

    /// <summary>An operation as a function of two inputs, so that tests can enumerate all of them.</summary>
    internal delegate float[] Operation(Operations operations, float[] a, float[] b);

    /// <summary>Every operation, in a form that tests can enumerate.</summary>
    internal static IReadOnlyList<(string Name, Operation Run)> All { get; } =
    [
        ("RmsNorm", (o, a, b) => Ternary(a, b, (x, y, z, n) => o.RmsNorm(x, y, n, 1e-5f, z))),
        ("L2Normalize", (o, a, b) => InPlace(a, (x, n) => o.L2Normalize(x, n))),
        ("Add", (o, a, b) => InPlaceWith(a, b, (x, y, n) => o.Add(x, y, n))),
        ("Scale", (o, a, b) => InPlace(a, (x, n) => o.Scale(x, 0.7f, n))),
        ("SiluGate", (o, a, b) => Ternary(a, b, (x, y, z, n) => o.SiluGate(x, y, z, n))),
        ("SquaredReluGate", (o, a, b) => Ternary(a, b, (x, y, z, n) => o.SquaredReluGate(x, y, z, n))),
        ("GeluGate", (o, a, b) => Ternary(a, b, (x, y, z, n) => o.GeluGate(x, y, z, n))),
        ("RopeHalves", (o, a, b) => InPlaceWith(a, b, (x, y, n) => o.RopeHalves(x, y, n / 2))),
        ("RopeAdjacent", (o, a, b) => InPlaceWith(a, b, (x, y, n) => o.RopeAdjacent(x, y, n / 2))),
        ("LogSumExp", (o, a, b) => Reduced(a, (x, n) => o.LogSumExp(x, n) is var (max, sum) ? [max, (float)sum] : [])),
    ];

    public static TheoryData<string> Names => [.. All.Select(operation => operation.Name)];

    [Theory]
    [MemberData(nameof(Names))]
    public void Every_lane_type_gives_the_bits_of_the_definition(string name)
    {
        Operation run = Find(name);
        var definition = Operations.For(Isa.None);
        foreach (Isa isa in FloatTestData.FastChoices)
        {
            var operations = Operations.For(isa);
            foreach (int count in FloatTestData.Counts)
                foreach (Func<int, int, float[]> make in new[] { FloatTestData.Mixed, FloatTestData.Wild })
                    FloatTestData.AssertSameBits(
                        run(definition, make(count, count), make(count + 1, count)),
                        run(operations, make(count, count), make(count + 1, count)),
                        $"{name} with {isa}, {count} elements");
        }
    }

    /// <summary>These bits were computed once; a machine, runtime or instruction set that computes others breaks the engine's promise.</summary>
    [Theory]
    [InlineData("RmsNorm", 0xDBC7D41Du)]
    [InlineData("L2Normalize", 0xB410AB3Fu)]
    [InlineData("Add", 0xD8EEB2ADu)]
    [InlineData("Scale", 0xD20CCFD8u)]
    [InlineData("SiluGate", 0x6C05BAAEu)]
    [InlineData("SquaredReluGate", 0x55B8317Du)]
    [InlineData("GeluGate", 0x5D15214Bu)]
    [InlineData("RopeHalves", 0x05E224B2u)]
    [InlineData("RopeAdjacent", 0x4340C77Bu)]
    [InlineData("LogSumExp", 0xF084C2D0u)]
    public void Results_have_pinned_bits(string name, uint hash)
    {
        foreach (Isa isa in FloatTestData.Choices)
        {
            float[] result = Find(name)(Operations.For(isa), FloatTestData.Uniform(5, 1003, 6), FloatTestData.Uniform(6, 1003, 3));
            Assert.Equal($"{hash:X8}", $"{FloatTestData.Hash(result):X8}");
        }
    }

    [Fact]
    public void Norms_are_close_to_double()
    {
        foreach (int count in new[] { 1, 40, 2560, 6912 })
        {
            float[] x = FloatTestData.Uniform(count, count, 3), weight = FloatTestData.Uniform(count + 1, count, 2);
            double squares = x.Sum(v => (double)v * v);
            double rms = Math.Sqrt((squares / count) + 1e-5f);
            // Sum of squares: half an epsilon per step of the longest chain would be the bound, random errors give its root; halved by the root.
            double tolerance = Epsilon * (2 + (0.5 * Math.Sqrt(count / 64.0)));
            Close(x.Select((v, i) => v / rms * weight[i]), Run("RmsNorm", x, weight), tolerance, 0);
            Close(x.Select(v => v / Math.Sqrt(squares)), Run("L2Normalize", x, weight), tolerance, 0);
        }

        Assert.All(Run("L2Normalize", new float[40], new float[40]), v => Assert.Equal(0f, v));
    }

    [Fact]
    public void Gates_are_close_to_double()
    {
        float[] x = FloatTestData.Uniform(7, 5000, 20), up = FloatTestData.Uniform(8, 5000, 2);
        Close(x.Select((v, i) => v / (1 + Math.Exp(-v)) * up[i]), Run("SiluGate", x, up), 3 * Epsilon, 1e-42);
        Close(x.Select((v, i) => v > 0 ? (double)v * v * up[i] : 0), Run("SquaredReluGate", x, up), 1 * Epsilon, 0);

        // The argument of exp has a relative error of 1.5 epsilon, so the result has that times the argument.
        for (int i = 0; i < x.Length; i++)
        {
            double argument = 2 * Math.Sqrt(2 / Math.PI) * (x[i] + (0.044715 * Math.Pow(x[i], 3)));
            Close([x[i] / (1 + Math.Exp(-argument)) * up[i]], [Run("GeluGate", [x[i]], [up[i]])[0]], Epsilon * (3 + (1.5 * Math.Abs(argument))), 1e-36);
        }
    }

    [Fact]
    public void Log_sum_exp_is_close_to_double()
    {
        foreach (int count in new[] { 1, 50, 4097, 128256 })
        {
            float[] x = FloatTestData.Uniform(count, count, 15);
            double max = x.Max();
            double sum = x.Sum(v => Math.Exp(v - max));
            float[] reduced = Run("LogSumExp", x, x);
            Assert.Equal((float)max, reduced[0]);
            Assert.InRange(reduced[1] / sum, 1 - (8 * Epsilon), 1 + (8 * Epsilon));
        }
    }

    [SharedFact]
    public void Reference_vectors_are_met()
    {
        using JsonDocument document = JsonDocument.Parse(File.ReadAllText(SharedData.File("goldens", "kernels.json")));
        JsonElement vectors = document.RootElement.GetProperty("ops");

        foreach (JsonElement norm in vectors.GetProperty("rms_norm").EnumerateArray())
        {
            float epsilon = norm.GetProperty("eps").GetSingle();
            float[] y = Ternary(Floats(norm, "x"), Floats(norm, "w"), (x, w, z, n) => Best.RmsNorm(x, w, n, epsilon, z));
            Close(Doubles(norm, "y"), y, 4 * Epsilon, 0);
        }

        foreach (JsonElement rope in vectors.GetProperty("rope").EnumerateArray())
        {
            int pairs = rope.GetProperty("head_dim").GetInt32() / 2;
            double logBase = PortableMath.Log(rope.GetProperty("base").GetDouble());
            double[] frequencies = [.. Enumerable.Range(0, pairs).Select(i => PortableMath.Exp(-logBase * i / pairs))];
            float[] table = new float[2 * pairs];
            fixed (float* cosSin = table)
                RopeTable.Fill(frequencies, 1, rope.GetProperty("pos").GetInt32(), cosSin);

            // Values of a few units, each a sum of two products of rounded factors.
            Close(Doubles(rope, "neox"), Run("RopeHalves", Floats(rope, "x"), table), 0, 6 * Epsilon);
            Close(Doubles(rope, "interleaved"), Run("RopeAdjacent", Floats(rope, "x"), table), 0, 6 * Epsilon);
        }

        JsonElement activations = vectors.GetProperty("activations");
        float[] inputs = Floats(activations, "x");
        float[] ones = [.. inputs.Select(_ => 1f)];
        Close(Doubles(activations, "silu"), Run("SiluGate", inputs, ones), 4 * Epsilon, 1e-42);
        Close(Doubles(activations, "relu2"), Run("SquaredReluGate", inputs, ones), Epsilon, 0);
        Close(Doubles(activations, "gelu_tanh"), Run("GeluGate", inputs, ones), 50 * Epsilon, 1e-14);
    }

    private static Operations Best { get; } = Operations.For(Cpu.Available);

    private static Operation Find(string name) => All.Single(operation => operation.Name == name).Run;

    private static float[] Run(string name, float[] a, float[] b) => Find(name)(Best, a, b);

    private static float[] Floats(JsonElement element, string name) => [.. element.GetProperty(name).EnumerateArray().Select(v => v.GetSingle())];

    private static double[] Doubles(JsonElement element, string name) => [.. element.GetProperty(name).EnumerateArray().Select(v => v.GetDouble())];

    /// <summary>|actual - expected| within relative · |expected| + absolute, for all; the worst is reported.</summary>
    private static void Close(IEnumerable<double> expected, float[] actual, double relative, double absolute)
    {
        double[] wanted = [.. expected];
        Assert.Equal(wanted.Length, actual.Length);
        (double worst, int at) = (0, 0);
        for (int i = 0; i < wanted.Length; i++)
        {
            double excess = Math.Abs(actual[i] - wanted[i]) / ((relative * Math.Abs(wanted[i])) + absolute + double.Epsilon);
            (worst, at) = excess > worst || double.IsNaN(excess) ? (excess, i) : (worst, at);
        }

        if (!(worst <= 1))
            Assert.Fail($"element {at} of {wanted.Length} is {actual[at]:R}, not {wanted[at]:R}: {worst:F2} times the tolerance");
    }

    private delegate void Three(float* a, float* b, float* y, int count);

    private delegate void Two(float* a, float* b, int count);

    private delegate void One(float* a, int count);

    private delegate float[] Reduction(float* a, int count);

    private static float[] Ternary(float[] a, float[] b, Three run)
    {
        var y = new float[a.Length + 1];
        fixed (float* pa = a.Append(0f).ToArray(), pb = b.Append(0f).ToArray(), py = y)
            run(pa, pb, py, a.Length);
        Assert.Equal(0f, y[^1]);
        return y[..^1];
    }

    private static float[] InPlaceWith(float[] a, float[] b, Two run)
    {
        float[] x = [.. a, 42f];
        fixed (float* px = x, pb = b.Append(0f).ToArray())
            run(px, pb, a.Length);
        Assert.Equal(42f, x[^1]);
        return x[..^1];
    }

    private static float[] InPlace(float[] a, One run) => InPlaceWith(a, [], (x, _, n) => run(x, n));

    private static float[] Reduced(float[] a, Reduction run)
    {
        fixed (float* x = a.Append(0f).ToArray())
            return run(x, a.Length);
    }
}
