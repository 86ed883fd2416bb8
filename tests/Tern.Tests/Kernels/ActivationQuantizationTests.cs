using System.Text.Json;
using Tern.Kernels;
using Tern.Machine;
using Tern.Numerics;

namespace Tern.Tests.Kernels;

public sealed unsafe class ActivationQuantizationTests
{
    [SharedFact]
    public void Reference_tokens()
    {
        using JsonDocument document = JsonDocument.Parse(File.ReadAllBytes(SharedData.File("goldens", "kernels.json")));
        int vectors = 0;
        foreach (JsonElement vector in document.RootElement.GetProperty("act_quant").EnumerateArray())
        {
            float[] x = [.. vector.GetProperty("x").EnumerateArray().Select(v => v.GetSingle())];
            int[] expected = [.. vector.GetProperty("q").EnumerateArray().Select(v => v.GetInt32())];
            double scale = vector.GetProperty("scale").GetDouble();
            sbyte[] codes = new sbyte[x.Length];
            float multiplier = Quantize(x, codes, out int sum);

            Assert.Equal(expected, codes.Select(c => (int)c));
            Assert.Equal(vector.GetProperty("sum_q").GetInt32(), sum);
            Assert.InRange(multiplier, scale * (1 - Math.ScaleB(1, -23)), scale * (1 + Math.ScaleB(1, -23)));
            vectors++;
        }

        Assert.Equal(19, vectors);
    }

    [Fact]
    public void Vectors_give_the_bits_of_the_definition()
    {
        var random = new Random(5);
        for (int round = 0; round < 2000; round++)
        {
            float[] x = RandomFloats(random, random.Next(1, 300));
            sbyte[] expected = new sbyte[x.Length], actual = new sbyte[x.Length];
            fixed (float* from = x)
            fixed (sbyte* slow = expected, fast = actual)
            {
                int maximum = ActivationQuantization.MaximumBitsScalar(from, x.Length);
                Assert.Equal(maximum, ActivationQuantization.MaximumBits(from, x.Length));
                float multiplier = ActivationQuantization.TokenMultiplier(maximum);
                int sum = ActivationQuantization.EncodeScalar(from, x.Length, multiplier, slow);
                Assert.Equal(sum, ActivationQuantization.Encode(from, x.Length, multiplier, fast));
                Assert.Equal(sum, expected.Sum(c => c));
            }

            Assert.Equal(expected, actual);
        }
    }

    [Fact]
    public void Ties_go_to_the_even_code_in_every_lane()
    {
        float[] x = new float[512];
        for (int i = 0; i < x.Length; i++)
            x[i] = (i % 253 - 126) + 0.5f;
        x[0] = 127;
        sbyte[] codes = new sbyte[x.Length];
        Quantize(x, codes, out _);
        for (int i = 1; i < x.Length; i++)
            Assert.Equal((int)Math.Round((double)x[i], MidpointRounding.ToEven), codes[i]);
    }

    [Theory]
    [InlineData(float.NaN)]
    [InlineData(float.PositiveInfinity)]
    [InlineData(float.NegativeInfinity)]
    public void A_token_that_is_not_finite_gives_zeros_and_shows_in_the_output(float bad)
    {
        for (int at = 0; at < 70; at++)
        {
            float[] x = [.. Enumerable.Range(0, 70).Select(i => (float)i)];
            x[at] = bad;
            sbyte[] codes = [.. Enumerable.Repeat((sbyte)77, 70)];
            float multiplier = Quantize(x, codes, out int sum);
            Assert.Equal(0, multiplier);
            Assert.Equal(0, sum);
            Assert.All(codes, code => Assert.Equal(0, code));
            Assert.True(float.IsNaN(0f / multiplier));
        }
    }

