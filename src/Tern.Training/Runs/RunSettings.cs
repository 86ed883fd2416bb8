using Tern.Training.Data;

namespace Tern.Training.Runs;

/// <summary>Everything that defines a training run. The fields of a configuration file, and the flags of <c>tern train</c>, set it by <see cref="RunField"/>.</summary>
internal sealed record RunSettings
{
    // Data.

    /// <summary>Text to train on: files and folders.</summary>
    public IReadOnlyList<string> Data { get; init; } = [];

    public DocumentSeparator Separator { get; init; } = DocumentSeparator.WholeFile;

    /// <summary>Files that are only measured.</summary>
    public IReadOnlyList<string> HeldOutFiles { get; init; } = [];

    /// <summary>Documents of the training text that are only measured.</summary>
    public IReadOnlyList<string> HeldOutNames { get; init; } = [];

    /// <summary>Share of the training text that is only measured when neither files nor documents are named.</summary>
    public double HeldOutShare { get; init; } = 0.02;

    /// <summary>A model file, a tokenizer.json or a Hugging Face folder whose tokenizer is used; null takes that of <see cref="From"/>.</summary>
    public string? Tokenizer { get; init; }

    /// <summary>A file with a chat template, instead of the tokenizer's own.</summary>
    public string? ChatTemplate { get; init; }

    // Model; null or 0 takes the preset's.

    public string Size { get; init; } = "5m";

    public int Layers { get; init; }

    public int Hidden { get; init; }

    public int Heads { get; init; }

    public int KvHeads { get; init; }

    public int HeadDim { get; init; }

    public int FeedForward { get; init; }

    public int Context { get; init; } = 256;

    public float RopeBase { get; init; } = 10_000;

    public float Epsilon { get; init; } = 1e-5f;

    public FeedForwardActivation Activation { get; init; } = FeedForwardActivation.SquaredRelu;

    /// <summary>Norms in front of the output and down projections; null is true for a new model, and what the model of <see cref="From"/> has.</summary>
    public bool? SubNorms { get; init; }

    public bool TiedHead { get; init; } = true;

    /// <summary>A model to start from instead of fresh weights: its shape, and its tokenizer unless another is named.</summary>
    public string? From { get; init; }

    // Recipe.

    /// <summary>The mathematics, but for steps, learning rates and distillation, which <see cref="RecipeFor"/> puts in from the fields here.</summary>
    public TrainingRecipe Recipe { get; init; } = new();

    /// <summary>First peak of the learning rate; 0 takes the preset's, or 0.02 with Muon, and a tenth of it with <see cref="From"/>.</summary>
    public float LearningRate { get; init; }

    /// <summary>Second peak; 0 is two thirds of the first.</summary>
    public float SecondLearningRate { get; init; }

    /// <summary>Sequences of an optimizer step.</summary>
    public int Batch { get; init; } = 8;

    /// <summary>Sequences computed at a time; 0 is all of them.</summary>
    public int MicroBatch { get; init; }

    /// <summary>Optimizer steps; 0 when <see cref="Hours"/> says how long.</summary>
    public int Steps { get; init; }

    /// <summary>How long the run may take; the steps are set from the measured speed at its start.</summary>
    public double Hours { get; init; }

    public ulong Seed { get; init; } = 1;

    /// <summary>A full-precision model with the same vocabulary that the student learns from.</summary>
    public string? Teacher { get; init; }

    /// <summary>How the teacher counts.</summary>
    public Distillation Distillation { get; init; } = new();

    // Run.

    /// <summary>The run folder.</summary>
    public string? Out { get; init; }

    /// <summary>Checkpoints that stay.</summary>
    public int Keep { get; init; } = 2;

    /// <summary>Steps between checkpoints; 0 is a twentieth of the run.</summary>
    public int CheckpointEvery { get; init; }

    /// <summary>Steps between measurements of the held-out text; 0 is a fortieth of the run.</summary>
    public int EvaluateEvery { get; init; }

    /// <summary>Sequences of held-out text that are measured on the way; all are at the end.</summary>
    public int EvaluateSequences { get; init; } = 64;

    /// <summary>What the samples of text begin with.</summary>
    public string Prompt { get; init; } = "Once upon a time";

