using Tern.Machine;
using Tern.Training.Optimization;
using Tern.Training.Weights;

namespace Tern.Training;

/// <summary>
/// Trains one model: forward and backward by hand over a fixed graph, AdamW, checkpoints, export. One thread calls it. The same seed, recipe and
/// batches give the same weights bit for bit, with any number of threads.
/// </summary>
internal sealed unsafe class Trainer : IDisposable
{
    private readonly WorkerPool _pool;
    private readonly ParameterSet _parameters;
    private readonly NativeBuffer<float> _weights;
    private readonly Network _network;
    private NativeBuffer<float>? _gradients;
    private AdamW? _optimizer;
    private Prepared? _prepared;

    /// <summary>A model with fresh weights.</summary>
    /// <param name="shape">Its dimensions.</param>
    /// <param name="recipe">How it is trained.</param>
    /// <param name="seed">Of the weights and of stochastic rounding.</param>
    /// <param name="pool">Workers; must outlive the trainer.</param>
    /// <param name="teacher">For <see cref="TrainingRecipe.Distillation"/>: same vocabulary, same layers and heads if the attention term is used; must outlive the trainer. Null without distillation.</param>
    /// <exception cref="TernException">Shape or recipe are out of range, the teacher does not fit, or memory is short.</exception>
    public Trainer(ModelShape shape, TrainingRecipe recipe, ulong seed, WorkerPool pool, Trainer? teacher)
        : this(shape, recipe, seed, pool, teacher, "training") =>
        _parameters.Initialize(EditWeights(), shape, recipe.InitialDeviation, new RandomStream(seed));

    /// <summary>A model whose weights the caller fills in.</summary>
    private Trainer(ModelShape shape, TrainingRecipe recipe, ulong seed, WorkerPool pool, Trainer? teacher, string source)
    {
        shape.Validate(source);
        recipe.Validate(source);
        (Shape, Recipe, Seed, _pool) = (shape, recipe, seed, pool);
        _parameters = new ParameterSet(shape);
        _weights = new NativeBuffer<float>(_parameters.Count);
        _network = new Network(shape, _parameters, pool);
    }

    public ModelShape Shape { get; }

    public TrainingRecipe Recipe { get; }

    public ulong Seed { get; }

    /// <summary>Optimizer steps done.</summary>
    public int StepsDone { get; private set; }

    /// <summary>All weights.</summary>
    public long Parameters => _parameters.Count;

    /// <summary>The tensors and their places in the flat arrays.</summary>
    public ParameterSet Tensors => _parameters;

    /// <summary>All weights, flat, to be written to; the next pass packs them anew.</summary>
    public NativeBuffer<float> EditWeights()
    {
        _prepared = null;
        return _weights;
    }

    /// <summary>All gradients, flat, of the last step before clipping; there from the first step on.</summary>
    public NativeBuffer<float> Gradients => _gradients ??= new NativeBuffer<float>(_parameters.Count);

    /// <summary>Bytes that a trainer of this shape takes: weights, gradients, moments and the workspace of a micro batch.</summary>
    /// <param name="shape">Dimensions.</param>
    /// <param name="recipe">How it is trained.</param>
    /// <param name="microSequences">Sequences computed at a time.</param>
    /// <param name="length">Tokens of each.</param>
    /// <param name="threads">Workers.</param>
    public static long MemoryNeeded(ModelShape shape, TrainingRecipe recipe, int microSequences, int length, int threads)
    {
        int arrays = recipe.AverageDecay > 0 ? 5 : 4;
        return sizeof(float) * ((arrays * shape.Parameters)
            + Network.FloatsNeeded(shape, threads)
            + Workspace.FloatsNeeded(shape, checked(microSequences * length)));
    }

