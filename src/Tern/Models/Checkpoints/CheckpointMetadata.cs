using System.Globalization;
using Tern.Files;
using Tern.Models.Architectures;

namespace Tern.Models.Checkpoints;

/// <summary>Turns <c>config.json</c> into the keys that a GGUF file of the same model carries.</summary>
internal static class CheckpointMetadata
{
    private const string Causal = "ForCausalLM";

    /// <summary>The architecture that a checkpoint becomes: by the class that wrote it and the activation of its feed-forward blocks.</summary>
    /// <exception cref="TernException">None that Tern runs; the error lists those it does.</exception>
    public static Architecture ArchitectureOf(CheckpointConfig config)
    {
        string field = config.Has("architectures") ? "architectures" : "model_type";
        string name = (field == "model_type" ? config.String(field) : config.Strings(field)!.FirstOrDefault("")) ?? throw config.Missing("architectures");
        Architecture[] known = [.. Architecture.All.Where(a => a.Checkpoint is not null)];
        Architecture[] named =
        [
            .. known.Where(a => (field == "model_type" ? a.Checkpoint!.ModelTypes : a.Checkpoint!.Classes)
                .Any(c => c.Equals(name, StringComparison.OrdinalIgnoreCase))),
        ];
        if (named.Length == 0)
            throw config.Unsupported(field, $"{FileError.Quote(name)} is not supported", $"known are {string.Join(", ", known.SelectMany(a => a.Checkpoint!.Classes))}");

        string activationField = config.Has("hidden_activation") ? "hidden_activation" : "hidden_act";
        string activation = config.String(activationField) ?? throw config.Missing("hidden_act");
        return Array.Find(named, a => a.Checkpoint!.Activations.Contains(activation))
            ?? throw config.Unsupported(activationField, $"{FileError.Quote(activation)} is not supported in {name}", $"known are {string.Join(", ", named.SelectMany(a => a.Checkpoint!.Activations))}");
    }

    /// <summary>Writes the keys <c>general.*</c> and those of the architecture.</summary>
    /// <param name="config">The configuration.</param>
    /// <param name="architecture">What the checkpoint becomes.</param>
    /// <param name="folder">The checkpoint.</param>
    /// <param name="metadata">Receives the keys.</param>
    /// <returns>Divisors of rotary frequencies, or null: GGUF has them as a tensor.</returns>
    public static float[]? Write(CheckpointConfig config, Architecture architecture, string folder, Metadata metadata)
    {
        RefuseStrangers(config);
        int hidden = config.Integer("hidden_size", 1, SpecReader.SizeMax);
        int heads = config.Integer("num_attention_heads", 1, SpecReader.HeadsMax);
        int headSize = HeadSize(config, architecture.Checkpoint!);
        metadata.Set("general.architecture", architecture.Name);
        metadata.Set("general.name", NameOf(folder));
        Set("vocab_size", config.Integer("vocab_size", 1, SpecReader.VocabularyMax));
        Set("context_length", config.Integer("max_position_embeddings", 1, SpecReader.ContextMax));
        Set("embedding_length", hidden);
        Set("block_count", config.Integer("num_hidden_layers", 1, SpecReader.LayersMax));
        Set("feed_forward_length", config.Integer("intermediate_size", 1, SpecReader.SizeMax));
        Set("attention.head_count", heads);
        Set("attention.head_count_kv", KeyHeads(config, heads));
        double epsilon = config.Positive("rms_norm_eps") ?? throw config.Missing("rms_norm_eps");
        if (epsilon > 0.1)
            throw config.Wrong("rms_norm_eps", string.Create(CultureInfo.InvariantCulture, $"{epsilon} is above 0.1"));
        metadata.Set($"{architecture.Name}.attention.layer_norm_rms_epsilon", (float)epsilon);
        if (architecture.Checkpoint!.SaysHeadSize || (long)headSize * heads != hidden)
        {
            Set("attention.key_length", headSize);
            Set("attention.value_length", headSize);
        }

        float[]? divisors = RopeConfig.Read(config, architecture.Name, headSize, architecture.Checkpoint.RopeBaseDefault, metadata);
        architecture.Checkpoint.ReadMore?.Invoke(config, metadata);
        return divisors;

        void Set(string key, int value) => metadata.Set($"{architecture.Name}.{key}", (uint)value);
    }

    /// <summary>
    /// How an embedding model pools: what the files of sentence-transformers beside it say, else by the last token, which is what the BitNet
    /// embedding models do. Null for a model that predicts tokens.
    /// </summary>
    /// <param name="config">The configuration.</param>
    /// <param name="folder">The checkpoint.</param>
    /// <param name="isBody">The checkpoint holds a model without output matrix.</param>
    public static uint? PoolingOf(CheckpointConfig config, string folder, bool isBody)
    {
        const string lastToken = "pooling_mode_lasttoken";
        if (CheckpointConfig.Find(folder, Path.Combine("1_Pooling", "config.json")) is { } pooling)
        {
            return pooling.Boolean(lastToken) == true
                ? SpecReader.PoolingLast
                : throw pooling.Unsupported(lastToken, "is not true", "known is pooling by the last token");
        }

        return isBody || config.Strings("architectures") is [string name, ..] && !name.EndsWith(Causal, StringComparison.OrdinalIgnoreCase) ? SpecReader.PoolingLast : null;
    }

    private static void RefuseStrangers(CheckpointConfig config)
    {
        config.RequireOff("attention_bias", "linear layers with biases");
        config.RequireOff("mlp_bias", "linear layers with biases");
        if (config.OptionalInteger("num_local_experts", 0, int.MaxValue) > 1)
            throw config.Unsupported("num_local_experts", "is above 1: mixtures of experts are not supported", "use a dense model");
    }

    private static int KeyHeads(CheckpointConfig config, int heads)
    {
        const string field = "num_key_value_heads";
        int keyHeads = config.OptionalInteger(field, 1, SpecReader.HeadsMax) ?? heads;
        return heads % keyHeads == 0 ? keyHeads : throw config.Wrong(field, $"{keyHeads} key heads do not divide {heads} query heads");
    }

    private static int HeadSize(CheckpointConfig config, CheckpointFamily family)
    {
        const string field = "head_dim";
        int hidden = config.Integer("hidden_size", 1, SpecReader.SizeMax), heads = config.Integer("num_attention_heads", 1, SpecReader.HeadsMax);
        if ((config.OptionalInteger(field, 2, SpecReader.SizeMax) ?? (family.HeadSizeDefault > 0 ? family.HeadSizeDefault : null)) is { } said)
            return said % 2 == 0 && (long)said * heads <= SpecReader.SizeMax ? said : throw config.Wrong(field, $"{said} must be even, and with {heads} heads at most {SpecReader.SizeMax} together");
        return hidden % heads == 0 && hidden / heads % 2 == 0
            ? hidden / heads
            : throw config.Wrong("num_attention_heads", $"{heads} heads do not divide hidden_size {hidden} into even parts, and head_dim is missing");
    }

    /// <summary>The name of the folder; in the cache of Hugging Face, whose folders are named by commits, the name of the model.</summary>
    private static string NameOf(string folder)
    {
        string full = Path.TrimEndingDirectorySeparator(Path.GetFullPath(folder));
        string[] parts = full.Split(Path.DirectorySeparatorChar);
        return parts is [.., string model, "snapshots", _] && model.StartsWith("models--", StringComparison.Ordinal)
            ? model.Split("--")[^1]
            : parts[^1];
    }
}
