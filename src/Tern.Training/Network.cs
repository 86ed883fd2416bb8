using Tern.Machine;
using Tern.Training.Distilling;
using Tern.Training.Mathematics;
using Tern.Training.Weights;

namespace Tern.Training;

/// <summary>
/// The transformer, forward and back, on one micro batch. Residual stream x:
/// <code>
///   x += output(norm?(attention(q k v(norm(x)))))           norm? are the sub norms
///   x += down(norm?(function(gate(norm x)) · up(norm x)))
/// </code>
/// On the way back each linear layer's output gradient comes divided by its operand's multipliers (where there are codes), so that the product
/// with the codes is the weights' gradient, and the product with the weights gets the multipliers back.
/// </summary>
internal sealed unsafe class Network : IDisposable
{
    private readonly ModelShape _shape;
    private readonly WorkerPool _pool;
    private readonly AttentionShape _attention;
    private readonly RowScratch _scratch;
    private readonly LayerGroups[] _groups;
    private readonly LinearGroup _head;
    private Workspace? _space;
    private QuantizerState _state;
    private float* _weights;
    private int _rows;

    public Network(ModelShape shape, ParameterSet parameters, WorkerPool pool)
    {
        (_shape, Parameters, _pool) = (shape, parameters, pool);
        _attention = new AttentionShape(shape, pool.Threads);
        _scratch = new RowScratch(pool.Threads, WidestRow(shape), 4);
        _groups = [.. parameters.Layers.Select(l => new LayerGroups(
            new LinearGroup([l.Query, l.Key, l.Value], pool.Threads),
            new LinearGroup([l.Output], pool.Threads),
            new LinearGroup([l.Gate, l.Up], pool.Threads),
            new LinearGroup([l.Down], pool.Threads)))];
        _head = new LinearGroup([parameters.Head], pool.Threads);
    }

    public ParameterSet Parameters { get; }

    /// <summary>What the last pass left behind.</summary>
    public Workspace Space => _space!;

    /// <summary>Floats besides the workspace: packed weights, tables, scratch.</summary>
    public static long FloatsNeeded(ModelShape shape, int threads) =>
        (2 * (shape.LinearWeights + ((long)shape.Vocabulary * shape.Hidden)))
        + ((shape.LinearWeights + ((long)shape.Vocabulary * shape.Hidden)) / sizeof(float))
        + AttentionShape.FloatsNeeded(shape, threads)
        + (4L * threads * (WidestRow(shape) + 32))
        + ((long)threads * Panels.Columns * (shape.Layers * ((3L * shape.Hidden) + shape.FeedForward + shape.QueryWidth + 64)));

    /// <summary>Quantizes and packs the weights; forward passes use what was prepared last.</summary>
    public void Prepare(float* weights, QuantizerState state)
    {
        _weights = weights;
        _state = state;
        foreach (LayerGroups layer in _groups)
            foreach (LinearGroup group in layer.All)
                group.Prepare(_pool, weights, state);
        _head.Prepare(_pool, weights, new QuantizerState(new Quantizer { Precision = LinearPrecision.Full }, 1));
    }

    /// <summary>Makes room for a micro batch.</summary>
    public Workspace Reserve(int rows)
    {
        if (_space is not null && _space.RowsMax >= rows)
            return _space;

        _space?.Dispose();
        _space = null;
        return _space = new Workspace(_shape, rows);
    }

    /// <summary>From <see cref="Workspace.Inputs"/> to <see cref="Workspace.Normed"/>.</summary>
    public void Forward(int sequences, int length)
    {
        Workspace w = Space;
        _rows = sequences * length;
        new EmbeddingPass { Table = At(Parameters.Embedding), Tokens = w.Inputs, Rows = _rows, Activations = InputOf(0) }.Forward(_pool);
        for (int i = 0; i < _shape.Layers; i++)
        {
            LayerSpace s = w.Layers[i];
            LayerParameters p = Parameters.Layers[i];
            LayerGroups g = _groups[i];

            MakeOperand(s.Input, p.AttentionNorm, s.AttentionOperand, isGated: false);
            Multiply(s.AttentionOperand, g.QueryKeyValue, s.QueryKeyValue, default);
            Attention(s, sequences, length).Forward(_pool, _attention);
            MakeOperand(s.Context, p.AttentionSubNorm, s.OutputOperand, isGated: false);
            Multiply(s.OutputOperand, g.Output, s.Middle, s.Input);

            MakeOperand(s.Middle, p.FeedForwardNorm, s.FeedForwardOperand, isGated: false);
            Multiply(s.FeedForwardOperand, g.GateUp, s.GateUp, default);
            MakeOperand(s.GateUp, p.FeedForwardSubNorm, s.DownOperand, isGated: true);
            Multiply(s.DownOperand, g.Down, InputOf(i + 1), s.Middle);
        }

        new OperandPass { Source = w.Final, Gain = At(Parameters.OutputNorm), Epsilon = _shape.Epsilon, Operand = w.Normed, Scratch = _scratch.Pointers }.Run(_pool, _rows);
    }

