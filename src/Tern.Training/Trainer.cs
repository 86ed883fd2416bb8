using Tern.Files;
using Tern.Machine;
using Tern.Models;
using Tern.Training.Checkpoints;
using Tern.Training.Distilling;
using Tern.Training.Optimization;
using Tern.Training.Weights;

namespace Tern.Training;

/// <summary>
/// Trains one model: forward and backward by hand over a fixed graph, optimizer, checkpoints, export. One thread calls it. The same seed, recipe and
/// batches give the same weights bit for bit, with any number of threads.
/// </summary>
internal sealed unsafe class Trainer : IDisposable
{
    private readonly WorkerPool _pool;
    private readonly ParameterSet _parameters;
    private readonly NativeBuffer<float> _weights;
    private readonly Network _network;
    private readonly Trainer? _teacher;
    private readonly Distiller? _distiller;
    private NativeBuffer<float>? _gradients;
    private Optimizer? _optimizer;
    private Prepared? _prepared;

    /// <summary>A model with fresh weights.</summary>
    /// <param name="shape">Its dimensions.</param>
    /// <param name="recipe">How it is trained.</param>
    /// <param name="seed">Of the weights and of stochastic rounding.</param>
    /// <param name="pool">Workers; must outlive the trainer.</param>
    /// <param name="teacher">For <see cref="TrainingRecipe.Distillation"/>: same vocabulary, and heads that the attention term can be cut into; must outlive the trainer. Null without distillation.</param>
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
        if (recipe.Distillation is null)
            return;
        _teacher = teacher ?? throw new TernException(ErrorKind.Request, $"{source}: the recipe asks for distillation, but there is no teacher");
        _distiller = new Distiller(recipe.Distillation, shape, teacher.Shape, teacher._network, pool);
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

    /// <summary>Bytes that a trainer of this shape takes: weights, gradients, moments, the workspace of a micro batch, and what writing the model takes besides.</summary>
    /// <param name="shape">Dimensions.</param>
    /// <param name="recipe">How it is trained.</param>
    /// <param name="microSequences">Sequences computed at a time.</param>
    /// <param name="length">Tokens of each.</param>
    /// <param name="threads">Workers.</param>
    public static long MemoryNeeded(ModelShape shape, TrainingRecipe recipe, int microSequences, int length, int threads)
    {
        int arrays = recipe.AverageDecay > 0 ? 5 : 4;
        return sizeof(float) * ((arrays * shape.Parameters)
            + Optimization.Optimizer.FloatsNeeded(shape, recipe)
            + Network.FloatsNeeded(shape, threads)
            + Workspace.FloatsNeeded(shape, TokenBatch.Count(microSequences, length)))
            + GgufModel.BytesToWrite(shape);
    }

    /// <summary>Bytes that a model takes that only teaches: weights, packed weights and the workspace of a micro batch.</summary>
    /// <param name="shape">Its dimensions.</param>
    /// <param name="rows">Tokens of a micro batch.</param>
    /// <param name="threads">Workers.</param>
    public static long MemoryNeededToTeach(ModelShape shape, int rows, int threads) =>
        sizeof(float) * (shape.Parameters + Network.FloatsNeeded(shape, threads) + Workspace.FloatsNeeded(shape, rows));

    /// <summary>The dimensions of a model file.</summary>
    /// <param name="path">A model of an architecture that the trainer knows: llama, bitnet, bitnet-b1.58.</param>
    /// <param name="context">Longest sequence that will be trained.</param>
    /// <param name="subNorms">True inserts sub norms where the model has none, as BitDistill does; null takes it as it is.</param>
    /// <exception cref="TernException">The file is not a model that the trainer can hold.</exception>
    public static ModelShape ShapeOf(string path, int context, bool? subNorms)
    {
        using ModelSource file = Model.Open(path, new ModelOptions());
        return GgufModel.ShapeOf(file, context, subNorms);
    }

    /// <summary>A model with the weights of a model file (F32, F16, BF16 or any type that decodes), for fine-tuning or as a teacher.</summary>
    /// <param name="path">The model.</param>
    /// <param name="shape">What <see cref="ShapeOf"/> says of it.</param>
    /// <param name="recipe">How it is trained.</param>
    /// <param name="seed">Of stochastic rounding.</param>
    /// <param name="pool">Workers.</param>
    /// <param name="teacher">As in the constructor.</param>
    /// <exception cref="TernException">The file is not a model that the trainer can hold.</exception>
    public static Trainer From(string path, ModelShape shape, TrainingRecipe recipe, ulong seed, WorkerPool pool, Trainer? teacher)
    {
        using ModelSource file = Model.Open(path, new ModelOptions());
        var trainer = new Trainer(shape, recipe, seed, pool, teacher, path);
        try
        {
            GgufModel.Read(file, trainer._parameters, trainer.Shape.HeadDim, recipe.Linear.Precision, trainer.EditWeights());
            return trainer;
        }
        catch
        {
            trainer.Dispose();
            throw;
        }
    }