    /// <summary>Tokens of a sample; 0 writes none.</summary>
    public int SampleTokens { get; init; } = 60;

    /// <summary>Worker threads; 0 is one per core.</summary>
    public int Threads { get; init; }

    /// <summary>Tensor type of the exported linear layers; null is I2_S for ternary and binary ones whose widths are multiples of 128, else F16; "none" exports nothing.</summary>
    public string? Export { get; init; }

    /// <summary>Tensor type of the exported embeddings.</summary>
    public string ExportEmbeddings { get; init; } = "f16";

    /// <summary>Whether the model is written as a Hugging Face checkpoint too.</summary>
    public bool ExportHuggingface { get; init; }

    /// <summary>Name of the model in its file.</summary>
    public string Name { get; init; } = "Tern";

    /// <summary>The shape of the model.</summary>
    /// <param name="vocabulary">Tokens of the tokenizer; padded here.</param>
    /// <exception cref="TernException">The model of <see cref="From"/> cannot be read, or has fewer tokens.</exception>
    public ModelShape ShapeFor(int vocabulary)
    {
        if (From is { } from)
        {
            ModelShape shape = Trainer.ShapeOf(from, Context, SubNorms);
            return shape.TokenRows >= vocabulary
                ? shape
                : throw new TernException(ErrorKind.Request, $"{from}: the model has {shape.TokenRows} tokens and the tokenizer {vocabulary}; take the model's own tokenizer");
        }

        SizePreset preset = SizePreset.Find(Size);
        int hidden = Hidden > 0 ? Hidden : preset.Hidden;
        int heads = Heads > 0 ? Heads : Math.Max(1, preset.Heads * hidden / preset.Hidden);
        return new ModelShape
        {
            Layers = Layers > 0 ? Layers : preset.Layers,
            Hidden = hidden,
            Heads = heads,
            KvHeads = KvHeads > 0 ? KvHeads : heads,
            HeadDim = HeadDim > 0 ? HeadDim : hidden / heads,
            FeedForward = FeedForward > 0 ? FeedForward : Math.Max(128, preset.FeedForward * hidden / preset.Hidden / 128 * 128),
            Vocabulary = ModelShape.Granule,
            Context = Context,
            RopeBase = RopeBase,
            Epsilon = Epsilon,
            Activation = Activation,
            SubNorms = SubNorms ?? true,
            TiedHead = TiedHead,
        }.WithTokens(vocabulary);
    }

    /// <summary>The recipe for a number of steps.</summary>
    /// <param name="steps">Of the whole run.</param>
    /// <param name="distils">Whether there is a teacher.</param>
    public TrainingRecipe RecipeFor(int steps, bool distils)
    {
        // Muon's changes have the same size at every width, and so the same best rate (LOG.md). Weights that know something are changed more carefully:
        // papers that tune models to 1.58 bits take about 1e-4, where they take 1.2e-3 to 1.5e-3 from scratch.
        const float rateOfMuon = 0.02f, shareOfTrained = 0.1f;
        float fresh = Recipe.Rule == OptimizerRule.Muon ? rateOfMuon : SizePreset.Find(Size).LearningRate;
        float rate = LearningRate > 0 ? LearningRate : From is null ? fresh : fresh * shareOfTrained;
        return Recipe with
        {
            Steps = steps,
            LearningRate = rate,
            SecondLearningRate = SecondRate(rate),
            WarmUpSteps = Math.Min(Recipe.WarmUpSteps, Math.Max(1, steps / 10)),
            Distillation = distils ? Distillation : null,
        };
    }

    /// <summary>The recipe of a run that goes on: as it was begun, but for steps and learning rates that are asked for.</summary>
    public TrainingRecipe Reaimed(TrainingRecipe begun) => begun with
    {
        Steps = Steps > 0 ? Steps : begun.Steps,
        LearningRate = LearningRate > 0 ? LearningRate : begun.LearningRate,
        SecondLearningRate = LearningRate > 0 ? SecondRate(LearningRate) : SecondLearningRate > 0 ? SecondLearningRate : begun.SecondLearningRate,
    };

    private float SecondRate(float first) => SecondLearningRate > 0 ? SecondLearningRate : first * 2 / 3;
}
