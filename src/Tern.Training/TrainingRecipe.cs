namespace Tern.Training;

/// <summary>What the linear layers of the blocks compute with. Embedding, norms and output matrix stay in full precision.</summary>
internal enum LinearPrecision
{
    /// <summary>float32 weights and activations.</summary>
    Full,

    /// <summary>-1, 0, +1 times mean|W| of the tensor; int8 activations per token.</summary>
    Ternary,

    /// <summary>sign(W - mean W) · mean|W| of the tensor, sign(0) = +1; int8 activations per token.</summary>
    Binary,

    /// <summary>Symmetric integers of N bits with a scale per row; float32 activations.</summary>
    Integer,

    /// <summary>
    /// -1, 0, +1 with a scale per row by the rule of ternary weight networks (Li et al. 2016), made for weights that were not trained to be ternary;
    /// int8 activations per token.
    /// </summary>
    TernaryRows,
}

/// <summary>The quantizer of the linear layers.</summary>
internal sealed record Quantizer
{
    public LinearPrecision Precision { get; init; } = LinearPrecision.Ternary;

    /// <summary>Bits of <see cref="LinearPrecision.Integer"/>, 2 to 8.</summary>
    public int Bits { get; init; } = 4;
}

/// <summary>How the learning rate goes over the steps, after a linear warm-up.</summary>
internal enum LearningSchedule
{
    /// <summary>Two lines: the first towards the second peak, the second, from half of the steps on, to zero; weight decay in the first half only.</summary>
    TwoStage,

    /// <summary>Half a cosine down to <see cref="TrainingRecipe.FinalLearningRate"/>.</summary>
    Cosine,

    /// <summary>Always the same.</summary>
    Constant,
}

/// <summary>How gradients become changes of the matrices in the blocks; embeddings and norms always change by AdamW.</summary>
internal enum OptimizerRule
{
    /// <summary>Each weight by its own moments.</summary>
    AdamW,

    /// <summary>Each matrix by its orthogonalized momentum.</summary>
    Muon,
}

/// <summary>How master weights are kept between steps.</summary>
internal enum MasterWeights
{
    Float32,

    /// <summary>bfloat16, rounded stochastically after each step with the trainer's own random numbers.</summary>
    BFloat16,
}

/// <summary>How the attention term relates two positions by their vectors a and b in one part of Q, K or V, of d columns.</summary>
internal enum AttentionRelation
{
    /// <summary>a · b / (|a| |b|), as Algorithm 1 of BitDistill and its code.</summary>
    Cosine,

    /// <summary>a · b / sqrt(d), as equation 12 of BitDistill: another objective, in which lengths count.</summary>
    Dot,
}

/// <summary>Everything that is configurable about training mathematics; defaults are those of BitNet b1.58 at small sizes.</summary>
internal sealed record TrainingRecipe
{
    public Quantizer Linear { get; init; } = new();

    /// <summary>Steps over which quantization is blended in, w + λ(q(w) - w) with λ = step / this, for fine-tuning; 0 quantizes at once.</summary>
    public int QuantizationWarmUpSteps { get; init; }

    /// <summary>Optimizer steps of the whole run; the schedules need to know the end.</summary>
    public int Steps { get; init; } = 1000;

    public LearningSchedule Schedule { get; init; } = LearningSchedule.TwoStage;

    public int WarmUpSteps { get; init; } = 50;

    /// <summary>Peak learning rate.</summary>
    public float LearningRate { get; init; } = 3e-3f;

    /// <summary>Learning rate at the start of the second stage.</summary>
    public float SecondLearningRate { get; init; } = 2e-3f;

    /// <summary>Where <see cref="LearningSchedule.Cosine"/> ends.</summary>
    public float FinalLearningRate { get; init; }

    public OptimizerRule Rule { get; init; } = OptimizerRule.AdamW;

    /// <summary>Muon's decay of the momentum.</summary>
    public float Momentum { get; init; } = 0.95f;

    /// <summary>AdamW's decay of the first moment.</summary>
    public float Beta1 { get; init; } = 0.9f;

    /// <summary>AdamW's decay of the second moment.</summary>
    public float Beta2 { get; init; } = 0.95f;

    public float AdamEpsilon { get; init; } = 1e-8f;

    /// <summary>Decoupled weight decay of the linear layers.</summary>
    public float WeightDecay { get; init; } = 0.1f;

    /// <summary>Whether embedding and output matrix decay too; norms never do.</summary>
    public bool DecayEmbedding { get; init; }

    /// <summary>Largest norm of the whole gradient; a larger one is scaled down to it. 0 is no limit.</summary>
    public float ClipNorm { get; init; } = 1;

    public MasterWeights Masters { get; init; } = MasterWeights.Float32;

    /// <summary>Decay per step of an exponential moving average of the weights; 0 keeps none.</summary>
    public float AverageDecay { get; init; }

    /// <summary>Standard deviation of fresh weights; projections into the residual stream get it divided by sqrt(2 · layers).</summary>
    public float InitialDeviation { get; init; } = 0.02f;

    /// <summary>Mixes in a teacher; null trains on the text alone.</summary>
    public Distillation? Distillation { get; init; }

    /// <summary>Checks every range.</summary>
    /// <param name="source">Where the recipe came from, for the message.</param>
    /// <exception cref="TernException">A field is out of its range; the message names it, the value and the range.</exception>
    public void Validate(string source) => RecipeRanges.Check(this, source);
}

/// <summary>
/// The terms of distillation: cross-entropy · CrossEntropyWeight + T² KL(teacher || student) · LogitWeight + attention relations · AttentionWeight.
/// </summary>
internal sealed record Distillation
{
    public float CrossEntropyWeight { get; init; } = 0.5f;

    public float LogitWeight { get; init; } = 0.5f;

    /// <summary>T, by which both sides' logits are divided.</summary>
    public float Temperature { get; init; } = 1;

    /// <summary>
    /// Weight of the attention relation term of BitDistill; 0 leaves it out. With <see cref="BalanceGradients"/> it is the wanted ratio, at Q, K
    /// and V, of the norm of the term's gradient to that of all that comes from the logits; else the plain factor.
    /// </summary>
    public float AttentionWeight { get; init; }

    /// <summary>The layer whose queries, keys and values are compared; negative counts from the end. Teacher and student use the same.</summary>
    public int AttentionLayer { get; init; } = -2;

    /// <summary>Parts into which each of Q, K, V is split before its vectors are compared; 0 is one per key head of the student.</summary>
    public int RelationHeads { get; init; }

    public AttentionRelation AttentionRelation { get; init; } = AttentionRelation.Cosine;

    /// <summary>Scales the attention term, anew in every micro batch, so that its gradient stays in proportion to that of the other terms.</summary>
    public bool BalanceGradients { get; init; } = true;
}