    /// <summary>One optimizer step over all micro batches of <paramref name="batch"/>.</summary>
    /// <exception cref="TernException">A token is outside the vocabulary, or the sequences are longer than the context.</exception>
    public StepReport Step(TokenBatch batch)
    {
        long targets = Check(batch);
        _optimizer ??= new AdamW(_parameters, Recipe, _weights, Gradients);
        Prepare(_weights, TrainingState);
        Clear(Gradients);
        float weight = 1f / Math.Max(1, targets);
        double loss = 0;
        for (int micro = 0; micro < batch.MicroBatches; micro++)
        {
            int sequences = Load(batch, micro);
            _network.Forward(sequences, batch.Length);
            _network.HeadLoss(weight, Gradients.Pointer);
            loss += SumOfLosses(sequences * batch.Length);
            if (!double.IsFinite(loss))
                return Refused(batch, loss, double.NaN, sequences * batch.Length);
            _network.Back(sequences, batch.Length, Gradients.Pointer);
        }

        double norm = _optimizer.GradientNorm(_pool);
        if (!double.IsFinite(norm))
            return Refused(batch, loss / Math.Max(1, targets), norm, 0);

        float factor = Recipe.ClipNorm > 0 && norm > Recipe.ClipNorm ? (float)(Recipe.ClipNorm / norm) : 1;
        _optimizer.Apply(_pool, StepsDone, factor, Seed);
        float rate = LearningRates.At(Recipe, StepsDone).Rate;
        StepsDone++;
        _prepared = null;
        return new StepReport(StepsDone, loss / Math.Max(1, targets), rate, (float)norm, batch.Inputs.Length, null);
    }

    /// <summary>Cross-entropy of a batch without training, with the recipe's quantizer.</summary>
    public LossSum Loss(TokenBatch batch) => Loss(batch, Recipe.Linear, average: false);

    /// <summary>Cross-entropy under another quantizer (post-training quantization of the present weights), or of the moving average of the weights.</summary>
    /// <param name="batch">Tokens.</param>
    /// <param name="linear">What the linear layers compute with.</param>
    /// <param name="average">Use the moving average; the recipe must keep one.</param>
    public LossSum Loss(TokenBatch batch, Quantizer linear, bool average)
    {
        long targets = Check(batch);
        Prepare(WeightsOf(average), new QuantizerState(linear, 1));
        double loss = 0;
        for (int micro = 0; micro < batch.MicroBatches; micro++)
        {
            int sequences = Load(batch, micro);
            _network.Forward(sequences, batch.Length);
            _network.HeadLoss(0, null);
            loss += SumOfLosses(sequences * batch.Length);
        }

        return new LossSum(loss, targets);
    }

