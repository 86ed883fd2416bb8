using System.Globalization;

namespace Tern.Training;

/// <summary>What stands between the gate and the up projection of a feed-forward block.</summary>
internal enum FeedForwardActivation
{
    /// <summary>max(gate, 0)² · up, as BitNet b1.58 2B-4T.</summary>
    SquaredRelu,

    /// <summary>silu(gate) · up, as the LLaMA family and the 1bitLLM reproductions.</summary>
    Silu,
}

/// <summary>The dimensions of a decoder-only transformer, as a paper prints them in a table. Immutable; <see cref="Validate"/> holds the ranges.</summary>
internal sealed record ModelShape
{
    /// <summary>Widths are whole panels of this many floats.</summary>
    public const int Granule = 32;

    private const int HeadGranule = 16;

    private const int SizeMax = 1 << 16;
    private const int LayersMax = 256;
    private const int VocabularyMax = 1 << 20;
    private const int ContextMax = 1 << 16;

    public required int Layers { get; init; }

    /// <summary>Width of the residual stream; a multiple of 32 (of 128 to be exported as I2_S, of 256 as TQ1_0 or TQ2_0).</summary>
    public required int Hidden { get; init; }

    public required int Heads { get; init; }

    /// <summary>Heads of keys and values; divides <see cref="Heads"/>.</summary>
    public required int KvHeads { get; init; }

    /// <summary>Dimensions of one head; a multiple of 16, and all heads together, also those of keys, a multiple of 32.</summary>
    public required int HeadDim { get; init; }

    /// <summary>Width between gate and down projection; a multiple of 32.</summary>
    public required int FeedForward { get; init; }

    /// <summary>Rows of the embedding; a multiple of 32: <see cref="WithTokens"/> fills up those of a tokenizer.</summary>
    public required int Vocabulary { get; init; }

    /// <summary>The first rows of the embedding, which are tokens; the others fill it up, and no softmax sees their logits. 0 when all are tokens.</summary>
    public int Tokens { get; init; }

    /// <summary>Longest sequence.</summary>
    public required int Context { get; init; }

    /// <summary>θ of the rotary embedding.</summary>
    public float RopeBase { get; init; } = 10_000;

    /// <summary>Epsilon of every RMS norm.</summary>
    public float Epsilon { get; init; } = 1e-5f;

    public FeedForwardActivation Activation { get; init; } = FeedForwardActivation.SquaredRelu;

    /// <summary>Learned norms in front of the output and the down projection (SubLN).</summary>
    public bool SubNorms { get; init; } = true;

    /// <summary>The embedding is the output matrix too.</summary>
    public bool TiedHead { get; init; } = true;

    /// <summary>Width of all query heads together.</summary>
    internal int QueryWidth => Heads * HeadDim;

    /// <summary>Width of all key (or value) heads together.</summary>
    internal int KeyWidth => KvHeads * HeadDim;

    /// <summary>Weights of all linear layers of all blocks, the head not included.</summary>
    internal long LinearWeights => Layers * ((long)Hidden * (2 * QueryWidth + 2 * KeyWidth) + 3L * Hidden * FeedForward);

    /// <summary>All weights: linear layers, embedding, output matrix, norms.</summary>
    internal long Parameters =>
        LinearWeights + (long)Vocabulary * Hidden * (TiedHead ? 1 : 2) + Hidden
        + Layers * (2L * Hidden + (SubNorms ? QueryWidth + FeedForward : 0));

    /// <summary>Rows of the embedding that are tokens.</summary>
    internal int TokenRows => Tokens > 0 ? Tokens : Vocabulary;

    /// <summary>This shape with an embedding of so many tokens, filled up to whole panels.</summary>
    public ModelShape WithTokens(int tokens)
    {
        const int rows = 2 * Granule;
        int padded = (tokens + rows - 1) / rows * rows;
        return this with { Vocabulary = padded, Tokens = padded == tokens ? 0 : tokens };
    }

    /// <summary>Checks every range.</summary>
    /// <param name="source">Where the shape came from, for the message.</param>
    /// <exception cref="TernException">A field is out of its range; the message names it, the value and the range.</exception>
    public void Validate(string source)
    {
        Range(nameof(Layers), Layers, 1, LayersMax);
        Granules(nameof(Hidden), Hidden, SizeMax);
        Range(nameof(Heads), Heads, 1, SizeMax);
        Range(nameof(KvHeads), KvHeads, 1, Heads);
        if (Heads % KvHeads != 0)
            throw Wrong(nameof(KvHeads), $"{KvHeads} does not divide the {Heads} heads");
        Range(nameof(HeadDim), HeadDim, HeadGranule, 512);
        if (HeadDim % HeadGranule != 0)
            throw Wrong(nameof(HeadDim), $"{HeadDim} is no multiple of {HeadGranule}");
        if (KeyWidth % Granule != 0)
            throw Wrong(nameof(KvHeads), $"{KvHeads} key heads of {HeadDim} are together no multiple of {Granule}");
        if ((long)Heads * HeadDim > SizeMax)
            throw Wrong(nameof(Heads), $"{Heads} heads of {HeadDim} are wider than {SizeMax}");
        Granules(nameof(FeedForward), FeedForward, SizeMax);
        Granules(nameof(Vocabulary), Vocabulary, VocabularyMax);
        Range(nameof(Tokens), Tokens, 0, Vocabulary);
        Range(nameof(Context), Context, 2, ContextMax);
        if (!(RopeBase is > 1 and < 1e12f))
            throw Wrong(nameof(RopeBase), string.Create(CultureInfo.InvariantCulture, $"{RopeBase} is outside (1, 1e12)"));
        if (!(Epsilon is > 0 and <= 0.1f))
            throw Wrong(nameof(Epsilon), string.Create(CultureInfo.InvariantCulture, $"{Epsilon} is outside (0, 0.1]"));
        if (!Enum.IsDefined(Activation))
            throw Wrong(nameof(Activation), $"{(int)Activation} is no known function");

        void Granules(string name, int value, int maximum)
        {
            Range(name, value, Granule, maximum);
            if (value % Granule != 0)
                throw Wrong(name, $"{value} is no multiple of {Granule}");
        }

        void Range(string name, int value, int minimum, int maximum)
        {
            if (value < minimum || value > maximum)
                throw Wrong(name, $"{value} is outside [{minimum}, {maximum}]");
        }

        TernException Wrong(string name, string what) => new(ErrorKind.Request, $"{source}: model shape: {name}: {what}");
    }
}
