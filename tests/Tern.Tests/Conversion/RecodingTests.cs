using System.Runtime.InteropServices;
using Tern.Conversion;
using Tern.Files;
using Tern.Models;
using Tern.Numerics;
using Tern.Tests.Files;

namespace Tern.Tests.Conversion;

/// <summary>Types are exchanged without losing a code, untrained models are refused, and what rounds weights rounds them as defined.</summary>
public sealed class RecodingTests : IDisposable
{
    private const int Columns = 512, Rows = 64;

    private readonly TempFolder _folder = new();

    public static TheoryData<string> TernaryTypes => [.. TensorType.All.OfType<TernaryType>().Select(t => t.Name)];

    public static TheoryData<string> RoundedTypes =>
        [.. TensorType.All.Where(t => t.CanEncode && !ConversionPlan.IsTernary(t) && t != TensorType.F32 && t != TensorType.Q1_0 && t != TensorType.Q2_0_G128).Select(t => t.Name)];

    public void Dispose() => _folder.Dispose();

    [Theory]
    [MemberData(nameof(TernaryTypes))]
    public void Codes_and_scales_survive_every_ternary_type_and_the_way_back(string name)
    {
        TensorType type = TensorType.All.First(t => t.Name == name);
        foreach (float scale in (float[])[0.75f, 0.1234567f, -1.5f, 3e-5f])
        {
            (string path, sbyte[] codes) = WriteTernary(scale, zeroBlock: true);
            string there = _folder.File("there.gguf"), back = _folder.File("back.gguf");
            ConversionReport report = Recode(path, there, new ConversionOptions { Linears = type, Threads = 3 });
            Recode(there, back, new ConversionOptions { Linears = TensorType.I2S });
            bool halves = type is TernaryBlockType or IQ1_BNType;
            float expected = halves ? Halves.ToSingle(Halves.FromSingle(scale)) : scale;
            foreach ((string file, TensorType holds) in ((string, TensorType)[])[(there, type), (back, TensorType.I2S)])
            {
                using var source = GgufFile.Open(file);
                Tensor tensor = source.Tensors["blk.0.attn_q.weight"];
                Assert.Same(holds, tensor.Type);
                Assert.Equal(codes, CodesOf(tensor));
                Assert.Equal(expected, TernarySource.Of(tensor).CommonScale);
            }

            Assert.Equal(halves && expected != scale, report.Notes.Any(n => n.Contains("fp16", StringComparison.Ordinal)));
        }
    }

    [Theory]
    [MemberData(nameof(RoundedTypes))]
    public void Pieces_on_several_threads_are_the_bytes_of_one_encoding(string name)
    {
        TensorType type = TensorType.All.First(t => t.Name == name);
        const int rows = 4096;
        float[] weights = RandomFloats(seed: 11, Columns * rows);
        byte[] expected = new byte[(int)type.ByteCount(Columns, rows)];
        type.Encode(weights, Columns, expected);
        string path = Write("floats.gguf", new TensorSource("token_embd.weight", TensorType.F32, [Columns, rows], s => s.Write(MemoryMarshal.AsBytes(weights.AsSpan()))));
        Recode(path, _folder.File("out.gguf"), new ConversionOptions { Embeddings = type, Threads = 3 });
        using var source = GgufFile.Open(_folder.File("out.gguf"));
        Tensor tensor = source.Tensors["token_embd.weight"];
        Assert.True(expected.AsSpan().SequenceEqual(tensor.Bytes(0, (int)tensor.ByteCount)));
    }

    [Fact]
    public void Floats_that_are_ternary_are_recognised()
    {
        (string path, sbyte[] codes) = WriteTernary(0.5f, zeroBlock: false);
        string floats = _folder.File("f16.gguf"), back = _folder.File("back.gguf");
        Recode(path, floats, new ConversionOptions { Linears = TensorType.F16 });
        Recode(floats, back, new ConversionOptions { Linears = TensorType.I2S });
        using var source = GgufFile.Open(back);
        Assert.Equal(codes, CodesOf(source.Tensors["blk.0.attn_q.weight"]));
    }

    [Fact]
    public void A_model_that_was_not_trained_is_refused_and_leaves_nothing()
    {
        string path = WriteFloats(RandomFloats(seed: 3, Columns * Rows));
        foreach (TensorType type in (TensorType[])[TensorType.I2S, TensorType.TQ1_0, TensorType.Q2_0, TensorType.Q1_0])
        {
            TernException e = Assert.Throws<TernException>(() => Recode(path, _folder.File("out.gguf"), new ConversionOptions { Linears = type }));
            Assert.Contains("--ptq", e.Message, StringComparison.Ordinal);
            Assert.Contains("blk.0.attn_q.weight", e.Message, StringComparison.Ordinal);
        }

        Assert.False(File.Exists(_folder.File("out.gguf")));
    }

