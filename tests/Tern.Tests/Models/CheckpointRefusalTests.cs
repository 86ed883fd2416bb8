using System.Text;
using System.Text.Json.Nodes;
using Tern.Models;
using Tern.Numerics;
using Tern.Tests.Files;

namespace Tern.Tests.Models;

/// <summary>Folders that are no checkpoint, configurations that Tern does not run, and damaged ones: one sentence that names file and field.</summary>
public sealed class CheckpointRefusalTests : IDisposable
{
    private readonly TempFolder _folder = new();

    /// <summary>JSON in place of a field of a good configuration of llama; empty removes it.</summary>
    public static TheoryData<string, string, string> Fields => new()
    {
        { "architectures", "[\"WarpForCausalLM\"]", "UNSUPPORTED" },
        { "architectures", "[]", "UNSUPPORTED" },
        { "architectures", "\"LlamaForCausalLM\"", "SEMANTIC" },
        { "hidden_act", "\"gelu\"", "UNSUPPORTED" },
        { "hidden_act", "", "SEMANTIC" },
        { "hidden_size", "0", "SEMANTIC" },
        { "hidden_size", "-128", "SEMANTIC" },
        { "hidden_size", "128.0", "SEMANTIC" },
        { "hidden_size", "1e30", "SEMANTIC" },
        { "hidden_size", "\"128\"", "SEMANTIC" },
        { "hidden_size", "", "SEMANTIC" },
        { "hidden_size", "256", "SEMANTIC" },
        { "num_hidden_layers", "4294967296", "SEMANTIC" },
        { "num_hidden_layers", "3", "SEMANTIC" },
        { "num_attention_heads", "0", "SEMANTIC" },
        { "num_key_value_heads", "3", "SEMANTIC" },
        { "head_dim", "31", "SEMANTIC" },
        { "head_dim", "48", "SEMANTIC" },
        { "rms_norm_eps", "0.5", "SEMANTIC" },
        { "rms_norm_eps", "1e-60", "SEMANTIC" },
        { "rope_theta", "0", "SEMANTIC" },
        { "rope_theta", "1e60", "SEMANTIC" },
        { "rope_scaling", "{\"rope_type\":\"longrope\",\"factor\":2}", "UNSUPPORTED" },
        { "rope_scaling", "{\"type\":\"dynamic\",\"factor\":2}", "UNSUPPORTED" },
        { "rope_scaling", "{\"rope_type\":\"linear\"}", "SEMANTIC" },
        { "rope_scaling", "{\"rope_type\":\"llama3\",\"factor\":2,\"low_freq_factor\":4,\"high_freq_factor\":1,\"original_max_position_embeddings\":16}", "SEMANTIC" },
        { "rope_scaling", "3", "SEMANTIC" },
        { "vocab_size", "299", "SEMANTIC" },
        { "vocab_size", "", "SEMANTIC" },
        { "attention_bias", "true", "UNSUPPORTED" },
        { "mlp_bias", "true", "UNSUPPORTED" },
        { "num_local_experts", "8", "UNSUPPORTED" },
        { "sliding_window", "32", "UNSUPPORTED" },
        { "tie_word_embeddings", "\"no\"", "SEMANTIC" },
        { "quantization_config", "{\"quant_method\":\"gptq\"}", "UNSUPPORTED" },
        { "quantization_config", "{\"bits\":4}", "SEMANTIC" },
        { "quantization_config", "{\"quant_method\":\"bitnet\",\"linear_class\":\"other\"}", "UNSUPPORTED" },
        { "quantization_config", "{\"quant_method\":\"bitnet\",\"quantization_mode\":\"sometimes\"}", "UNSUPPORTED" },
        { "quantization_config", "{\"quant_method\":\"bitnet\",\"modules_to_not_convert\":[1]}", "SEMANTIC" },
    };

    public void Dispose() => _folder.Dispose();