    /// <summary>Losses of all rows; with a weight above zero also the gradients of the output matrix and of <see cref="Workspace.Normed"/>.</summary>
    /// <param name="weight">Factor of the gradient, 1 / targets of the step; 0 evaluates.</param>
    /// <param name="gradients">Flat, added to; null when evaluating.</param>
    /// <param name="distiller">Mixes in a teacher that went forward on the same micro batch; the weight is then its own.</param>
    public void HeadLoss(float weight, float* gradients, Distiller? distiller)
    {
        Workspace w = Space;
        int chunk = w.Logits.Stride;
        for (int first = 0; first < _rows; first += chunk)
        {
            int rows = Math.Min(chunk, _rows - first);
            Panels normed = w.Normed.FromRow(first);
            Logits(normed, rows);
            if (distiller is not null)
                distiller.Logits(w, first, rows, _pool);
            else
                new CrossEntropyPass { Logits = w.Logits, Targets = w.Targets + first, Losses = w.Losses + first, Weight = weight }.Run(_pool, rows);
            if (gradients is null)
                continue;
            new ColumnProduct { A = w.Logits, B = normed, C = gradients + Parameters.Head.Offset, Rows = rows }.Run(_pool);
            new RowProduct { A = w.Logits, B = _head.Backward, C = w.NormedGradient.FromRow(first), Rows = rows }.Run(_pool);
        }
    }

    /// <summary>The logits of rows [first, first + rows) of the last forward pass, as many as the workspace holds at most.</summary>
    public Panels LogitsOfChunk(int first, int rows)
    {
        Logits(Space.Normed.FromRow(first), rows);
        return Space.Logits;
    }

    /// <summary>The logits of one row.</summary>
    public void LogitsOf(int row, Span<float> logits)
    {
        Workspace w = Space;
        float* line = _scratch.Pointers.Of(0, 0);
        w.Normed.Gather(row, line);
        w.NormedGradient.Scatter(line, 0);
        Logits(w.NormedGradient, 1);
        for (int i = 0; i < logits.Length; i++)
            logits[i] = *w.Logits.At(0, i);
    }

    /// <summary>From <see cref="Workspace.NormedGradient"/> to the gradients of all weights, which are added to.</summary>
    public void Back(int sequences, int length, float* gradients, Distiller? distiller)
    {
        Workspace w = Space;
        LayerSpace last = w.Layers[^1];
        NormBack(w.Final, Parameters.OutputNorm, w.NormedGradient, isFirst: true, FactorsOf(last.DownOperand), gradients);
        for (int i = _shape.Layers - 1; i >= 0; i--)
        {
            LayerSpace s = w.Layers[i];
            LayerParameters p = Parameters.Layers[i];
            LayerGroups g = _groups[i];

            Panels down = MultiplyBack(g.Down, ResidualGradient, s.DownOperand, gradients);
            OperandBack(s.GateUp, p.FeedForwardSubNorm, down, isGated: true, w.GateUpGradient, FactorsOf(s.FeedForwardOperand), gradients);
            Panels feedForward = MultiplyBack(g.GateUp, w.GateUpGradient, s.FeedForwardOperand, gradients);
            NormBack(s.Middle, p.FeedForwardNorm, feedForward, isFirst: false, FactorsOf(s.OutputOperand), gradients);

            Panels output = MultiplyBack(g.Output, ResidualGradient, s.OutputOperand, gradients);
            OperandBack(s.Context, p.AttentionSubNorm, output, isGated: false, w.ContextGradient, null, gradients);
            (Attention(s, sequences, length) with
            {
                ContextGradient = w.ContextGradient,
                Gradient = w.QueryKeyValueGradient,
                Factors = FactorsOf(s.AttentionOperand),
            }).Back(_pool, _attention);
            if (distiller is not null && distiller.Layer == i)
                distiller.Relations(s, w.QueryKeyValueGradient, _state.IsInteger ? s.AttentionOperand.Multipliers : null, FactorsOf(s.AttentionOperand), sequences, length);
            Panels attention = MultiplyBack(g.QueryKeyValue, w.QueryKeyValueGradient, s.AttentionOperand, gradients);
            NormBack(s.Input, p.AttentionNorm, attention, isFirst: false, i > 0 ? FactorsOf(w.Layers[i - 1].DownOperand) : null, gradients);
        }

        new EmbeddingPass { Table = gradients + Parameters.Embedding.Offset, Tokens = w.Inputs, Rows = _rows, Activations = w.Residual }.Back(_pool);
    }

