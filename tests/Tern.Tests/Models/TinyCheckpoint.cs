using System.Runtime.InteropServices;
using System.Text.Json.Nodes;
using Tern.Files;
using Tern.Models.Checkpoints;
using Tern.Numerics;
using Tern.Tests.Files;
using Tern.Tests.Text;

namespace Tern.Tests.Models;

/// <summary>How the linear layers of a checkpoint lie in its files.</summary>
internal enum LinearForm
{
    /// <summary>Packed codes, and a scale that multiplies.</summary>
    Multiply,

    /// <summary>Packed codes, and a scale that divides.</summary>
    Divide,

    /// <summary>Floats that are rounded to ternary weights at load.</summary>
    Master,

    /// <summary>Floats that stay floats.</summary>
    Dense,
}

/// <summary>
/// A small random model that is written twice, as a GGUF file and as a Hugging Face folder, by code that shares nothing with the code under test
/// but the tables of names.
/// </summary>
internal sealed class TinyCheckpoint
{
    private const int Layers = 2, Hidden = 128, Wide = 256, Heads = 4, KeyHeads = 2, Vocabulary = 300;

    private readonly CheckpointFamily _family;
    private readonly List<(TensorName Name, int Layer, int Rows, int Columns, float[] Floats, float Scale)> _weights = [];

    /// <param name="architecture">Value of general.architecture.</param>
    /// <param name="form">How linear layers lie in the folder.</param>
    /// <param name="type">F32, F16 or BF16: what floats there are.</param>
    /// <param name="inputNorms">A norm in front of every linear layer, and no output matrix: an embedding model.</param>
    /// <param name="headSize">Rows of a head.</param>
    public TinyCheckpoint(string architecture, LinearForm form, TensorType type, bool inputNorms = false, int headSize = 32)
    {
        (Architecture, Form, Type, IsEmbedding, HeadSize) = (architecture, form, type, inputNorms, headSize);
        _family = Tern.Models.Architectures.Architecture.All.First(a => a.Name == architecture).Checkpoint!;
        IsTied = inputNorms || architecture is "bitnet-b1.58" or "gemma3";
        var random = new Random(17);
        foreach (TensorName name in _family.Tensors.Concat(inputNorms ? TensorName.InputNorms : []))
        {
            if (name.Gguf == "output" && IsTied)
                continue;
            for (int layer = name.IsInLayers ? 0 : -1; layer < (name.IsInLayers ? Layers : 0); layer++)
            {
                (int rows, int columns) = ShapeOf(name.Gguf);
                (float[] floats, float scale) = Random(name, rows * columns, random);
                _weights.Add((name, layer, rows, columns, floats, scale));
            }
        }

        Config = MakeConfig();
    }

    public string Architecture { get; }

    public LinearForm Form { get; }

    public TensorType Type { get; }

    public bool IsEmbedding { get; }

    public bool IsTied { get; }

    public int HeadSize { get; }

    /// <summary>What config.json will hold.</summary>
    public JsonObject Config { get; }

    /// <summary>Further keys for the GGUF file.</summary>
    public Dictionary<string, object> Keys { get; } = [];

    /// <summary>Further tensors for the GGUF file.</summary>
    public List<TensorSource> MoreTensors { get; } = [];

    /// <summary>Use the second names of tensors that have one.</summary>
    public bool UsesAliases { get; init; }

    /// <summary>In front of the names in the folder, but for the output matrix's.</summary>
    public string Prefix { get; init; } = "model.";

