using System.Globalization;
using Tern.Files;
using Tern.Numerics;

namespace Tern.Conversion;

/// <summary>How the bytes of a tensor come to be.</summary>
internal enum Recoding
{
    /// <summary>Byte by byte.</summary>
    Copy,

    /// <summary>Groups of 128 with one scale become two groups of 64 with it: Q2_0 of early Bonsai files.</summary>
    Regroup,

    /// <summary>Codes and scales of a ternary tensor, packed anew.</summary>
    Codes,

    /// <summary>Decoded to floats and encoded.</summary>
    Floats,
}

/// <summary>What becomes of one tensor.</summary>
/// <param name="Source">The tensor as it is.</param>
/// <param name="Type">The type it gets.</param>
/// <param name="Recoding">How.</param>
/// <param name="Exact">Codes of floats that proved to be ternary; null where a ternary type has them.</param>
internal sealed record TensorPlan(Tensor Source, TensorType Type, Recoding Recoding, TernarySource? Exact = null)
{
    /// <summary>Bytes that it will have in the file.</summary>
    public long ByteCount => checked((long)Type.ByteCount((UInt128)Source.Columns, (UInt128)Source.Rows));
}

/// <summary>What to write.</summary>
internal sealed record ConversionOptions
{
    /// <summary>Type of the linear layers; null keeps each as it is, or makes it I2_S (ternary) or F16 where no file can hold the type it has.</summary>
    public TensorType? Linears { get; init; }

    /// <summary>Type of the token embeddings; null keeps them.</summary>
    public TensorType? Embeddings { get; init; }

    /// <summary>Type of a separate output matrix; null keeps it.</summary>
    public TensorType? Output { get; init; }

    /// <summary>What to do with a model that was not trained to be ternary when the type of the linear layers is.</summary>
    public Ternarisation Ptq { get; init; }

    /// <summary>Threads that share the work.</summary>
    public int Threads { get; init; } = 1;
}

/// <summary>Decides for every tensor of a model what type it gets, and refuses what would destroy the model.</summary>
internal sealed class ConversionPlan
{
    private const string EmbeddingName = "token_embd.weight", OutputName = "output.weight";

    /// <summary>What a matrix gets whose columns are no whole blocks of the type asked for. I2_S holds the same codes as every ternary type.</summary>
    private static readonly (TensorType Type, TensorType[] Instead)[] s_fallbacks =
    [
        (TensorType.TQ1_0, [TensorType.I2S]),
        (TensorType.TQ2_0, [TensorType.I2S]),
        (TensorType.IQ1_BN, [TensorType.I2S]),
        (TensorType.IQ2_BN, [TensorType.I2S]),
        (TensorType.Q6_K, [TensorType.Q8_0]),
        (TensorType.Q4_K, [TensorType.Q4_0]),
    ];

    /// <summary>Types without ternary arithmetic that can hold -s, 0 and +s.</summary>
    private static readonly TensorType[] s_keepTernaryWeights = [TensorType.F32, TensorType.F16, TensorType.BF16, TensorType.Q8_0, TensorType.Q2_0];

    private readonly List<TensorPlan> _tensors = [];
    private readonly List<string> _notes = [];
    private readonly List<string> _warnings = [];
    private readonly ConversionOptions _options;
    private readonly RowLoop _loop;
    private readonly Dictionary<(TensorType Asked, TensorType Got), List<string>> _fallbacks = [];
    private readonly List<string> _keptDense = [];

    private ConversionPlan(ConversionOptions options, RowLoop loop) => (_options, _loop) = (options, loop);

    /// <summary>All tensors in the order in which they are written.</summary>
    public IReadOnlyList<TensorPlan> Tensors => _tensors;

    /// <summary>One line each: what deserves to be known.</summary>
    public IReadOnlyList<string> Notes => _notes;

    /// <summary>One line each: what may hurt.</summary>
    public IReadOnlyList<string> Warnings => _warnings;

    public ConversionOptions Options => _options;

    /// <summary>Whether every tensor is copied.</summary>
    public bool IsCopy => _tensors.TrueForAll(t => t.Recoding == Recoding.Copy);

    /// <summary>Whether weights become ternary that were not trained for it.</summary>
    public bool Ternarises => _tensors.Exists(t => (IsTernary(t.Type) || t.Type == TensorType.Q1_0) && t.Type != t.Source.Type && t.Recoding != Recoding.Regroup && !t.Source.Type.IsTernary && t.Exact is null);

    /// <summary>Bytes of all tensors in the file.</summary>
    public long ByteCount => _tensors.Sum(t => t.ByteCount);

    /// <summary>The type that most weights of the linear layers get: what a file calls itself by.</summary>
    public TensorType MainType => _tensors.Where(t => IsLinear(t.Source)).GroupBy(t => t.Type).MaxBy(g => g.Sum(t => t.Source.Columns * t.Source.Rows))?.Key ?? TensorType.F32;

    /// <summary>Whether a type stores codes -1, 0, +1: to write it from other weights is to ternarise them.</summary>
    public static bool IsTernary(TensorType type) => type.IsTernary || type == TensorType.Q2_0;

    /// <summary>Whether the tensor is the matrix of a linear layer inside the network.</summary>
    public static bool IsLinear(Tensor tensor) => tensor.Shape.Count > 1 && tensor.Name is not (EmbeddingName or OutputName);