    /// <summary>Opens a checkpoint; the next step continues bit for bit where <see cref="Save"/> was called.</summary>
    /// <exception cref="TernException">The file is missing or damaged, or the teacher does not fit.</exception>
    public static Trainer Load(string path, WorkerPool pool, Trainer? teacher, out byte[] dataState) => Load(path, pool, teacher, recipe => recipe, out dataState);

    /// <summary>Opens a checkpoint to go on with a changed recipe, such as more steps.</summary>
    /// <param name="path">The checkpoint.</param>
    /// <param name="pool">Workers.</param>
    /// <param name="teacher">As in the constructor.</param>
    /// <param name="change">From the recipe in the checkpoint; keeps <see cref="TrainingRecipe.AverageDecay"/>.</param>
    /// <param name="dataState">As <see cref="Save"/> was given.</param>
    /// <exception cref="TernException">The file is missing or damaged, the recipe is out of range, or the teacher does not fit.</exception>
    public static Trainer Load(string path, WorkerPool pool, Trainer? teacher, Func<TrainingRecipe, TrainingRecipe> change, out byte[] dataState)
    {
        Trainer? trainer = null;
        try
        {
            CheckpointHeader header = Checkpoint.Read(
                path,
                head =>
                {
                    trainer = new Trainer(head.Shape, change(head.Recipe), head.Seed, pool, teacher, path);
                    return trainer.Arrays(head.Arrays > 1);
                },
                out dataState);
            trainer!.StepsDone = header.StepsDone;
            return trainer;
        }
        catch
        {
            trainer?.Dispose();
            throw;
        }
    }

    /// <summary>What a checkpoint holds, from its head alone.</summary>
    /// <exception cref="TernException">The file is missing or damaged.</exception>
    public static CheckpointHeader Describe(string path) => Checkpoint.Describe(path);

    /// <summary>One optimizer step over all micro batches of <paramref name="batch"/>.</summary>
    /// <exception cref="TernException">A token is outside the vocabulary, or the sequences are longer than the context.</exception>
    public StepReport Step(TokenBatch batch)
    {
        long targets = Check(batch);
        (double loss, int failedRows) = Differentiate(batch, targets);
        if (!double.IsFinite(loss))
            return Refused(batch, loss, double.NaN, failedRows);
        double norm = Optimizer.GradientNorm(_pool);
        if (!double.IsFinite(norm))
            return Refused(batch, loss, norm, 0);

        float factor = Recipe.ClipNorm > 0 && norm > Recipe.ClipNorm ? (float)(Recipe.ClipNorm / norm) : 1;
        Optimizer.Apply(_pool, StepsDone, factor, Seed);
        float rate = LearningRates.At(Recipe, StepsDone).Rate;
        StepsDone++;
        _prepared = null;
        return new StepReport(StepsDone, loss, rate, (float)norm, batch.Inputs.Length, null) { Distillation = _distiller?.Report() };
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
            _network.HeadLoss(0, null, null);
            loss += SumOfLosses(sequences * batch.Length);
        }