    /// <summary>Writes the model as GGUF.</summary>
    public void WriteGguf(string path)
    {
        var metadata = new Metadata(path);
        metadata.Set("general.architecture", Architecture);
        foreach ((string key, int value) in ((string, int)[])
            [
                ("context_length", 64), ("embedding_length", Hidden), ("feed_forward_length", Wide), ("block_count", Layers),
                ("attention.head_count", Heads), ("attention.head_count_kv", KeyHeads), ("attention.key_length", HeadSize), ("attention.value_length", HeadSize),
            ])
            metadata.Set($"{Architecture}.{key}", (uint)value);
        metadata.Set($"{Architecture}.attention.layer_norm_rms_epsilon", 1e-5f);
        metadata.Set($"{Architecture}.rope.freq_base", 20000f);
        if (IsEmbedding)
            metadata.Set($"{Architecture}.pooling_type", 3u);
        if (Architecture == "bitnet")
            metadata.Set("bitnet.hidden_activation", "silu");
        foreach ((string key, object value) in Keys)
            metadata.Set($"{Architecture}.{key}", value);
        foreach (MetadataEntry entry in Vocabularies.BytePair([], [.. Enumerable.Range(0, Vocabulary - 256).Select(i => ($"<{i}>", Tern.Text.TokenKind.Control))]).Entries)
            metadata.TryAdd(entry);
        GgufWriter.Write(path, metadata, [.. _weights.Select(Source), .. MoreTensors]);
    }

    /// <summary>Writes the model as a folder, its weights in one file or more.</summary>
    public void WriteFolder(string folder, int shards = 1)
    {
        Directory.CreateDirectory(folder);
        File.WriteAllText(Path.Combine(folder, "config.json"), Config.ToJsonString());
        File.WriteAllText(Path.Combine(folder, "tokenizer.json"), MakeTokenizer().ToJsonString());
        File.WriteAllText(Path.Combine(folder, "tokenizer_config.json"), """{"eos_token":"<0>"}""");
        SafetensorsImage.Entry[] entries = [.. _weights.SelectMany(Entries)];
        if (shards == 1)
        {
            Write("model.safetensors", entries);
            return;
        }

        var map = new JsonObject();
        for (int shard = 0; shard < shards; shard++)
        {
            string name = $"model-{shard + 1:D5}-of-{shards:D5}.safetensors";
            SafetensorsImage.Entry[] part = [.. entries.Where((_, i) => i % shards == shard)];
            Write(name, part);
            foreach (SafetensorsImage.Entry entry in part)
                map[entry.Name] = name;
        }

        File.WriteAllText(Path.Combine(folder, "model.safetensors.index.json"), new JsonObject { ["metadata"] = new JsonObject(), ["weight_map"] = map }.ToJsonString());

        void Write(string name, IEnumerable<SafetensorsImage.Entry> part)
        {
            var image = new SafetensorsImage();
            image.Entries.AddRange(part);
            File.WriteAllBytes(Path.Combine(folder, name), image.Build());
        }
    }

    private static bool IsLinear(TensorName name) => name.Role is TensorRole.Linear or TensorRole.Query or TensorRole.Key;

    private static bool IsTernary(LinearForm form) => form != LinearForm.Dense;

    private (int Rows, int Columns) ShapeOf(string name) => name.Replace("_norm_in", "", StringComparison.Ordinal) is var of && name != of
        ? (1, ShapeOf(of).Columns)
        : name switch
        {
            "token_embd" or "output" => (Vocabulary, Hidden),
            "attn_q" => (Heads * HeadSize, Hidden),
            "attn_k" or "attn_v" => (KeyHeads * HeadSize, Hidden),
            "attn_output" => (Hidden, Heads * HeadSize),
            "ffn_gate" or "ffn_up" => (Wide, Hidden),
            "ffn_down" => (Hidden, Wide),
            "attn_q_norm" or "attn_k_norm" => (1, HeadSize),
            "attn_sub_norm" => (1, Heads * HeadSize),
            "ffn_sub_norm" => (1, Wide),
            _ => (1, Hidden),
        };

