using Tern.Machine;

namespace Tern.Training.Weights;

/// <summary>What a parameter is, which decides how it starts and whether it decays.</summary>
internal enum ParameterKind
{
    Embedding,
    Norm,

    /// <summary>A linear layer that reads the residual stream.</summary>
    Linear,

    /// <summary>A linear layer that writes into it.</summary>
    ResidualLinear,
}

/// <summary>One tensor of the model and its place in the flat arrays.</summary>
/// <param name="Name">As in GGUF, without <c>.weight</c>.</param>
/// <param name="Kind">What it is.</param>
/// <param name="Rows">Outputs; 1 for norms.</param>
/// <param name="Columns">Inputs.</param>
/// <param name="Offset">First float.</param>
internal sealed record Parameter(string Name, ParameterKind Kind, int Rows, int Columns, long Offset)
{
    public long Count => (long)Rows * Columns;
}

/// <summary>The parameters of a block; q k v and gate up follow each other in memory, so that each group is one matrix.</summary>
internal sealed record LayerParameters(
    Parameter AttentionNorm,
    Parameter Query,
    Parameter Key,
    Parameter Value,
    Parameter? AttentionSubNorm,
    Parameter Output,
    Parameter FeedForwardNorm,
    Parameter Gate,
    Parameter Up,
    Parameter? FeedForwardSubNorm,
    Parameter Down);

/// <summary>
/// All parameters in one flat array of floats, in the order of the computation; gradients and moments are arrays of the same shape.
/// <code>
///   token_embd | per block: attn_norm q k v [attn_sub_norm] output ffn_norm gate up [ffn_sub_norm] down | output_norm | [output]
/// </code>
/// </summary>
internal sealed unsafe class ParameterSet
{
    private readonly List<Parameter> _all = [];

    public ParameterSet(ModelShape shape)
    {
        Embedding = Add("token_embd", ParameterKind.Embedding, shape.Vocabulary, shape.Hidden);
        Layers = new LayerParameters[shape.Layers];
        for (int i = 0; i < shape.Layers; i++)
        {
            string prefix = $"blk.{i}.";
            Layers[i] = new LayerParameters(
                AttentionNorm: Norm("attn_norm", shape.Hidden),
                Query: Linear("attn_q", shape.QueryWidth, shape.Hidden),
                Key: Linear("attn_k", shape.KeyWidth, shape.Hidden),
                Value: Linear("attn_v", shape.KeyWidth, shape.Hidden),
                AttentionSubNorm: shape.SubNorms ? Norm("attn_sub_norm", shape.QueryWidth) : null,
                Output: Residual("attn_output", shape.Hidden, shape.QueryWidth),
                FeedForwardNorm: Norm("ffn_norm", shape.Hidden),
                Gate: Linear("ffn_gate", shape.FeedForward, shape.Hidden),
                Up: Linear("ffn_up", shape.FeedForward, shape.Hidden),
                FeedForwardSubNorm: shape.SubNorms ? Norm("ffn_sub_norm", shape.FeedForward) : null,
                Down: Residual("ffn_down", shape.Hidden, shape.FeedForward));

            Parameter Norm(string name, int width) => Add(prefix + name, ParameterKind.Norm, 1, width);
            Parameter Linear(string name, int rows, int columns) => Add(prefix + name, ParameterKind.Linear, rows, columns);
            Parameter Residual(string name, int rows, int columns) => Add(prefix + name, ParameterKind.ResidualLinear, rows, columns);
        }

        OutputNorm = Add("output_norm", ParameterKind.Norm, 1, shape.Hidden);
        Head = shape.TiedHead ? Embedding : Add("output", ParameterKind.Embedding, shape.Vocabulary, shape.Hidden);
    }

    /// <summary>In the order of the flat arrays.</summary>
    public IReadOnlyList<Parameter> All => _all;

    public Parameter Embedding { get; }

    public LayerParameters[] Layers { get; }

    public Parameter OutputNorm { get; }

    /// <summary>The output matrix; the embedding itself where they are tied.</summary>
    public Parameter Head { get; }

    /// <summary>Floats of a flat array.</summary>
    public long Count { get; private set; }

    /// <summary>The linear layers of all blocks.</summary>
    public IEnumerable<Parameter> Linears => _all.Where(p => p.Kind is ParameterKind.Linear or ParameterKind.ResidualLinear);

    /// <summary>Fresh values: normal numbers for matrices, ones for norms.</summary>
    public void Initialize(NativeBuffer<float> values, ModelShape shape, float deviation, RandomStream random)
    {
        foreach (Parameter parameter in _all)
        {
            float* at = values.Pointer + parameter.Offset;
            float scale = parameter.Kind == ParameterKind.ResidualLinear ? deviation / MathF.Sqrt(2 * shape.Layers) : deviation;
            for (long i = 0; i < parameter.Count; i++)
                at[i] = parameter.Kind == ParameterKind.Norm ? 1 : scale * random.NextNormal();
        }
    }

    private Parameter Add(string name, ParameterKind kind, int rows, int columns)
    {
        var parameter = new Parameter(name, kind, rows, columns, Count);
        _all.Add(parameter);
        Count += parameter.Count;
        return parameter;
    }
}