    [Fact]
    public void Blocks_follow_their_definition()
    {
        var random = new Random(6);
        for (int round = 0; round < 300; round++)
        {
            float[] x = RandomFloats(random, 32 * random.Next(1, 6));
            x.AsSpan(0, 32).Fill(round % 3 == 0 ? 0 : round % 3 == 1 ? 1e-40f : x[0]);
            sbyte[] codes = new sbyte[x.Length];
            float[] steps = new float[x.Length / 32];
            int[] sums = new int[x.Length / 32];
            fixed (float* from = x, stepsTo = steps)
            fixed (sbyte* to = codes)
            fixed (int* sumsTo = sums)
                ActivationQuantization.QuantizeBlocks(from, x.Length, to, stepsTo, sumsTo);

            for (int block = 0; block < steps.Length; block++)
            {
                float[] values = x[(32 * block)..(32 * block + 32)];
                float maximum = values.Max(MathF.Abs);
                bool finite = values.All(float.IsFinite);
                float multiplier = finite && maximum > 0 && float.IsFinite(127f / maximum) ? 127f / maximum : 0;
                Assert.Equal(finite ? maximum / 127f : float.NaN, steps[block]);
                int sum = 0;
                for (int i = 0; i < 32; i++)
                {
                    int expected = multiplier == 0 ? 0 : (int)Math.Clamp(MathF.Round(values[i] * multiplier), -128, 127);
                    Assert.Equal(expected, codes[32 * block + i]);
                    sum += expected;
                }

                Assert.Equal(sum, sums[block]);
            }
        }
    }

    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    public void Activations_hold_both_forms_with_zeros_behind_every_row(int threads)
    {
        using var pool = new WorkerPool(threads);
        using var activations = new Activations(9, 700);
        var random = new Random(7);
        foreach ((int tokens, int columns) in new[] { (9, 700), (1, 1), (4, 256), (9, 257), (2, 700) })
        {
            activations.Begin(tokens, columns);
            Assert.Equal(0, activations.Stride % 256);
            for (int token = 0; token < tokens; token++)
                for (int i = 0; i < columns; i++)
                    activations.Floats[token * activations.Stride + i] = random.NextSingle() - 0.5f;

            MatMulProblem perToken = default, perBlock = default;
            activations.Bind(ActivationForm.Int8PerToken, pool, ref perToken);
            activations.Bind(ActivationForm.Int8PerBlock, pool, ref perBlock);
            for (int token = 0; token < tokens; token++)
            {
                float[] x = new Span<float>(activations.Floats + token * activations.Stride, columns).ToArray();
                sbyte[] codes = new sbyte[columns];
                Assert.Equal(Quantize(x, codes, out int sum), perToken.Scales[token]);
                Assert.Equal(sum, perToken.Sums[token]);
                for (int i = 0; i < activations.Stride; i++)
                {
                    Assert.Equal(i < columns ? codes[i] : 0, perToken.Codes[token * perToken.CodeStride + i]);
                    if (i >= columns)
                        Assert.Equal(0, perBlock.Codes[token * perBlock.CodeStride + i]);
                    if (i >= columns)
                        Assert.Equal(0f, activations.Floats[token * activations.Stride + i]);
                }

                for (int block = 0; block < perBlock.BlockStride; block++)
                {
                    float maximum = 0;
                    for (int i = 32 * block; i < 32 * block + 32; i++)
                        maximum = MathF.Max(maximum, MathF.Abs(activations.Floats[token * activations.Stride + i]));
                    Assert.Equal(maximum / 127f, perBlock.Scales[token * perBlock.BlockStride + block]);
                }
            }
        }
    }

    private static float Quantize(float[] x, sbyte[] codes, out int sum)
    {
        fixed (float* from = x)
        fixed (sbyte* to = codes)
            return ActivationQuantization.QuantizeToken(from, x.Length, to, out sum);
    }

    /// <summary>Floats of one magnitude, and now and then ones from the edges of the format.</summary>
    private static float[] RandomFloats(Random random, int count)
    {
        float magnitude = MathF.Pow(10, random.Next(-42, 38));
        float[] x = new float[count];
        for (int i = 0; i < count; i++)
            x[i] = (random.NextSingle() * 2 - 1) * magnitude;
        float[] edges = [0, -0f, float.Epsilon, 1e-40f, float.MaxValue, float.MinValue, float.NaN, float.PositiveInfinity, float.NegativeInfinity];
        if (random.Next(4) == 0)
            x[random.Next(count)] = edges[random.Next(edges.Length)];
        return x;
    }
}