    /// <summary>
    /// Weights in the order of GGUF. Norms are 1 + k/64 and so exact in every float, with and without the 1; ternary weights are what a float32
    /// makes of code times scale; master weights are random.
    /// </summary>
    private (float[] Floats, float Scale) Random(TensorName name, int count, Random random)
    {
        float[] floats = new float[count];
        if (name.Role is TensorRole.Norm or TensorRole.InputNorm)
        {
            for (int i = 0; i < count; i++)
                floats[i] = 1 + (random.Next(-32, 33) / 64f);
            return (floats, 0);
        }

        if (!IsLinear(name) || Form is LinearForm.Dense or LinearForm.Master)
        {
            for (int i = 0; i < count; i++)
                floats[i] = Rounded((float)((random.NextDouble() + random.NextDouble() + random.NextDouble() - 1.5) * 0.2));
            return (floats, 0);
        }

        float stored = Rounded(Form == LinearForm.Divide ? 7 + (float)random.NextDouble() : 0.1f + ((float)random.NextDouble() * 0.1f));
        float scale = Form == LinearForm.Divide ? 1 / stored : stored;
        for (int i = 0; i < count; i++)
            floats[i] = random.Next(-1, 2) * scale;
        return (floats, stored);
    }

    private float Rounded(float value)
    {
        byte[] bytes = new byte[Type.BlockBytes];
        Type.Encode([value], 1, bytes);
        return Decode(bytes)[0];
    }

    private float[] Decode(byte[] bytes) => Type == TensorType.F32
        ? [.. MemoryMarshal.Cast<byte, float>(bytes)]
        : [.. MemoryMarshal.Cast<byte, ushort>(bytes).ToArray().Select(b => Type == TensorType.F16 ? (float)BitConverter.UInt16BitsToHalf(b) : BitConverter.UInt32BitsToSingle((uint)b << 16))];

    private TensorSource Source((TensorName Name, int Layer, int Rows, int Columns, float[] Floats, float Scale) weight)
    {
        bool isLinear = IsLinear(weight.Name);
        float[] floats = isLinear && Form == LinearForm.Master ? Ternarized(weight.Floats) : weight.Floats;
        TensorType type = isLinear && IsTernary(Form) ? TensorType.I2S : weight.Rows == 1 ? TensorType.F32 : Type;
        long[] shape = weight.Rows == 1 ? [weight.Columns] : [weight.Columns, weight.Rows];
        return new TensorSource(weight.Name.InGguf(weight.Layer), type, shape, stream =>
        {
            byte[] bytes = new byte[(int)type.ByteCount((UInt128)weight.Columns, (UInt128)weight.Rows)];
            type.Encode(floats, weight.Columns, bytes);
            stream.Write(bytes);
        });
    }

    /// <summary>The definition, one weight after the other.</summary>
    private static float[] Ternarized(float[] weights)
    {
        float scale = (float)Math.Max(weights.Sum(w => (double)MathF.Abs(w)) / weights.Length, 1e-5);
        return [.. weights.Select(w => Math.Clamp(MathF.Round(w / scale, MidpointRounding.ToEven), -1, 1) * scale)];
    }

    private IEnumerable<SafetensorsImage.Entry> Entries((TensorName Name, int Layer, int Rows, int Columns, float[] Floats, float Scale) weight)
    {
        string stem = UsesAliases && weight.Name.Alias is { } alias ? alias : weight.Name.HuggingFace;
        string module = weight.Layer < 0 ? stem : $"layers.{weight.Layer}.{stem}";
        module = stem == "lm_head" ? module : Prefix + module;
        float[] floats = _family.InterleavesHeads && weight.Name.Role is TensorRole.Query or TensorRole.Key ? Halves(weight.Floats, weight.Columns) : weight.Floats;
        if (weight.Name.Role == TensorRole.Norm)
            floats = [.. floats.Select(f => f - _family.NormAddend)];
        if (!IsLinear(weight.Name) || Form is LinearForm.Dense or LinearForm.Master)
        {
            yield return new($"{module}.weight", Type.Name, weight.Rows == 1 ? [weight.Columns] : [weight.Rows, weight.Columns], Encoded(floats));
            yield break;
        }

        yield return new($"{module}.weight", "U8", [weight.Rows / 4, weight.Columns], Packed(floats, weight.Rows, weight.Columns));
        yield return new($"{module}.weight_scale", Type.Name, [1], Encoded([weight.Scale]));
    }

