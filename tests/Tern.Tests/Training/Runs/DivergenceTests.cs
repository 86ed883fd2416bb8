using System.Text.RegularExpressions;
using Tern.Machine;
using Tern.Tests.Cli;
using Tern.Training;

namespace Tern.Tests.Training.Runs;

/// <summary>A run whose numbers run away stops in one sentence, and what it saved last can still be computed with.</summary>
public sealed partial class DivergenceTests : IDisposable
{
    private readonly TinyRun _run = new();

    public void Dispose() => _run.Dispose();

    [Fact]
    public void A_learning_rate_of_1_ends_with_a_sentence_and_a_good_checkpoint()
    {
        // Decay by nine tenths of a learning rate of 1 multiplies weights by -9 with every step.
        TernResult result = _run.Run(
            "run", 200, "--precision", "full", "--learning-rate", "1", "--schedule", "constant", "--warm-up-steps", "0", "--weight-decay", "10", "--clip-norm", "0",
            "--checkpoint-every", "1", "--evaluate-every", "1");

        Match said = Sentence().Match(result.Error);
        Assert.True(said.Success, result.Error);
        Assert.Equal(1, result.ExitCode);
        Assert.EndsWith("; the same command with a smaller --learning-rate goes on from it\n", result.Error, StringComparison.Ordinal);
        string checkpoint = said.Groups["checkpoint"].Value;
        Assert.Equal(TinyRun.Checkpoints(_run.In("run")).Last(name => name.EndsWith(".tern", StringComparison.Ordinal)), Path.GetFileName(checkpoint));
        Assert.Matches(@"^(token_embd|output(_norm)?|gradient norm|blk\.\d+\.\w+)$", said.Groups["place"].Value);

        using WorkerPool pool = TinyModels.Pool(1);
        using Trainer trainer = Trainer.Load(checkpoint, pool, null, out _);
        var batch = new TokenBatch(1, 20, 1);
        Assert.Null(trainer.FindNonFinite(batch));
        Assert.True(double.IsFinite(trainer.Loss(batch).NegativeLogLikelihood));
    }

    [GeneratedRegex(@"^tern: error \(engine\): step \d+: the loss is no number any more; the first place that is not finite is (?<place>[^;]+); the last good checkpoint is (?<checkpoint>[^;]+); .*\n$")]
    private static partial Regex Sentence();
}
