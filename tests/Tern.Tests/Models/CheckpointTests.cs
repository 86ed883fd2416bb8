using System.Text.Json.Nodes;
using Tern.Files;
using Tern.Measure;
using Tern.Models;
using Tern.Models.Checkpoints;
using Tern.Numerics;
using Tern.Tests.Cli;
using Tern.Tests.Files;

namespace Tern.Tests.Models;

/// <summary>A Hugging Face folder runs to the same bits as the GGUF file of the same model.</summary>
public sealed class CheckpointTests : IDisposable
{
    private static readonly int[] s_prompt = [.. Enumerable.Range(0, 40).Select(i => (i * 37 % 290) + 1)];

    private static readonly Dictionary<string, TensorType> s_types = new() { ["F32"] = TensorType.F32, ["F16"] = TensorType.F16, ["BF16"] = TensorType.BF16 };

    private readonly TempFolder _folder = new();

    public static TheoryData<string, string, string, bool, int> Twins => new()
    {
        { "bitnet-b1.58", "Multiply", "BF16", false, 1 },
        { "bitnet-b1.58", "Divide", "F32", false, 3 },
        { "bitnet-b1.58", "Master", "BF16", false, 1 },
        { "bitnet", "Master", "F16", false, 3 },
        { "bitnet", "Master", "F32", false, 1 },
        { "bitnet", "Multiply", "F16", false, 1 },
        { "llama", "Divide", "BF16", false, 1 },
        { "llama", "Master", "BF16", false, 1 },
        { "llama", "Dense", "BF16", false, 1 },
        { "llama", "Dense", "F16", false, 3 },
        { "llama", "Dense", "F32", false, 1 },
        { "qwen3", "Dense", "BF16", false, 1 },
        { "qwen3", "Multiply", "BF16", false, 1 },
        { "qwen3", "Master", "BF16", true, 1 },
        { "qwen3", "Divide", "F16", true, 3 },
        { "gemma3", "Dense", "BF16", false, 1 },
        { "gemma3", "Master", "F32", true, 1 },
        { "gemma3", "Multiply", "BF16", true, 1 },
    };

    public void Dispose() => _folder.Dispose();

    [Theory]
    [MemberData(nameof(Twins))]
    public void A_folder_gives_the_bits_of_its_twin(string architecture, string form, string type, bool isEmbedding, int shards)
    {
        // Heads wider than the hidden size in one family, so that no number is taken for another.
        var tiny = new TinyCheckpoint(architecture, Enum.Parse<LinearForm>(form), s_types[type], isEmbedding, architecture is "llama" or "gemma3" ? 64 : 32)
        {
            UsesAliases = architecture == "bitnet",
            Prefix = isEmbedding ? "" : "model.",
        };
        if (architecture == "gemma3")
            SetWindow(tiny);
        AssertTwins(tiny, shards);
    }

    [Theory]
    [InlineData("linear")]
    [InlineData("yarn")]
    public void Scaled_rope_gives_the_bits_of_its_twin(string kind)
    {
        var tiny = new TinyCheckpoint("llama", LinearForm.Dense, TensorType.BF16);
        tiny.Config["rope_scaling"] = new JsonObject { ["rope_type"] = kind, ["factor"] = 4.0 };
        tiny.Keys["rope.scaling.type"] = kind;
        tiny.Keys["rope.scaling.factor"] = 4f;
        if (kind == "yarn")
        {
            tiny.Config["rope_scaling"]!["original_max_position_embeddings"] = 16;
            tiny.Config["rope_scaling"]!["attention_factor"] = 1.5;
            tiny.Keys["rope.scaling.original_context_length"] = 16u;
            tiny.Keys["rope.scaling.attn_factor"] = (float)(1.5 / (1 + (0.1 * Math.Log(4))));
        }

        AssertTwins(tiny);
    }

    /// <summary>The divisors by the definition in Meta's code, written with waves in positions instead of waves per context.</summary>
    [Fact]
    public void Llama3_rope_scaling_becomes_a_tensor_of_divisors()
    {
        const int headSize = 64, original = 32;
        var tiny = new TinyCheckpoint("llama", LinearForm.Dense, TensorType.BF16, headSize: headSize);
        tiny.Config["rope_scaling"] = new JsonObject { ["rope_type"] = "llama3", ["factor"] = 8.0, ["low_freq_factor"] = 1.0, ["high_freq_factor"] = 4.0, ["original_max_position_embeddings"] = original };
        float[] divisors = new float[headSize / 2];
        for (int i = 0; i < divisors.Length; i++)
        {
            double wave = 2 * Math.PI * Math.Pow(20000, 2.0 * i / headSize);
            double smooth = ((original / wave) - 1) / (4 - 1);
            divisors[i] = wave < original / 4.0 ? 1 : wave > original / 1.0 ? 8 : (float)(1 / (((1 - smooth) / 8) + smooth));
        }

        Assert.Equal(3, divisors.GroupBy(d => d == 1 ? 0 : d == 8 ? 1 : 2).Count());
        tiny.WriteFolder(_folder.Path);
        using ModelSource source = Model.Open(_folder.Path, new ModelOptions());
        float[] actual = new float[divisors.Length];
        source.Tensors["rope_freqs.weight"].DecodeRow(0, actual);
        for (int i = 0; i < divisors.Length; i++)
            Assert.InRange(actual[i], divisors[i] * (1 - 1e-6f), divisors[i] * (1 + 1e-6f));

        using Model model = Model.Load(_folder.Path, new ModelOptions { Threads = 1 });
        Assert.DoesNotContain(float.NaN, Output(model));
    }

