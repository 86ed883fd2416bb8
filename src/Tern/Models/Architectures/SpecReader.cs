using Tern.Files;
using Tern.Kernels;
using Tern.Numerics;

namespace Tern.Models.Architectures;

/// <summary>Reads the keys <c>ARCHITECTURE.*</c> with their ranges; every refusal names the key.</summary>
internal sealed class SpecReader(string architecture, Metadata metadata, IReadOnlyDictionary<string, Tensor> tensors, Action<string> warn)
{
    // Bounds of what any model of the field comes near; they keep products of dimensions far from overflow.
    internal const int LayersMax = 1024;
    internal const int SizeMax = 1 << 20;
    internal const int HeadsMax = 1 << 12;
    internal const int ContextMax = 1 << 24;
    internal const int VocabularyMax = 1 << 22;

    /// <summary>GGUF's number for pooling by the last token.</summary>
    internal const uint PoolingLast = 3;

    public Metadata Metadata => metadata;

    /// <summary>Says in one line what had to be assumed.</summary>
    public Action<string> Warn => warn;

    /// <summary>Whether the file holds a tensor.</summary>
    public bool Has(string tensor) => tensors.ContainsKey(tensor);

    /// <summary>The full name of an architecture's key.</summary>
    public string Key(string name) => $"{architecture}.{name}";

    /// <summary>A required integer.</summary>
    public int Integer(string name, int minimum, int maximum) =>
        OptionalInteger(name, minimum, maximum) ?? throw metadata.Missing(Key(name), "the file is incomplete: convert the checkpoint again");

    public int? OptionalInteger(string name, int minimum, int maximum) => (int?)metadata.Integer(Key(name), minimum, maximum);

    /// <summary>A number greater than zero, or the given default.</summary>
    public double Positive(string name, double otherwise)
    {
        if (metadata.Number(Key(name)) is not { } value)
            return otherwise;
        return value > 0 ? value : throw metadata.Semantic(metadata.Find(Key(name))!, $"{value} must be greater than 0");
    }

    /// <summary>What all architectures have in common.</summary>
    public ModelSpec Common(GateFunction activation, RopeStyle style)
    {
        int hidden = Integer("embedding_length", 1, SizeMax);
        int heads = Integer("attention.head_count", 1, HeadsMax);
        int kvHeads = OptionalInteger("attention.head_count_kv", 1, HeadsMax) ?? heads;
        if (heads % kvHeads != 0)
            throw Wrong("attention.head_count_kv", $"{kvHeads} key heads do not divide {heads} query heads");

        int headDim = HeadDim(hidden, heads);
        int context = Integer("context_length", 1, ContextMax);
        double epsilon = metadata.Number(Key("attention.layer_norm_rms_epsilon"))
            ?? throw metadata.Missing(Key("attention.layer_norm_rms_epsilon"), "the file is incomplete: convert the checkpoint again");
        if (epsilon is < 0 or > 0.1)
            throw Wrong("attention.layer_norm_rms_epsilon", $"{epsilon} is outside [0, 0.1]");

        return new ModelSpec
        {
            Architecture = architecture,
            VocabularySize = Vocabulary(),
            ContextLength = context,
            HiddenSize = hidden,
            FeedForwardSize = Integer("feed_forward_length", 1, SizeMax),
            Layers = Integer("block_count", 1, LayersMax),
            Heads = heads,
            KvHeads = kvHeads,
            HeadDim = headDim,
            NormEpsilon = (float)epsilon,
            Activation = activation,
            Rope = Rope(style, headDim, context),
            TiedEmbeddings = !Has("output.weight"),
            HasInputNorms = Has("blk.0.attn_q_norm_in.weight"),
            Pooling = ReadPooling(),
        };
    }