        return new LossSum(loss, targets);
    }

    /// <summary>The first place that is not finite when the present weights make a step of a batch, such as <c>blk.3.attn_q</c>; null when all is well.</summary>
    public string? FindNonFinite(TokenBatch batch)
    {
        (double loss, int failedRows) = Differentiate(batch, Check(batch));
        return double.IsFinite(loss) && double.IsFinite(Optimizer.GradientNorm(_pool)) ? null : FirstNonFinite(failedRows);
    }

    /// <summary>Logits of the last token of one sequence, for samples of text; uses the recipe's quantizer, and the moving average where there is one.</summary>
    /// <param name="tokens">1 to context ids.</param>
    /// <param name="logits">[vocabulary].</param>
    public void LastLogits(ReadOnlySpan<int> tokens, Span<float> logits)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(logits.Length, Shape.Vocabulary);
        var batch = new TokenBatch(1, tokens.Length, 1);
        tokens.CopyTo(batch.Inputs);
        Check(batch);
        Prepare(WeightsOf(Recipe.AverageDecay > 0), new QuantizerState(Recipe.Linear, 1));
        Load(batch, 0);
        _network.Forward(1, tokens.Length);
        _network.LogitsOf(tokens.Length - 1, logits);
    }

    /// <summary>The distribution of codes in every linear layer, as the present weights quantize to ternary.</summary>
    public IReadOnlyList<CodeShares> Shares() =>
        [.. _parameters.Linears.Select(parameter => WeightQuantization.Shares(parameter, _weights.Pointer + parameter.Offset))];

    /// <summary>Writes weights, moments, step and the caller's own state to one file, atomically.</summary>
    /// <param name="path">The checkpoint.</param>
    /// <param name="dataState">Opaque bytes of the caller, such as the position in the data; given back by <see cref="Load(string, WorkerPool, Trainer?, out byte[])"/>.</param>
    /// <exception cref="TernException">The file cannot be written.</exception>
    public void Save(string path, ReadOnlySpan<byte> dataState)
    {
        NativeBuffer<float>[] arrays = Arrays(_optimizer is not null);
        Checkpoint.Write(path, new CheckpointHeader(Shape, Recipe, Seed, StepsDone, arrays.Length, dataState.Length), dataState, arrays);
    }

    /// <summary>Writes the model as GGUF: quantized from the float masters, as the forward pass quantizes them.</summary>
    /// <param name="path">The file; replaced as a whole.</param>
    /// <param name="tokenizer">Its <c>tokenizer.*</c> keys are copied; as many tokens as the vocabulary or fewer.</param>
    /// <param name="options">Types and name.</param>
    /// <exception cref="TernException">As <see cref="CheckExport"/>, or the file cannot be written.</exception>
    public void Export(string path, Metadata tokenizer, ExportOptions options) =>
        GgufModel.Write(path, Shape, _parameters, WeightsOf(options.Average), Recipe.Linear, tokenizer, options);

    /// <summary>Refuses what <see cref="Export"/> would refuse, so that it is known before the work begins.</summary>
    /// <exception cref="TernException">There is no architecture for the shape, or a type does not fit precision or shape.</exception>
    public void CheckExport(ExportOptions options) => GgufModel.Check(Shape, _parameters, Recipe.Linear, options);

    public void Dispose()
    {
        _distiller?.Dispose();
        _network.Dispose();
        _optimizer?.Dispose();
        _gradients?.Dispose();
        _weights.Dispose();
    }

    private Optimizer Optimizer => _optimizer ??= new Optimizer(_parameters, Recipe, _weights, Gradients);

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

    /// <summary>The flat arrays of a checkpoint in their order.</summary>
    private NativeBuffer<float>[] Arrays(bool withMoments)
    {
        if (!withMoments)
            return [EditWeights()];
        Optimizer optimizer = Optimizer;
        return optimizer.Average is { } average
            ? [EditWeights(), optimizer.First, optimizer.Second, average]
            : [EditWeights(), optimizer.First, optimizer.Second];
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

    /// <summary>Goes forward as the teacher of another trainer, with the moving average of its weights where there is one.</summary>
    private void Teach(TokenBatch batch, int micro)
    {
        Prepare(WeightsOf(Recipe.AverageDecay > 0), new QuantizerState(Recipe.Linear, 1));
        _network.Forward(Load(batch, micro), batch.Length);
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

    /// <summary>The mean loss of a batch, and its gradient in <see cref="Gradients"/>; it ends at a loss that is no number, with the rows of that micro batch.</summary>
    private (double Loss, int FailedRows) Differentiate(TokenBatch batch, long targets)
    {
        Prepare(_weights, TrainingState);
        Clear(Gradients);
        float weight = 1f / Math.Max(1, targets);
        _distiller?.Begin(targets, batch.Inputs.Length);
        double loss = 0;
        for (int micro = 0; micro < batch.MicroBatches; micro++)
        {
            int sequences = Load(batch, micro);
            _network.Forward(sequences, batch.Length);
            _teacher?.Teach(batch, micro);
            _network.HeadLoss(weight, Gradients.Pointer, _distiller);
            loss += SumOfLosses(sequences * batch.Length);
            if (!double.IsFinite(loss))
                return (loss, sequences * batch.Length);
            _network.Back(sequences, batch.Length, Gradients.Pointer, _distiller);
        }

        return (loss / Math.Max(1, targets), 0);
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
        new(StepsDone + 1, loss, LearningRates.At(Recipe, StepsDone).Rate, (float)norm, batch.Inputs.Length, FirstNonFinite(rows));

    private string FirstNonFinite(int rows) => NonFinite.Find(_parameters, _weights, _network.Space, rows, Gradients);

    /// <summary>What the packed weights were made of.</summary>
    private sealed record Prepared(NativeBuffer<float> Weights, QuantizerState State);
}