    /// <summary>Makes the plan.</summary>
    /// <exception cref="TernException">The model was not trained for the type, or a tensor cannot be written.</exception>
    public static ConversionPlan Of(ModelSource source, ConversionOptions options, CancellationToken cancellation)
    {
        var plan = new ConversionPlan(options, new RowLoop(source, options.Threads, cancellation));
        bool trained = source.TensorsInOrder.Any(t => IsLinear(t) && t.Type.IsTernary);
        foreach (Tensor tensor in source.TensorsInOrder)
            plan._tensors.Add(plan.For(tensor, trained));
        plan.Describe();
        return plan;
    }

    private TensorPlan For(Tensor tensor, bool trained)
    {
        if (tensor.Shape.Count == 1)
            return Plan(tensor, _loop.Source is GgufFile && tensor.Type == TensorType.F16 ? TensorType.F16 : TensorType.F32);
        TensorType asked = tensor.Name switch
        {
            EmbeddingName => _options.Embeddings,
            OutputName => _options.Output,
            _ => _options.Linears,
        } ?? Writable(tensor);
        if (IsLinear(tensor) && trained && !tensor.Type.IsTernary && (IsTernary(asked) || asked == TensorType.Q1_0))
        {
            // Layers that a ternary checkpoint keeps dense were not trained to be otherwise.
            _keptDense.Add(tensor.Name);
            asked = Writable(tensor);
        }

        TensorType type = Fitting(tensor, asked);
        return type != tensor.Type && (IsTernary(type) || type == TensorType.Q1_0) ? Ternary(tensor, type) : Plan(tensor, type);
    }

    /// <summary>The tensor's own type, or the nearest that a file can hold.</summary>
    private static TensorType Writable(Tensor tensor) =>
        tensor.Type == TensorType.Q2_0_G128 ? TensorType.Q2_0
        : TensorType.All.Contains(tensor.Type) ? tensor.Type
        : tensor.Type.IsTernary ? TensorType.I2S : TensorType.F16;

    private static TensorPlan Plan(Tensor tensor, TensorType type)
    {
        Recoding recoding = type == tensor.Type ? Recoding.Copy
            : type == TensorType.Q2_0 && tensor.Type == TensorType.Q2_0_G128 ? Recoding.Regroup
            : type is TernaryType && tensor.Type.IsTernary ? Recoding.Codes
            : Recoding.Floats;
        return new TensorPlan(tensor, type, recoding);
    }

    private TensorPlan Ternary(Tensor tensor, TensorType type)
    {
        if (tensor.Type.IsTernary && type != TensorType.Q1_0)
            return Plan(tensor, type);
        if (type == TensorType.Q2_0 && tensor.Type == TensorType.Q2_0_G128)
            return Plan(tensor, type);
        if (type != TensorType.Q1_0 && TernarySource.TryExact(tensor, _loop) is { } exact)
            return new TensorPlan(tensor, type, type is TernaryType ? Recoding.Codes : Recoding.Floats, exact);
        if (_options.Ptq == Ternarisation.Refuse)
        {
            throw tensor.Error(ErrorKind.Request, 0, type == TensorType.Q1_0
                ? "its weights are not one magnitude with signs, and to make them so destroys the model: use q8_0 or q4_0, or add --ptq absmean to do it all the same"
                : $"it was not trained to be ternary (its weights take more values than -s, 0 and +s), and to make it {type.Name} destroys the model: use q8_0 or q4_0, or add --ptq absmean or --ptq twn to do it all the same");
        }

        return new TensorPlan(tensor, type, type is TernaryType ? Recoding.Codes : Recoding.Floats);
    }

    private TensorType Fitting(Tensor tensor, TensorType asked)
    {
        if (Fits(asked))
            return asked;
        TensorType[] instead = s_fallbacks.FirstOrDefault(f => f.Type == asked).Instead ?? [];
        TensorType got = instead.FirstOrDefault(Fits) ?? TensorType.F16;
        if (!_fallbacks.TryGetValue((asked, got), out List<string>? names))
            _fallbacks[(asked, got)] = names = [];
        names.Add(tensor.Name);
        return got;

        bool Fits(TensorType type) => type.FitsShape((UInt128)tensor.Columns, (UInt128)tensor.Rows);
    }

    private void Describe()
    {
        foreach (((TensorType asked, TensorType got), List<string> names) in _fallbacks)
            _warnings.Add(string.Create(CultureInfo.InvariantCulture, $"{names.Count} tensors such as '{names[0]}' are written as {got.Name}, because their columns are no whole blocks of {asked.BlockSize} as {asked.Name} wants"));
        if (_keptDense.Count > 0)
            _notes.Add(string.Create(CultureInfo.InvariantCulture, $"{_keptDense.Count} layers such as '{_keptDense[0]}' are not ternary in this model and stay as they are"));

        if (Ternarises)
            _warnings.Add("these weights were NOT trained to be ternary: what is written will most likely talk nonsense; q8_0 and q4_0 keep the model");
        if (_tensors.Exists(t => t.Source.Type.IsTernary && IsLinear(t.Source) && !t.Type.IsTernary))
        {
            string weights = s_keepTernaryWeights.Contains(MainType) ? "the weights are the same (their scale rounded)" : "the weights are rounded";
            _notes.Add($"ternary layers are written as {MainType.Name}: {weights}, and activations are no longer rounded to 8 bits per token as in training, so answers may differ");
        }
    }
}
