using Tern.Machine;
using Tern.Numerics;
using Tern.Tests.Training.Data;
using Tern.Training;
using Tern.Training.Data;
using Tern.Training.Runs;
using Tern.Training.Vocabulary;

namespace Tern.Tests.Training.Runs;

/// <summary>A model that teaches, or that a run starts from, must have the tokens of the run, not only as many.</summary>
public sealed class SameTokensTests : IDisposable
{
    private readonly TinyRun _run = new();

    public void Dispose() => _run.Dispose();

    [Theory]
    [InlineData("teacher")]
    [InlineData("from")]
    public void A_model_with_other_tokens_is_refused_with_the_first(string field)
    {
        string other = OtherTokenizer(), model = Model(other);
        TernException error = Assert.Throws<TernException>(() => _run.Job(_run.Fields("run", 2, (field, model), ("size", field == "from" ? null : "tiny"))));
        Assert.StartsWith($"{model}: the vocabulary is not that of the run: token 256 is '", error.Message, StringComparison.Ordinal);
        Assert.EndsWith($"--tokenizer {model}", error.Message, StringComparison.Ordinal);

        Assert.True(_run.Job(_run.Fields("same", 2, (field, Model(_run.Tokenizer)), ("size", field == "from" ? null : "tiny"))).Finished);
    }

    [Fact]
    public void A_checkpoint_teaches_whoever_taught_it_and_only_in_its_own_tokens()
    {
        _run.Job(_run.Fields("taught", 2, ("teacher", Model(_run.Tokenizer)), ("precision", "full"), ("export", "none")));
        string teacher = _run.In("taught", "checkpoints", "step-00000002.tern");
        Assert.NotNull(Trainer.Describe(teacher).Recipe.Distillation);
        Assert.True(_run.Job(_run.Fields("student", 2, ("teacher", teacher))).Finished);

        TernException error = Assert.Throws<TernException>(() => _run.Job(_run.Fields("other", 2, ("teacher", teacher), ("tokenizer", OtherTokenizer()))));
        Assert.Contains("the vocabulary is not that of the run: token 256", error.Message, StringComparison.Ordinal);
    }

    /// <summary>A tokenizer of another text with as many tokens.</summary>
    private string OtherTokenizer()
    {
        string text = _run.Folder.Write("other.txt", System.Text.Encoding.UTF8.GetBytes(string.Concat(Enumerable.Range(0, 4000).Select(i => $"{i * 7919 % 100_003} "))));
        TrainedVocabulary vocabulary = TokenizerTraining.Run(
            new TokenizerTrainingOptions { Corpus = new CorpusOptions([text], DocumentSeparator.WholeFile), Tokens = 320, Special = [] }, _ => { }, CancellationToken.None);
        string path = _run.Folder.File("other.gguf");
        TokenizerTraining.WriteGguf(path, vocabulary, chatTemplate: null);
        return path;
    }

    /// <summary>A model in full precision with the tokens of a tokenizer.</summary>
    private string Model(string tokenizer)
    {
        string path = _run.Folder.File("model-" + Path.GetFileName(tokenizer));
        using var pool = new WorkerPool(1);
        ModelShape shape = (new RunSettings { Size = "tiny", Context = 32 }).ShapeFor(320);
        using var trainer = new Trainer(shape, new TrainingRecipe { Linear = new Quantizer { Precision = LinearPrecision.Full } }, 3, pool, null);
        trainer.Export(path, TinyCorpus.Open(tokenizer).Metadata, new ExportOptions { Linears = TensorType.F16 });
        return path;
    }
}
