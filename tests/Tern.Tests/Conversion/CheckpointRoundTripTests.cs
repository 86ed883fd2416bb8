using System.Text.Json;
using Tern.Conversion;
using Tern.Conversion.HuggingFace;
using Tern.Files;
using Tern.Kernels;
using Tern.Measure;
using Tern.Models;
using Tern.Numerics;
using Tern.Tests.Files;
using Tern.Tests.Models;

namespace Tern.Tests.Conversion;

/// <summary>GGUF → checkpoint → GGUF keeps every code, scale and float, and the golden checkpoints become files that compute what their twins compute.</summary>
public sealed class CheckpointRoundTripTests : IDisposable
{
    private readonly TempFolder _folder = new();

    public static TheoryData<string> Models =>
    [
        "m01-bitnet-b158-i2s", "m03-bitnet-1bitllm-spm-i2s", "m04-llama-i2s-untied", "m05a-bitnet-b158-tq1_0", "m07-qwen3-embedding-normin-i2s",
        "m08b-gemma3-embedding-normin-swa-i2s", "m10a-llama-f16", "m06d-qwen3-q1_0-yarn",
    ];

    public static TheoryData<string, string> Checkpoints => new()
    {
        { "m11a-hf-bitnet-packed-autobitlinear", "m01-bitnet-b158-i2s" },
        { "m11b-hf-bitnet-bf16-online", "m01-bitnet-b158-i2s" },
        { "m11c-hf-llama-packed-bitlinear-divide", "m04-llama-i2s-untied" },
    };

    public void Dispose() => _folder.Dispose();

    [SharedTheory]
    [MemberData(nameof(Models))]
    public void A_model_comes_back_as_it_was(string name)
    {
        string checkpoint = Path.Combine(_folder.Path, "checkpoint"), back = _folder.File("back.gguf");
        using ModelSource source = Model.Open(Goldens.File(name), new ModelOptions());
        HuggingFaceExport.Write(source, checkpoint, 2, _ => { }, CancellationToken.None);
        RecodingTests.Recode(checkpoint, back, new ConversionOptions { Embeddings = TensorType.F16, Output = TensorType.F16 });
        using ModelSource returned = Model.Open(back, new ModelOptions());
        Assert.Equal(source.Tensors.Keys.Order(StringComparer.Ordinal), returned.Tensors.Keys.Order(StringComparer.Ordinal));
        foreach (Tensor tensor in source.TensorsInOrder)
        {
            Tensor other = returned.Tensors[tensor.Name];
            Assert.Equal(tensor.Columns * tensor.Rows, other.Columns * other.Rows);
            if (tensor.Type.IsTernary)
            {
                Assert.Same(TensorType.I2S, other.Type);
                Assert.Equal(RecodingTests.CodesOf(tensor), RecodingTests.CodesOf(other));
                Assert.Equal(TernarySource.Of(tensor).CommonScale, TernarySource.Of(other).CommonScale);
                continue;
            }

            float[] a = new float[tensor.Columns], b = new float[tensor.Columns];
            for (long row = 0; row < tensor.Rows; row++)
            {
                tensor.DecodeRow(row, a);
                other.DecodeRow(row, b);
                Assert.Equal(a, b);
            }
        }

        Assert.Equal(Model.ReadSpec(source, _ => { }) with { Architecture = "" }, Model.ReadSpec(returned, _ => { }) with { Architecture = "" });
        Assert.Equal(Ids(source), Ids(returned));
    }

    [SharedTheory]
    [MemberData(nameof(Checkpoints))]
    public void A_golden_checkpoint_becomes_its_twin(string folder, string twin)
    {
        string path = _folder.File("converted.gguf");
        RecodingTests.Recode(SharedData.File("goldens", folder), path, new ConversionOptions { Linears = TensorType.I2S, Embeddings = TensorType.F16, Output = TensorType.F16, Threads = 2 });
        using Model converted = Model.Load(path, new ModelOptions { Threads = 2 });
        using Model expected = Model.Load(Goldens.File(twin), new ModelOptions { Threads = 2 });
        foreach (JsonElement prompt in Goldens.Expected(twin).GetProperty("prompts").EnumerateArray())
        {
            int[] ids = [.. prompt.GetProperty("ids").EnumerateArray().Select(i => i.GetInt32())];
            Assert.Equal(ids, converted.Tokenizer.Encode(prompt.GetProperty("text").GetString()!));
            float[] a = Logits(converted, ids), b = Logits(expected, ids);
            for (int i = 0; i < a.Length; i++)
                Assert.Equal(b[i], a[i], 1e-6f);
        }
    }

    /// <summary>Everybody who reads a checkpoint of BitNet rounds its linear layers.</summary>
    [Fact]
    public void A_bitnet_model_of_floats_is_refused()
    {
        string file = _folder.File("floats.gguf"), checkpoint = Path.Combine(_folder.Path, "checkpoint");
        new TinyCheckpoint("bitnet-b1.58", LinearForm.Dense, TensorType.F16).WriteGguf(file);
        using ModelSource source = Model.Open(file, new ModelOptions());
        TernException error = Assert.Throws<TernException>(() => HuggingFaceExport.Write(source, checkpoint, 1, _ => { }, CancellationToken.None));
        Assert.Equal(ErrorKind.Unsupported, error.Kind);
        Assert.Contains("--type i2_s", error.Message, StringComparison.Ordinal);
        Assert.False(Directory.Exists(checkpoint));
    }

    private static float[] Logits(Model model, int[] ids)
    {
        using var probe = new LogitProbe(model, ids.Length, 0, KvType.F32);
        return probe.Run(ids, 0, CancellationToken.None).Logits;
    }

    private static int[] Ids(ModelSource source)
    {
        var tokenizer = Tern.Text.Tokenizer.From(source.Metadata, _ => { });
        return [.. tokenizer.Encode("It was a bright morning, and 123 children sang: \"naïve café\"!\n"), .. tokenizer.StopIds.Order()];
    }
}