    [Theory]
    [InlineData("Multiply", "multiply")]
    [InlineData("Divide", "divide")]
    public void The_meaning_of_scales_can_be_said(string form, string right)
    {
        var tiny = new TinyCheckpoint("llama", Enum.Parse<LinearForm>(form), TensorType.BF16);
        tiny.WriteGguf(_folder.File("twin.gguf"));
        tiny.Config["quantization_config"]!["linear_class"] = form == "Divide" ? "autobitlinear" : "bitlinear"; // the wrong one
        string folder = _folder.File("folder");
        tiny.WriteFolder(folder);
        float[] expected = Output(_folder.File("twin.gguf"), WeightScale.Configured);
        Assert.NotEqual(expected, Output(folder, WeightScale.Configured));
        Assert.Equal(expected, Output(folder, right == "divide" ? WeightScale.Divide : WeightScale.Multiply));
    }

    [Fact]
    public void Scales_that_look_inverted_are_warned_of_once_with_the_remedy()
    {
        var tiny = new TinyCheckpoint("llama", LinearForm.Divide, TensorType.BF16);
        tiny.Config["quantization_config"]!["linear_class"] = "autobitlinear";
        tiny.WriteFolder(_folder.Path);
        using ModelSource source = Model.Open(_folder.Path, new ModelOptions());
        Assert.Empty(source.Warnings); // 7 to 8 may be a scale

        byte[] file = File.ReadAllBytes(_folder.File("model.safetensors"));
        using (SafetensorsFile opened = SafetensorsFile.Open(_folder.File("model.safetensors")))
            foreach (SafetensorsEntry entry in opened.Entries.Where(e => e.Name.EndsWith("weight_scale", StringComparison.Ordinal)))
                BitConverter.TryWriteBytes(file.AsSpan((int)entry.Offset), (ushort)0x4248); // 50
        File.WriteAllBytes(_folder.File("model.safetensors"), file);
        using ModelSource odd = Model.Open(_folder.Path, new ModelOptions());
        Assert.Contains("--weight-scale divide", Assert.Single(odd.Warnings), StringComparison.Ordinal);
        using ModelSource right = Model.Open(_folder.Path, new ModelOptions { WeightScale = WeightScale.Divide });
        Assert.Empty(right.Warnings);
    }

    [Fact]
    public void Modules_that_are_not_converted_stay_floats()
    {
        var tiny = new TinyCheckpoint("llama", LinearForm.Master, TensorType.BF16);
        tiny.Config["quantization_config"]!["modules_to_not_convert"] = new JsonArray("lm_head", "layers.1", "down_proj");
        tiny.WriteFolder(_folder.Path);
        using ModelSource source = Model.Open(_folder.Path, new ModelOptions());
        Assert.True(source.Tensors["blk.0.ffn_up.weight"].Type.IsTernary);
        Assert.False(source.Tensors["blk.1.ffn_up.weight"].Type.IsTernary);
        Assert.False(source.Tensors["blk.0.ffn_down.weight"].Type.IsTernary);
        Assert.False(source.Tensors["output.weight"].Type.IsTernary);
    }

    [Fact]
    public void Masters_in_an_offline_checkpoint_are_warned_of()
    {
        var tiny = new TinyCheckpoint("bitnet-b1.58", LinearForm.Master, TensorType.BF16);
        tiny.Config["quantization_config"]!["quantization_mode"] = "offline";
        tiny.WriteFolder(_folder.Path);
        using ModelSource source = Model.Open(_folder.Path, new ModelOptions());
        Assert.Contains("14 linear layers hold floats", Assert.Single(source.Warnings), StringComparison.Ordinal);
        Assert.True(source.Tensors["blk.0.ffn_up.weight"].Type.IsTernary);
    }