    /// <summary>Logits of the last token of one sequence, for samples of text; uses the recipe's quantizer.</summary>
    /// <param name="tokens">1 to context ids.</param>
    /// <param name="logits">[vocabulary].</param>
    public void LastLogits(ReadOnlySpan<int> tokens, Span<float> logits)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(logits.Length, Shape.Vocabulary);
        var batch = new TokenBatch(1, tokens.Length, 1);
        tokens.CopyTo(batch.Inputs);
        Check(batch);
        Prepare(_weights, new QuantizerState(Recipe.Linear, 1));
        Load(batch, 0);
        _network.Forward(1, tokens.Length);
        _network.LogitsOf(tokens.Length - 1, logits);
    }

    /// <summary>The distribution of codes in every linear layer, as the present weights quantize to ternary.</summary>
    public IReadOnlyList<CodeShares> Shares()
    {
        var shares = new List<CodeShares>();
        foreach (Parameter parameter in _parameters.Linears)
        {
            using var codes = new NativeBuffer<float>(parameter.Columns);
            float* weights = _weights.Pointer + parameter.Offset;
            float scale = WeightQuantization.Scale(WeightQuantization.PanelSums(weights, parameter.Rows, parameter.Columns).Magnitude / parameter.Count);
            long minus = 0, plus = 0;
            for (int row = 0; row < parameter.Rows; row++)
            {
                WeightQuantization.TernaryCodes(weights + ((long)row * parameter.Columns), parameter.Columns, scale, codes.Pointer);
                foreach (float code in codes.Span)
                {
                    minus += code < 0 ? 1 : 0;
                    plus += code > 0 ? 1 : 0;
                }
            }

            double count = parameter.Count;
            shares.Add(new CodeShares(parameter.Name, minus / count, (count - minus - plus) / count, plus / count));
        }

        return shares;
    }

    public void Dispose()
    {
        _network.Dispose();
        _optimizer?.Dispose();
        _gradients?.Dispose();
        _weights.Dispose();
    }

    /// <summary>The quantizer of the step that comes next.</summary>
    private QuantizerState TrainingState => new(
        Recipe.Linear,
        Recipe.QuantizationWarmUpSteps > 0 ? Math.Min(1, (float)StepsDone / Recipe.QuantizationWarmUpSteps) : 1);

    private static void Clear(NativeBuffer<float> buffer)
    {
        const int piece = 1 << 28;
        for (long done = 0; done < buffer.Count; done += piece)
            buffer.Part(done, (int)Math.Min(piece, buffer.Count - done)).Clear();
    }

    private NativeBuffer<float> WeightsOf(bool average)
    {
        if (!average)
            return _weights;
        if (Recipe.AverageDecay == 0)
            throw new TernException(ErrorKind.Request, "the recipe keeps no moving average of the weights; set averageDecay");
        return _optimizer?.Average ?? _weights; // before the first step the average is the weights
    }

    private void Prepare(NativeBuffer<float> weights, QuantizerState state)
    {
        var wanted = new Prepared(weights, state);
        if (_prepared != wanted)
            _network.Prepare(weights.Pointer, state);
        _prepared = wanted;
    }

    /// <summary>Copies a micro batch into the workspace and says how many sequences it has.</summary>
    private int Load(TokenBatch batch, int micro)
    {
        int first = micro * batch.MicroSequences;
        int sequences = Math.Min(batch.MicroSequences, batch.Sequences - first);
        int rows = sequences * batch.Length;
        Workspace space = _network.Reserve(batch.MicroSequences * batch.Length);
        batch.Inputs.AsSpan(first * batch.Length, rows).CopyTo(new Span<int>(space.Inputs, rows));
        batch.Targets.AsSpan(first * batch.Length, rows).CopyTo(new Span<int>(space.Targets, rows));
        return sequences;
    }

    private double SumOfLosses(int rows)
    {
        double sum = 0;
        for (int i = 0; i < rows; i++)
            sum += _network.Space.Losses[i];
        return sum;
    }

    /// <summary>Checks a batch and counts its targets.</summary>
    private long Check(TokenBatch batch)
    {
        if (batch.Length > Shape.Context)
            throw new TernException(ErrorKind.Request, $"sequences of {batch.Length} tokens are longer than the context of {Shape.Context}");
        long targets = 0;
        for (int i = 0; i < batch.Inputs.Length; i++)
        {
            if ((uint)batch.Inputs[i] >= (uint)Shape.Vocabulary)
                throw new TernException(ErrorKind.Request, $"token {batch.Inputs[i]} at {i} of the batch is outside the vocabulary of {Shape.Vocabulary}");
            int target = batch.Targets[i];
            if (target == TokenBatch.NoLoss)
                continue;
            if ((uint)target >= (uint)Shape.Vocabulary)
                throw new TernException(ErrorKind.Request, $"target {target} at {i} of the batch is outside the vocabulary of {Shape.Vocabulary}");
            targets++;
        }

        return targets;
    }

    private StepReport Refused(TokenBatch batch, double loss, double norm, int rows) =>
        new(StepsDone + 1, loss, LearningRates.At(Recipe, StepsDone).Rate, (float)norm, batch.Inputs.Length, NonFinite.Find(_parameters, _weights, _network.Space, rows, Gradients));

    /// <summary>What the packed weights were made of.</summary>
    private sealed record Prepared(NativeBuffer<float> Weights, QuantizerState State);
}