    [Theory]
    [MemberData(nameof(Fields))]
    public void A_field_that_cannot_be_is_named(string field, string json, string kind)
    {
        var tiny = new TinyCheckpoint("llama", LinearForm.Dense, TensorType.BF16);
        if (json.Length == 0)
            tiny.Config.Remove(field);
        else
            tiny.Config[field] = JsonNode.Parse(json);
        tiny.WriteFolder(_folder.Path);
        TernException error = Refusal(_folder.Path);
        Assert.Equal(kind, error.Kind.ToString().ToUpperInvariant());
        Assert.StartsWith(_folder.Path, error.Message, StringComparison.Ordinal);

        // What contradicts the tensors is said of them.
        string expected = (field, json) is ("hidden_size", "256") or ("num_hidden_layers", "3") or ("head_dim", "48") ? "tensor" : field;
        Assert.Contains(expected is "rope_scaling" or "quantization_config" && json[0] == '{' ? expected + "." : expected, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_period_of_windows_that_is_none_is_refused()
    {
        var tiny = new TinyCheckpoint("gemma3", LinearForm.Dense, TensorType.BF16);
        tiny.Config["sliding_window"] = 8;
        tiny.Config["layer_types"] = new JsonArray("full_attention", "sliding_attention");
        tiny.WriteFolder(_folder.Path);
        Assert.Contains("'layer_types'", Refusal(_folder.Path).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("{", "FORMAT")]
    [InlineData("[]", "FORMAT")]
    [InlineData("", "FORMAT")]
    [InlineData("{\"a\":1,\"a\":2}", "FORMAT")]
    [InlineData("{\"\\ud800\":1}", "FORMAT")]
    [InlineData("{}", "SEMANTIC")]
    public void A_configuration_that_is_none_is_refused(string json, string kind)
    {
        string path = _folder.Write("config.json", Encoding.UTF8.GetBytes(json));
        TernException error = Refusal(_folder.Path);
        Assert.Equal(kind, error.Kind.ToString().ToUpperInvariant());
        Assert.StartsWith(path, error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("model.gguf", "FILE", "'model.gguf'")]
    [InlineData("pytorch_model.bin", "UNSUPPORTED", "pickles are programs")]
    [InlineData("model.safetensors", "FILE", "no config.json")]
    [InlineData("notes.txt", "FILE", "nor any other file of a model")]
    public void A_folder_that_is_no_checkpoint_says_what_it_holds(string file, string kind, string what)
    {
        _folder.Write(file, [1]);
        TernException error = Refusal(_folder.Path);
        Assert.Equal(kind, error.Kind.ToString().ToUpperInvariant());
        Assert.StartsWith(_folder.Path, error.Message, StringComparison.Ordinal);
        Assert.Contains(what, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Pickled_weights_beside_a_configuration_are_refused()
    {
        new TinyCheckpoint("llama", LinearForm.Dense, TensorType.BF16).WriteFolder(_folder.Path);
        File.Move(_folder.File("model.safetensors"), _folder.File("pytorch_model.bin"));
        TernException error = Refusal(_folder.Path);
        Assert.Equal(ErrorKind.Unsupported, error.Kind);
        Assert.Contains("pytorch_model.bin", error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(false, "no config.json beside it")]
    [InlineData(true, "is not the model of the config.json beside it")]
    public void Weights_that_are_no_part_of_a_checkpoint_are_refused(bool withConfig, string what)
    {
        if (withConfig)
            new TinyCheckpoint("llama", LinearForm.Dense, TensorType.BF16).WriteFolder(_folder.Path);
        string path = _folder.Write("adapter.safetensors", SafetensorsImage.Small().Build());
        TernException error = Refusal(path);
        Assert.Equal(ErrorKind.Unsupported, error.Kind);
        Assert.StartsWith(path, error.Message, StringComparison.Ordinal);
        Assert.Contains(what, error.Message, StringComparison.Ordinal);

        File.WriteAllBytes(path, SafetensorsImage.Small().Build()[..^1]);
        Assert.Equal(ErrorKind.Format, Refusal(path).Kind);
    }

    [Fact]
    public void No_file_of_a_strangers_folder_leads_out_of_it_or_never_ends()
    {
        if (!OperatingSystem.IsLinux())
            return; // devices and pipes have other names elsewhere

        foreach ((string name, string? target) in new (string, string?)[]
        {
            (Path.Combine("additional_chat_templates", "x.jinja"), "/etc/hostname"), (Path.Combine("additional_chat_templates", "x.jinja"), "/dev/zero"),
            ("additional_chat_templates", "/etc"), (Path.Combine("1_Pooling", "config.json"), "/dev/zero"), ("chat_template.jinja", null), ("generation_config.json", null),
        })
        {
            using var folder = new TempFolder();
            string home = Path.Combine(folder.Path, "model"), path = Path.Combine(home, name);
            new TinyCheckpoint("llama", LinearForm.Dense, TensorType.BF16).WriteFolder(home);
            Directory.CreateDirectory(Path.GetDirectoryName(path)!);
            File.Delete(path);
            if (name.StartsWith("additional", StringComparison.Ordinal))
                File.WriteAllText(Path.Combine(home, "chat_template.jinja"), "{{ 1 }}");
            if (target == "/etc")
            {
                string outside = Path.Combine(folder.Path, "outside");
                Directory.CreateDirectory(outside);
                File.WriteAllText(Path.Combine(outside, "x.jinja"), "secret");
                Directory.CreateSymbolicLink(path, outside);
            }
            else if (target is not null)
                File.CreateSymbolicLink(path, target);
            else
                System.Diagnostics.Process.Start("mkfifo", path).WaitForExit();

            TernException error = Refusal(home);
            Assert.Equal(ErrorKind.Format, error.Kind);
            Assert.StartsWith(path, error.Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void A_link_of_the_tokenizer_does_not_lead_out()
    {
        if (OperatingSystem.IsWindows())
            return; // where links need rights that tests do not have

        string home = _folder.File("home"), outside = _folder.Write("tokenizer_config.json", "{}"u8.ToArray());
        new TinyCheckpoint("llama", LinearForm.Dense, TensorType.BF16).WriteFolder(home);
        string link = Path.Combine(home, "special_tokens_map.json");
        File.CreateSymbolicLink(link, outside);
        Assert.StartsWith(link, Refusal(home).Message, StringComparison.Ordinal);
    }

    public static TheoryData<string, string, string, string, string> Tensors => new()
    {
        // the tensor; its new name, type or shape; the kind; what the message names
        { "model.layers.1.mlp.up_proj.weight", "name", "model.layers.1.mlp.upp_proj.weight", "SEMANTIC", "'model.layers.1.mlp.up_proj.weight'" },
        { "model.layers.1.mlp.up_proj.weight_scale", "name", "model.layers.1.mlp.up_proj.weight_scales", "SEMANTIC", "'model.layers.1.mlp.up_proj.weight_scale'" },
        { "model.layers.1.input_layernorm.weight", "name", "model.layers.0.mlp.up_proj.bias", "UNSUPPORTED", "biases" },
        { "model.layers.1.input_layernorm.weight", "name", "layers.0.input_layernorm.weight", "FORMAT", "twice" },
        { "model.layers.1.input_layernorm.weight", "type", "I16", "UNSUPPORTED", "I16" },
        { "model.layers.1.mlp.up_proj.weight", "type", "I8", "UNSUPPORTED", "packed U8" },
        { "model.layers.1.mlp.up_proj.weight", "type", "F8_E4M3", "UNSUPPORTED", "F8_E4M3" },
        { "model.layers.1.mlp.up_proj.weight", "shape", "8192", "SEMANTIC", "[8192]" },
        { "model.layers.1.mlp.up_proj.weight", "shape", "2,64,64", "SEMANTIC", "[2, 64, 64]" },
        { "model.layers.1.mlp.up_proj.weight", "shape", "128,64", "SEMANTIC", "blk.1.ffn_up.weight" },
        { "model.layers.1.self_attn.q_proj.weight", "shape", "4,1024", "SEMANTIC", "16 rows" },
        { "model.embed_tokens.weight", "shape", "150,256", "SEMANTIC", "vocab_size" },
    };

    [Theory]
    [MemberData(nameof(Tensors))]
    public void A_tensor_that_cannot_be_is_named(string tensor, string what, string value, string kind, string named)
    {
        new TinyCheckpoint("llama", LinearForm.Multiply, TensorType.BF16).WriteFolder(_folder.Path);
        string path = _folder.File("model.safetensors");
        byte[] file = File.ReadAllBytes(path);
        int headerBytes = (int)BitConverter.ToUInt64(file);
        JsonObject header = JsonNode.Parse(file.AsSpan(8, headerBytes))!.AsObject();
        JsonObject entry = header[tensor]!.AsObject();
        header.Remove(tensor);
        if (what == "type")
            entry["dtype"] = value;
        else if (what == "shape")
            entry["shape"] = JsonNode.Parse($"[{value}]");
        header[what == "name" ? value : tensor] = entry;
        byte[] text = Encoding.UTF8.GetBytes(header.ToJsonString());
        File.WriteAllBytes(path, [.. BitConverter.GetBytes((ulong)text.Length), .. text, .. file[(8 + headerBytes)..]]);
        TernException error = Refusal(_folder.Path);
        Assert.Equal(kind, error.Kind.ToString().ToUpperInvariant());
        Assert.StartsWith(_folder.Path, error.Message, StringComparison.Ordinal);
        Assert.Contains(named, error.Message, StringComparison.Ordinal);
    }

    /// <summary>Seeded damage to config.json: the model loads or is refused.</summary>
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public void Damaged_configurations_load_or_are_refused(int seed)
    {
        var tiny = new TinyCheckpoint("llama", LinearForm.Multiply, TensorType.BF16);
        tiny.Config["rope_scaling"] = new JsonObject { ["rope_type"] = "yarn", ["factor"] = 4.0, ["original_max_position_embeddings"] = 16 };
        tiny.WriteFolder(_folder.Path);
        string path = _folder.File("config.json");
        byte[] good = File.ReadAllBytes(path);
        var random = new Random(seed);
        int loaded = 0;
        const int count = 400;
        for (int i = 0; i < count; i++)
        {
            File.WriteAllBytes(path, random.Next(2) == 0 ? WithValue(good, random) : WithBytes(good, random));
            try
            {
                Model.Load(_folder.Path, new ModelOptions { Threads = 1 }).Dispose();
                loaded++;
            }
            catch (TernException e)
            {
                Assert.StartsWith(_folder.Path, e.Message, StringComparison.Ordinal);
                Assert.DoesNotContain('\n', e.Message);
            }
        }

        Assert.InRange(loaded, count / 50, count * 9 / 10);
    }

    private static byte[] WithValue(byte[] good, Random random)
    {
        JsonObject config = JsonNode.Parse(good)!.AsObject();
        string[] values = ["null", "0", "-1", "1", "2", "1.5", "1e308", "9223372036854775807", "1e400", "true", "false", "\"\"", "\"relu2\"", "[]", "[1]", "[\"x\"]", "{}", "{\"rope_type\":\"linear\",\"factor\":0}", "{\"quant_method\":\"bitnet\"}"];
        JsonObject at = random.Next(4) == 0 ? config[random.Next(2) == 0 ? "rope_scaling" : "quantization_config"]!.AsObject() : config;
        at[at.ElementAt(random.Next(at.Count)).Key] = JsonNode.Parse(values[random.Next(values.Length)]);
        return Encoding.UTF8.GetBytes(config.ToJsonString());
    }

    private static byte[] WithBytes(byte[] good, Random random)
    {
        byte[] bytes = [.. good];
        if (random.Next(8) == 0)
            return bytes[..random.Next(bytes.Length)];
        for (int n = random.Next(1, 3); n > 0; n--)
            bytes[random.Next(bytes.Length)] = random.Next(2) == 0 ? (byte)random.Next(256) : (byte)"0123456789{}[],:\" -e."[random.Next(21)];
        return bytes;
    }

    private static TernException Refusal(string path) =>
        Assert.Throws<TernException>(() => Model.Load(path, new ModelOptions { Threads = 1 }).Dispose());
}