    [Fact]
    public void Code_3_is_refused_with_tensor_and_offset()
    {
        new TinyCheckpoint("llama", LinearForm.Divide, TensorType.BF16).WriteFolder(_folder.Path);
        string path = _folder.File("model.safetensors");
        byte[] file = File.ReadAllBytes(path);
        long offset;
        using (SafetensorsFile opened = SafetensorsFile.Open(path))
            offset = opened.Entries.First(e => e.Name.EndsWith("1.self_attn.k_proj.weight", StringComparison.Ordinal)).Offset + 77;
        file[offset] |= 0x30;
        File.WriteAllBytes(path, file);
        TernException error = Assert.Throws<TernException>(() => Model.Load(_folder.Path, new ModelOptions { Threads = 2 }));
        Assert.Equal(ErrorKind.Semantic, error.Kind);
        Assert.StartsWith($"{path}: tensor 'blk.1.attn_k.weight' (PACKED) at offset {offset}: ", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_master_weight_that_is_no_number_is_refused_at_load()
    {
        new TinyCheckpoint("bitnet-b1.58", LinearForm.Master, TensorType.F32).WriteFolder(_folder.Path);
        string path = _folder.File("model.safetensors");
        byte[] file = File.ReadAllBytes(path);
        using (SafetensorsFile opened = SafetensorsFile.Open(path))
            BitConverter.TryWriteBytes(file.AsSpan((int)opened.Entries.First(e => e.Name.EndsWith("up_proj.weight", StringComparison.Ordinal)).Offset + 400), float.NaN);
        File.WriteAllBytes(path, file);
        TernException error = Assert.Throws<TernException>(() => Model.Load(_folder.Path, new ModelOptions { Threads = 2 }));
        Assert.Contains("blk.0.ffn_up.weight", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void The_only_file_of_its_kind_is_the_weights()
    {
        new TinyCheckpoint("qwen3", LinearForm.Dense, TensorType.BF16).WriteFolder(_folder.Path);
        File.Move(_folder.File("model.safetensors"), _folder.File("other.safetensors"));
        foreach (string path in (string[])[_folder.Path, _folder.File("other.safetensors")])
        {
            using ModelSource source = Model.Open(path, new ModelOptions());
            Assert.Equal("qwen3", source.Metadata.String("general.architecture"));
        }
    }

    [Fact]
    public void The_program_runs_and_shows_a_folder()
    {
        var tiny = new TinyCheckpoint("llama", LinearForm.Divide, TensorType.BF16);
        string twin = _folder.File("twin.gguf"), folder = _folder.File("folder");
        tiny.WriteGguf(twin);
        tiny.Config["quantization_config"]!["linear_class"] = "autobitlinear";
        tiny.WriteFolder(folder);
        string[] options = ["-p", "abc", "--raw", "--temp", "0", "-n", "4", "--no-tune"];
        Assert.Equal(TernProcess.Run(["run", twin, .. options]).AssertSucceeds().Output, TernProcess.Run(["run", folder, "--weight-scale", "divide", .. options]).AssertSucceeds().Output);
        TernResult shown = TernProcess.Run("inspect", folder, "--no-tune").AssertSucceeds();
        Assert.Contains("PACKED", shown.Output, StringComparison.Ordinal);
        Assert.Matches("runs +yes", shown.Output);
    }

    [Theory]
    [InlineData("model.safetensors")]
    [InlineData("config.json")]
    [InlineData("")]
    public void A_file_of_a_checkpoint_stands_for_its_folder(string name)
    {
        new TinyCheckpoint("qwen3", LinearForm.Dense, TensorType.BF16).WriteFolder(_folder.Path);
        using ModelSource source = Model.Open(name.Length == 0 ? _folder.Path + Path.DirectorySeparatorChar : _folder.File(name), new ModelOptions());
        Assert.Equal("qwen3", source.Metadata.String("general.architecture"));
    }

    private static void SetWindow(TinyCheckpoint tiny)
    {
        tiny.Config["sliding_window"] = 8;
        tiny.Config["layer_types"] = new JsonArray("sliding_attention", "full_attention");
        tiny.Config["rope_local_base_freq"] = 5000.0;
        tiny.Keys["attention.sliding_window"] = 8u;
        tiny.Keys["attention.sliding_window_pattern"] = 2u;
        tiny.Keys["rope.freq_base_swa"] = 5000f;
    }

    private void AssertTwins(TinyCheckpoint tiny, int shards = 1)
    {
        string twin = _folder.File("twin.gguf"), folder = _folder.File("folder");
        tiny.WriteGguf(twin);
        tiny.WriteFolder(folder, shards);
        float[] expected = Output(twin, WeightScale.Configured);
        Assert.True(expected.Distinct().Count() > 100 && expected.All(float.IsFinite));
        Assert.Equal(expected, Output(folder, WeightScale.Configured));
    }

    private static float[] Output(string path, WeightScale scale)
    {
        using Model model = Model.Load(path, new ModelOptions { Threads = 2, WeightScale = scale });
        return Output(model);
    }

    private static float[] Output(Model model)
    {
        if (model.Spec.IsEmbedding)
        {
            using var embedding = new EmbeddingProbe(model, s_prompt.Length);
            return embedding.Run(s_prompt, CancellationToken.None);
        }

        using var probe = new LogitProbe(model, s_prompt.Length, 0, Tern.Kernels.KvType.F32);
        return probe.Run(s_prompt, 0, CancellationToken.None).Logits;
    }
}