    [Fact]
    public void Absmean_is_the_definition()
    {
        float[] weights = RandomFloats(seed: 5, Columns * Rows);
        Recode(WriteFloats(weights), _folder.File("out.gguf"), new ConversionOptions { Linears = TensorType.I2S, Ptq = Ternarisation.AbsMean });
        double mean = weights.Sum(w => Math.Abs((double)w)) / weights.Length;
        using var source = GgufFile.Open(_folder.File("out.gguf"));
        Tensor tensor = source.Tensors["blk.0.attn_q.weight"];
        float scale = TernarySource.Of(tensor).CommonScale!.Value;
        Assert.Equal((float)mean, scale);
        Assert.Equal(weights.Select(w => (sbyte)Math.Clamp(MathF.Round(w * (1 / scale), MidpointRounding.ToEven), -1, 1)), CodesOf(tensor));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Ternary_weight_networks_have_the_best_scale_for_their_codes(bool perRow)
    {
        float[] weights = RandomFloats(seed: 9, Columns * Rows);
        TensorType type = perRow ? TensorType.IQ2_BN : TensorType.I2S;
        Recode(WriteFloats(weights), _folder.File("out.gguf"), new ConversionOptions { Linears = type, Ptq = Ternarisation.Twn });
        using var source = GgufFile.Open(_folder.File("out.gguf"));
        Tensor tensor = source.Tensors["blk.0.attn_q.weight"];
        sbyte[] codes = CodesOf(tensor);
        float[] scales = TernarySource.Of(tensor).AllScales.ToArray();
        int group = perRow ? Columns : weights.Length;
        for (int start = 0; start < weights.Length; start += group)
        {
            float[] w = weights[start..(start + group)];
            double cut = 0.7 * w.Average(x => Math.Abs((double)x));
            double best = w.Where(x => Math.Abs(x) > (float)cut).Average(x => Math.Abs((double)x));
            Assert.Equal(w.Select(x => (sbyte)(Math.Abs(x) > (float)cut ? Math.Sign(x) : 0)), codes[start..(start + group)]);
            Assert.Equal((float)best, scales[start / Columns], best * 1e-6);
        }
    }

    [Fact]
    public void A_type_with_one_scale_refuses_several()
    {
        float[] weights = new float[Columns * Rows];
        for (int i = 0; i < weights.Length; i++)
            weights[i] = (i % 3 - 1) * (1 + (i / Columns));
        string path = _folder.File("rows.gguf");
        Recode(WriteFloats(weights), path, new ConversionOptions { Linears = TensorType.IQ2_BN });
        TernException e = Assert.Throws<TernException>(() => Recode(path, _folder.File("out.gguf"), new ConversionOptions { Linears = TensorType.I2S }));
        Assert.Contains("several scales", e.Message, StringComparison.Ordinal);
        Recode(path, _folder.File("out.gguf"), new ConversionOptions { Linears = TensorType.TQ2_0 });
    }

    [Fact]
    public void Code_three_is_refused_on_the_way()
    {
        byte[] bytes = new byte[(Columns * Rows / 4) + 32];
        bytes[^32] = 1;
        bytes[1000] = 0xFF;
        string path = Write("bad.gguf", new TensorSource("blk.0.attn_q.weight", TensorType.I2S, [Columns, Rows], s => s.Write(bytes)));
        TernException e = Assert.Throws<TernException>(() => Recode(path, _folder.File("out.gguf"), new ConversionOptions { Linears = TensorType.TQ2_0 }));
        Assert.Contains("code 3", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Columns_that_do_not_fit_fall_back_and_say_so()
    {
        float[] weights = [.. Enumerable.Range(0, 320 * Rows).Select(i => (i % 3 - 1) * 0.5f)];
        string path = Write("odd.gguf", new TensorSource("blk.0.ffn_down.weight", TensorType.F32, [320, Rows], s => s.Write(MemoryMarshal.AsBytes(weights.AsSpan()))));
        using ModelSource source = GgufFile.Open(path);
        var plan = ConversionPlan.Of(source, new ConversionOptions { Linears = TensorType.TQ1_0 }, CancellationToken.None);
        Assert.Same(TensorType.I2S, plan.Tensors[0].Type);
        Assert.Contains(plan.Warnings, w => w.Contains("blk.0.ffn_down.weight", StringComparison.Ordinal) && w.Contains("I2_S", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData(float.NaN, "F16", "damaged")]
    [InlineData(float.NegativeInfinity, "Q8_0", "damaged")]
    [InlineData(1e6f, "F16", "bf16 or f32")]
    public void Weights_that_the_type_cannot_hold_are_refused_with_their_place(float weight, string name, string words)
    {
        float[] weights = RandomFloats(seed: 4, Columns * Rows);
        weights[(3 * Columns) + 70] = weight;
        TensorType type = TensorType.All.First(t => t.Name == name);
        TernException e = Assert.Throws<TernException>(() => Recode(WriteFloats(weights), _folder.File("out.gguf"), new ConversionOptions { Linears = type, Threads = 2 }));
        Assert.Contains("row 3, column 70", e.Message, StringComparison.Ordinal);
        Assert.Contains(words, e.Message, StringComparison.Ordinal);
        Assert.False(File.Exists(_folder.File("out.gguf")));
    }

    [SharedFact]
    public void Old_groups_of_Q2_0_are_halved_weight_by_weight()
    {
        string path = Goldens.File("m06c-qwen3-q2_0-legacy-g128");
        Recode(path, _folder.File("new.gguf"), new ConversionOptions());
        using var old = GgufFile.Open(path);
        using var mended = GgufFile.Open(_folder.File("new.gguf"));
        foreach (Tensor tensor in old.TensorsInOrder)
        {
            Tensor other = mended.Tensors[tensor.Name];
            Assert.NotSame(TensorType.Q2_0_G128, other.Type);
            float[] a = new float[tensor.Columns], b = new float[tensor.Columns];
            for (long row = 0; row < tensor.Rows; row++)
            {
                tensor.DecodeRow(row, a);
                other.DecodeRow(row, b);
                Assert.Equal(a, b);
            }
        }
    }

    [Fact]
    public void A_cancelled_conversion_leaves_nothing()
    {
        (string path, _) = WriteTernary(1, zeroBlock: false);
        using var cancelled = new CancellationTokenSource();
        using ModelSource source = GgufFile.Open(path);
        var plan = ConversionPlan.Of(source, new ConversionOptions { Linears = TensorType.TQ2_0 }, CancellationToken.None);
        cancelled.Cancel();
        string output = _folder.File("out.gguf");
        Assert.ThrowsAny<OperationCanceledException>(() => GgufConversion.Write(source, plan, GgufConversion.MetadataOf(source, plan), output, _ => { }, cancelled.Token));
        Assert.Equal([path], Directory.EnumerateFiles(_folder.Path));
    }

    internal static ConversionReport Recode(string path, string output, ConversionOptions options)
    {
        using ModelSource source = Model.Open(path, new ModelOptions());
        var plan = ConversionPlan.Of(source, options, CancellationToken.None);
        return GgufConversion.Write(source, plan, GgufConversion.MetadataOf(source, plan), output, _ => { }, CancellationToken.None);
    }

    internal static sbyte[] CodesOf(Tensor tensor)
    {
        var codes = new sbyte[tensor.Columns * tensor.Rows];
        for (int row = 0; row < tensor.Rows; row++)
            ((TernaryType)tensor.Type).DecodeCodes(tensor, row, codes.AsSpan(row * (int)tensor.Columns, (int)tensor.Columns));
        return codes;
    }

    private static float[] RandomFloats(int seed, int count)
    {
        var random = new Random(seed);
        var weights = new float[count];
        for (int i = 0; i < count; i++)
            weights[i] = (float)((random.NextDouble() + random.NextDouble() - 1) * 0.2);
        return weights;
    }

    /// <summary>An I2_S tensor with random codes and, where asked, 256 zeros, whose scale block types write as 0.</summary>
    private (string Path, sbyte[] Codes) WriteTernary(float scale, bool zeroBlock)
    {
        var random = new Random(17);
        var codes = new sbyte[Columns * Rows];
        for (int i = 0; i < codes.Length; i++)
            codes[i] = zeroBlock && i is >= 1024 and < 1280 ? (sbyte)0 : (sbyte)random.Next(-1, 2);
        var bytes = new byte[codes.Length / 4];
        TensorType.I2S.Pack(codes, [], Columns, bytes);
        return (Write("i2s.gguf", new TensorSource("blk.0.attn_q.weight", TensorType.I2S, [Columns, Rows], s =>
        {
            s.Write(bytes);
            s.Write(TensorType.I2S.Tail(scale));
        })), codes);
    }

    private string WriteFloats(float[] weights) =>
        Write("floats.gguf", new TensorSource("blk.0.attn_q.weight", TensorType.F32, [Columns, Rows], s => s.Write(MemoryMarshal.AsBytes(weights.AsSpan()))));

    private string Write(string name, params TensorSource[] tensors)
    {
        var metadata = new Metadata(name);
        metadata.Set("general.architecture", "llama");
        GgufWriter.Write(_folder.File(name), metadata, tensors);
        return _folder.File(name);
    }
}