    private int HeadDim(int hidden, int heads)
    {
        if (OptionalInteger("attention.key_length", 2, SizeMax) is { } keyLength)
        {
            if (OptionalInteger("attention.value_length", 1, SizeMax) is { } valueLength && valueLength != keyLength)
                throw Unsupported("attention.value_length", $"values of {valueLength} dimensions beside keys of {keyLength} are not supported", "no known 1-bit model has them: use another model");
            return keyLength % 2 == 0 ? keyLength : throw Wrong("attention.key_length", $"{keyLength} must be even");
        }

        if (hidden % heads != 0 || hidden / heads % 2 != 0)
            throw Wrong("attention.head_count", $"{heads} heads do not divide the embedding length {hidden} into even parts; '{Key("attention.key_length")}' would have to say the head size");
        return hidden / heads;
    }

    private int Vocabulary()
    {
        if (!tensors.TryGetValue("token_embd.weight", out Tensor? embedding))
            throw FileError.Whole(ErrorKind.Semantic, metadata.Path, "tensor 'token_embd.weight'", "is missing", "the file holds no weights, perhaps a vocabulary only: take the model's own file");
        if (embedding.Rows is < 1 or > VocabularyMax)
            throw embedding.Error(ErrorKind.Semantic, 0, $"{embedding.Rows} rows, must be 1 to {VocabularyMax}");

        int rows = (int)embedding.Rows;
        if (OptionalInteger("vocab_size", 1, VocabularyMax) is { } declared && declared != rows)
            throw Wrong("vocab_size", $"{declared} tokens, but tensor 'token_embd.weight' has {rows} rows");
        if (metadata.Find("tokenizer.ggml.tokens")?.Value is StringTable tokens && tokens.Count > rows)
            throw metadata.Semantic(metadata.Find("tokenizer.ggml.tokens")!, $"{tokens.Count} tokens, but tensor 'token_embd.weight' has {rows} rows");
        return rows;
    }

    private RopeSpec Rope(RopeStyle style, int headDim, int context)
    {
        int dimensions = OptionalInteger("rope.dimension_count", 2, SizeMax) ?? headDim;
        if (dimensions > headDim || dimensions % 2 != 0)
            throw Wrong("rope.dimension_count", $"{dimensions} must be even and at most the head size {headDim}");

        var rope = new RopeSpec { Style = style, Dimensions = dimensions, Base = Positive("rope.freq_base", 10_000) };
        string scaling = metadata.String(Key("rope.scaling.type")) ?? "none";
        double factor = Positive("rope.scaling.factor", 1);
        return scaling switch
        {
            "none" => rope,
            "linear" => rope with { Scaling = RopeScaling.Linear, Factor = factor },
            "yarn" => rope with
            {
                Scaling = RopeScaling.Yarn,
                Factor = factor,
                OriginalContextLength = OptionalInteger("rope.scaling.original_context_length", 1, ContextMax) ?? context,
                BetaFast = Positive("rope.scaling.yarn_beta_fast", 32),
                BetaSlow = Positive("rope.scaling.yarn_beta_slow", 1),
                AttentionFactor = Positive("rope.scaling.attn_factor", 1),
            },
            _ => throw Unsupported("rope.scaling.type", $"{FileError.Quote(scaling)} is not supported", "known are none, linear, yarn"),
        };
    }

    private Pooling ReadPooling() => OptionalInteger("pooling_type", 0, 4) switch
    {
        null or 0 => Pooling.None,
        (int)PoolingLast => Pooling.Last,
        { } other => throw Unsupported("pooling_type", $"{other} is not supported", "known are 0 (none) and 3 (last token)"),
    };

    private TernException Wrong(string name, string what) =>
        metadata.Find(Key(name)) is { } entry
            ? metadata.Semantic(entry, what)
            : FileError.Whole(ErrorKind.Semantic, metadata.Path, $"key '{Key(name)}'", what, "the file does not describe a model: take it from another source or convert it again");

    /// <summary>An error about a value that is well-formed, but not something that Tern runs.</summary>
    public TernException Unsupported(string name, string what, string remedy) =>
        FileError.At(ErrorKind.Unsupported, metadata.Path, metadata.Find(Key(name))?.Offset ?? 0, $"key '{Key(name)}'", what, remedy);
}