    /// <summary>Interleaved rows of heads, pulled apart: rows 0, 2, 4 … of a head, then 1, 3, 5 ….</summary>
    private float[] Halves(float[] interleaved, int columns)
    {
        float[][] rows = [.. interleaved.Chunk(columns)];
        return [.. rows.Chunk(HeadSize).SelectMany(head => head.Where((_, r) => r % 2 == 0).Concat(head.Where((_, r) => r % 2 == 1))).SelectMany(row => row)];
    }

    private byte[] Encoded(float[] floats)
    {
        byte[] bytes = new byte[floats.Length * Type.BlockBytes];
        Type.Encode(floats, floats.Length, bytes);
        return bytes;
    }

    private static byte[] Packed(float[] floats, int rows, int columns)
    {
        byte[] bytes = new byte[rows / 4 * columns];
        for (int row = 0; row < rows; row++)
            for (int c = 0; c < columns; c++)
                bytes[(row % (rows / 4) * columns) + c] |= (byte)((MathF.Sign(floats[(row * columns) + c]) + 1) << (2 * (row / (rows / 4))));
        return bytes;
    }

    private JsonObject MakeConfig()
    {
        string name = _family.Classes[0];
        var config = new JsonObject
        {
            ["architectures"] = new JsonArray(IsEmbedding ? name.Replace("ForCausalLM", "Model", StringComparison.Ordinal).Replace("Gemma3Model", "Gemma3TextModel", StringComparison.Ordinal) : name),
            ["model_type"] = _family.ModelTypes[0],
            [Architecture == "gemma3" ? "hidden_activation" : "hidden_act"] = _family.Activations[0],
            ["hidden_size"] = Hidden,
            ["intermediate_size"] = Wide,
            ["num_hidden_layers"] = Layers,
            ["num_attention_heads"] = Heads,
            ["num_key_value_heads"] = KeyHeads,
            ["head_dim"] = HeadSize,
            ["max_position_embeddings"] = 64,
            ["rms_norm_eps"] = 1e-5,
            ["rope_theta"] = 20000.0,
            ["vocab_size"] = Vocabulary,
            ["tie_word_embeddings"] = IsTied,
            ["attention_bias"] = false,
        };
        if (Architecture == "gemma3")
            config["query_pre_attn_scalar"] = HeadSize;
        if (Form != LinearForm.Dense)
        {
            config["quantization_config"] = new JsonObject
            {
                ["quant_method"] = "bitnet",
                ["linear_class"] = Form == LinearForm.Divide ? "bitlinear" : "autobitlinear",
                ["quantization_mode"] = Form == LinearForm.Master ? "online" : "offline",
                ["modules_to_not_convert"] = null,
            };
        }

        return config;
    }

    private static JsonObject MakeTokenizer()
    {
        var vocabulary = new JsonObject();
        for (int value = 0; value < 256; value++)
            vocabulary[Vocabularies.Spell((byte)value)] = value;
        var added = new JsonArray();
        for (int id = 256; id < Vocabulary; id++)
            added.Add(new JsonObject { ["id"] = id, ["content"] = $"<{id - 256}>", ["special"] = true, ["normalized"] = false });
        return new JsonObject
        {
            ["added_tokens"] = added,
            ["pre_tokenizer"] = new JsonObject { ["type"] = "ByteLevel", ["add_prefix_space"] = false, ["use_regex"] = true },
            ["decoder"] = new JsonObject { ["type"] = "ByteLevel" },
            ["model"] = new JsonObject { ["type"] = "BPE", ["vocab"] = vocabulary, ["merges"] = new JsonArray() },
        };
    }
}
