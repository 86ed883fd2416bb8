using System.Text.Json;
using Tern.Training;
using Tern.Training.Runs;

namespace Tern.Tests.Training.Runs;

/// <summary>What a run that goes on may change, and what it must find again.</summary>
public sealed class ContinuedRunTests : IDisposable
{
    private readonly TinyRun _run = new();

    public void Dispose() => _run.Dispose();

    [Fact]
    public void A_run_by_hours_goes_on_by_steps()
    {
        _run.Job(_run.Fields("run", 2));
        _run.Fields("run", 0, ("steps", null), ("hours", "1")).Write(_run.In("run", "config.json"));
        RunConfiguration more = Only(("out", _run.In("run")), ("steps", "4"));

        Assert.Equal((4, true), (_run.Job(more).StepsDone, true));
        RunConfiguration stored = RunConfiguration.Read(_run.In("run", "config.json"));
        Assert.Equal((true, false), (stored.Has("steps"), stored.Has("hours")));
    }

    [Fact]
    public void A_run_goes_on_with_another_learning_rate()
    {
        _run.Job(_run.Fields("run", 4, ("schedule", "constant"), ("warmUpSteps", "0"), ("learningRate", "0.01")));
        var observer = new RecordingObserver();
        _run.Job(Only(("out", _run.In("run")), ("steps", "6"), ("learningRate", "0.001")), observer);

        float[] rates = [.. TinyRun.Log(_run.In("run")).Select(step => step.GetProperty("learningRate").GetSingle())];
        Assert.Equal([0.01f, 0.01f, 0.01f, 0.01f, 0.001f, 0.001f], rates);
        Assert.Contains(observer.Notes, note => note.Contains("the learning rate are 0.001 and", StringComparison.Ordinal));
        using JsonDocument configuration = JsonDocument.Parse(File.ReadAllBytes(_run.In("run", "config.json")));
        Assert.Equal(0.001, configuration.RootElement.GetProperty("learningRate").GetDouble());
        TrainingRecipe recipe = Trainer.Describe(_run.In("run", "checkpoints", "step-00000006.tern")).Recipe;
        Assert.Equal((0.001f, 0.001f * 2 / 3), (recipe.LearningRate, recipe.SecondLearningRate));

        // Nothing is said anew, so nothing changes.
        _run.Job(Only(("out", _run.In("run")), ("steps", "7")));
        Assert.Equal(recipe with { Steps = 7 }, Trainer.Describe(_run.In("run", "checkpoints", "step-00000007.tern")).Recipe);
    }

    [Fact]
    public void Tokens_that_are_gone_are_made_again_and_those_of_another_text_are_refused()
    {
        _run.Job(_run.Fields("run", 2));
        string tokens = _run.In("run", "tokens.bin");
        byte[] before = File.ReadAllBytes(tokens);
        File.Delete(tokens);
        File.Delete(_run.Tokenizer); // the run has its own
        _run.Job(_run.Fields("run", 4));
        Assert.Equal(before, File.ReadAllBytes(tokens));

        File.Delete(tokens);
        File.AppendAllText(_run.Text, "\n\nthe cat saw the dog");
        Assert.Contains("made with another corpus", Assert.Throws<TernException>(() => _run.Job(_run.Fields("run", 6))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Quantization_that_would_not_be_blended_in_is_refused_with_both_numbers()
    {
        TernException begun = Assert.Throws<TernException>(() => _run.Job(_run.Fields("run", 4, ("quantizationWarmUpSteps", "4"))));
        Assert.Contains("over 4 steps, and the run has only 4", begun.Message, StringComparison.Ordinal);

        _run.Job(_run.Fields("blended", 6, ("quantizationWarmUpSteps", "3"), ("keep", "10")));
        foreach (string name in TinyRun.Checkpoints(_run.In("blended")).Where(name => name.Contains("0004", StringComparison.Ordinal) || name.Contains("0006", StringComparison.Ordinal)))
            File.Delete(_run.In("blended", "checkpoints", name));
        TernException shortened = Assert.Throws<TernException>(() => _run.Job(_run.Fields("blended", 3, ("quantizationWarmUpSteps", "3"))));
        Assert.Contains("over 3 steps, and the run has only 3", shortened.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_trained_model_takes_a_tenth_of_the_rate_of_fresh_weights()
    {
        Assert.Equal(3e-3f, new RunSettings().RecipeFor(10, distils: false).LearningRate);
        Assert.Equal(3e-4f, new RunSettings { From = "model.gguf" }.RecipeFor(10, distils: false).LearningRate, 1e-9f);
        Assert.Equal(2e-3f, new RunSettings { From = "model.gguf", Recipe = new TrainingRecipe { Rule = OptimizerRule.Muon } }.RecipeFor(10, distils: false).LearningRate, 1e-9f);
        Assert.Equal(0.01f, new RunSettings { From = "model.gguf", LearningRate = 0.01f }.RecipeFor(10, distils: false).LearningRate);
    }

    private static RunConfiguration Only(params (string Name, string Value)[] fields)
    {
        var configuration = new RunConfiguration();
        foreach ((string name, string value) in fields)
            configuration.Set(name, [value]);
        return configuration;
    }
}
