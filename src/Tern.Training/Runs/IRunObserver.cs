using Tern.Training.Data;

namespace Tern.Training.Runs;

/// <summary>What a run is about to do.</summary>
/// <param name="Shape">Dimensions.</param>
/// <param name="Recipe">Mathematics.</param>
/// <param name="Parameters">All weights.</param>
/// <param name="TrainTokens">Tokens of the training text.</param>
/// <param name="TrainDocuments">Documents of it.</param>
/// <param name="HeldOutDocuments">Documents that are only measured.</param>
/// <param name="HeldOutBytes">Their text.</param>
/// <param name="TokensPerStep">Tokens of an optimizer step.</param>
/// <param name="FirstStep">Steps that an earlier part of the run did.</param>
/// <param name="MemoryBytes">What the trainer takes.</param>
internal sealed record RunSummary(
    ModelShape Shape, TrainingRecipe Recipe, long Parameters, long TrainTokens, int TrainDocuments, int HeldOutDocuments, long HeldOutBytes,
    int TokensPerStep, int FirstStep, long MemoryBytes);

/// <summary>One line of the log.</summary>
/// <param name="Step">From 1.</param>
/// <param name="Loss">Of the batch, nats per token.</param>
/// <param name="LearningRate">That was used.</param>
/// <param name="GradientNorm">Before clipping.</param>
/// <param name="Tokens">Tokens seen since the run began.</param>
/// <param name="TokensPerSecond">Of this step.</param>
/// <param name="Epochs">Passes over the training text.</param>
internal sealed record StepRecord(int Step, double Loss, float LearningRate, float GradientNorm, long Tokens, double TokensPerSecond, double Epochs)
{
    /// <summary>The held-out text, when it was measured behind this step.</summary>
    public HeldOutScore? HeldOut { get; init; }

    /// <summary>Shares of -1, 0 and +1 in every linear layer, with <see cref="HeldOut"/>, of ternary models.</summary>
    public LayerShares? Shares { get; init; }

    /// <summary>What the teacher gave, of runs that have one.</summary>
    public DistillationReport? Teaching { get; init; }

    /// <summary>Text that the model wrote, with <see cref="HeldOut"/>.</summary>
    public string? Sample { get; init; }
}

/// <summary>Who shows a run: a live display at a terminal, or plain lines.</summary>
internal interface IRunObserver
{
    /// <summary>So much of the text is encoded, in [0, 1]; comes with every document.</summary>
    void Encoded(double share);

    /// <summary>The run begins or goes on.</summary>
    void Started(RunSummary run);

    /// <summary>A step is done; <paramref name="secondsLeft"/> of all the rest at the present speed.</summary>
    void Stepped(StepRecord step, double secondsLeft);

    /// <summary>A checkpoint is on the disk.</summary>
    void Saved(string path);

    /// <summary>Something worth a line.</summary>
    void Note(string text);
}