    public void Dispose()
    {
        _space?.Dispose();
        _attention.Dispose();
        _scratch.Dispose();
        foreach (LinearGroup group in _groups.SelectMany(g => g.All))
            group.Dispose();
        _head.Dispose();
    }

    private static int WidestRow(ModelShape shape) => Math.Max(2 * shape.FeedForward, Math.Max(shape.QueryWidth, shape.Hidden));

    /// <summary>The residual gradient as the next linear layer wants it.</summary>
    private Panels ResidualGradient => _state.IsInteger ? Space.ScaledResidual : Space.Residual;

    private float* At(Parameter parameter) => _weights + parameter.Offset;

    private Panels InputOf(int layer) => layer < _shape.Layers ? Space.Layers[layer].Input : Space.Final;

    /// <summary>1 / multiplier of an operand's rows, or null where it holds values.</summary>
    private float* FactorsOf(Operand operand) => _state.IsInteger ? operand.Inverses : null;

    private AttentionPass Attention(LayerSpace s, int sequences, int length) =>
        new() { QueryKeyValue = s.QueryKeyValue, Context = s.Context, LogSums = s.LogSums, Sequences = sequences, Length = length };

    /// <summary>Logits of rows; those of no token are so low that neither a softmax nor its gradient knows of them.</summary>
    private void Logits(Panels normed, int rows)
    {
        const float never = -1e30f;
        Panels logits = Space.Logits;
        new RowProduct { A = normed, B = _head.Forward, C = logits, Rows = rows }.Run(_pool);
        for (int token = _shape.TokenRows; token < _shape.Vocabulary; token++)
            for (int row = 0; row < rows; row++)
                *logits.At(row, token) = never;
    }

    /// <summary>What a linear layer reads: the gate, the norm and the rounding, as far as the model has them, in one pass.</summary>
    private void MakeOperand(Panels source, Parameter? norm, Operand operand, bool isGated) => new OperandPass
    {
        Source = source,
        IsGated = isGated,
        Activation = _shape.Activation,
        Gain = norm is null ? null : At(norm),
        Epsilon = _shape.Epsilon,
        Operand = operand.Values,
        Blend = _state.QuantizesActivations ? _state.Blend : 0,
        Multipliers = _state.IsInteger ? operand.Multipliers : null,
        Inverses = operand.Inverses,
        Codes = IntegerProduct.IsSupported ? operand.Codes : null,
        Sums = operand.Sums,
        Scratch = _scratch.Pointers,
    }.Run(_pool, _rows);

    private void Multiply(Operand operand, LinearGroup group, Panels result, Panels addend) =>
        group.Multiply(_pool, operand, _state.IsInteger, result, addend, _rows);

    /// <summary>Adds a group's weight gradient and gives the gradient of its operand's values.</summary>
    private Panels MultiplyBack(LinearGroup group, Panels gradient, Operand operand, float* gradients)
    {
        new ColumnProduct { A = gradient, B = operand.Values, C = gradients + group.Parts[0].Offset, Rows = _rows }.Run(_pool);
        Panels result = Space.ReadGradient with { Width = group.Columns };
        new RowProduct { A = gradient, B = group.Backward, C = result, Rows = _rows, RowFactors = _state.IsInteger ? operand.Multipliers : null }.Run(_pool);
        return result;
    }

    /// <summary>Through rounding (straight), norm and gate.</summary>
    private void OperandBack(Panels source, Parameter? norm, Panels operandGradient, bool isGated, Panels result, float* factors, float* gradients) => new OperandGradient
    {
        Source = source,
        IsGated = isGated,
        Activation = _shape.Activation,
        Gain = norm is null ? null : At(norm),
        Epsilon = _shape.Epsilon,
        OperandGradients = operandGradient,
        Result = result,
        Factors = factors,
        GainPartials = Space.GainPartials,
        Scratch = _scratch.Pointers,
    }.Run(_pool, _rows, norm is null ? null : gradients + norm.Offset);

    /// <summary>Through a norm of the residual stream, whose gradient gets the sum.</summary>
    private void NormBack(Panels source, Parameter norm, Panels operandGradient, bool isFirst, float* factors, float* gradients) => new OperandGradient
    {
        Source = source,
        Gain = At(norm),
        Epsilon = _shape.Epsilon,
        OperandGradients = operandGradient,
        Result = Space.Residual,
        Accumulate = !isFirst,
        Factors = factors,
        Scaled = factors is null ? default : Space.ScaledResidual,
        GainPartials = Space.GainPartials,
        Scratch = _scratch.Pointers,
    }.Run(_pool, _rows, gradients + norm.Offset);

    /// <summary>The packed weights of one block.</summary>
    private sealed record LayerGroups(LinearGroup QueryKeyValue, LinearGroup Output, LinearGroup GateUp, LinearGroup Down)
    {
        public IEnumerable<LinearGroup> All => [QueryKeyValue, Output, GateUp, Down];
    }
}
