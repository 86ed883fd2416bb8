using System.Text;
using Tern.Tests.Files;
using Tern.Training;
using Tern.Training.Runs;

namespace Tern.Tests.Training.Runs;

public sealed class RunConfigurationTests
{
    [Fact]
    public void Fields_have_names_and_flags_of_their_own()
    {
        Assert.Equal(RunFields.All.Count, RunFields.All.Select(field => field.Flag).Distinct().Count());
        Assert.All(RunFields.All, field => Assert.Matches("^--[a-z][a-z0-9-]*$", field.Flag));
        Assert.Equal("--learning-rate", RunFields.Find("learningRate")!.Flag);
    }

    [Fact]
    public void What_is_written_is_read_again()
    {
        using var folder = new TempFolder();
        string path = folder.Write("c.json", """{ "data": ["a.txt", "b"], "learningRate": 1e-3, "steps": 70, "subNorms": false, "precision": "int4", /* why */ "separator": "<|x|>" }"""u8.ToArray());
        RunConfiguration configuration = RunConfiguration.Read(path);
        configuration.Write(folder.File("again.json"));
        RunSettings settings = RunConfiguration.Read(folder.File("again.json")).Settings(field => field.Name);

        Assert.Equal(["a.txt", "b"], settings.Data);
        Assert.Equal((1e-3f, 70, false), (settings.LearningRate, settings.Steps, settings.SubNorms));
        Assert.Equal(new Quantizer { Precision = LinearPrecision.Integer, Bits = 4 }, settings.Recipe.Linear);
        Assert.Equal("<|x|>", settings.Separator.Line);
        Assert.Null(configuration.FirstConflict(RunConfiguration.Read(folder.File("again.json")), compares: false));
    }

    [Fact]
    public void Flags_win_over_the_file_and_conflicts_are_found()
    {
        var file = new RunConfiguration();
        file.Set("steps", ["10"]);
        file.Set("hidden", ["128"]);
        var flags = new RunConfiguration();
        flags.Set("steps", ["20"]);
        flags.Set("hidden", ["256"]);
        flags.Set("threads", ["2"]);
        flags.Set("context", ["256"]);

        Assert.Equal(20, file.With(flags).Settings(field => field.Name).Steps);
        Assert.Equal("hidden", file.FirstConflict(flags, compares: false)!.Name);
        flags.Set("hidden", ["128"]);
        Assert.Null(file.FirstConflict(flags, compares: false)); // steps and threads may change; a context of 256 is the default
        flags.Set("learningRate", ["0.01"]);
        Assert.Null(file.FirstConflict(flags, compares: false));
        Assert.Equal("learningRate", file.FirstConflict(flags, compares: true)!.Name); // the runs of a comparison are alike
    }

    [Theory]
    [InlineData("hours", "2", "steps", "20", 20, 0)]
    [InlineData("steps", "20", "hours", "2", 0, 2)]
    public void Of_steps_and_hours_the_last_one_counts(string before, string itsValue, string later, string value, int steps, double hours)
    {
        RunSettings settings = Of((before, itsValue)).With(Of((later, value))).Settings(field => field.Name);
        Assert.Equal((steps, hours), (settings.Steps, settings.Hours));
    }

    [Fact]
    public void Defaults_are_those_of_the_settings()
    {
        var defaults = new RunSettings();
        List<RunField> told = [.. RunFields.All.Where(field => field.Default is not null)];
        Assert.All(told, field => Assert.Equal(defaults, field.Set(defaults, [field.Default!], field.Name)));
        Assert.Equal(("256", "ternary", "5m", "0.02", "Once upon a time", null), (Default("context"), Default("precision"), Default("size"), Default("initialDeviation"), Default("prompt"), Default("hidden")));

        // Every kind that has a value of its own says so; the others say in words where theirs comes from.
        string[] chosen = ["layers", "hidden", "heads", "kvHeads", "headDim", "feedForward", "subNorms", "steps", "microBatch", "learningRate", "secondLearningRate", "checkpointEvery", "evaluateEvery", "export"];
        Assert.All(chosen, name => Assert.Contains("unless told", RunFields.Find(name)!.Help, StringComparison.Ordinal));
        Assert.All(RunFields.All.Where(field => field.Kind is not (RunFieldKind.Text or RunFieldKind.Texts)), field => Assert.True(field.Default is not null || field.Name == "hours" || chosen.Contains(field.Name), field.Name));

        static string? Default(string name) => RunFields.Find(name)!.Default;
    }

    [Theory]
    [InlineData("hidden", "64", "beside --from", "from=m.gguf")]
    [InlineData("size", "5m", "beside --from", "from=m.gguf")]
    [InlineData("tiedHead", "true", "beside --from", "from=m.gguf")]
    [InlineData("initialDeviation", "0.1", "beside --from", "from=m.gguf")]
    [InlineData("logitWeight", "1", "without --teacher")]
    [InlineData("attentionRelation", "dot", "without --teacher")]
    [InlineData("balanceGradients", "true", "without --teacher")]
    [InlineData("momentum", "0.9", "unless --optimizer is muon")]
    [InlineData("momentum", "0.9", "unless --optimizer is muon", "optimizer=adamw")]
    [InlineData("secondLearningRate", "0.001", "unless --schedule is two-stage", "schedule=constant")]
    [InlineData("finalLearningRate", "0", "unless --schedule is cosine")]
    [InlineData("precision", "ternary", "beside --compare", "compare")]
    [InlineData("teacher", "m.gguf", "beside --compare", "compare")]
    [InlineData("export", "i2_s", "beside --compare", "compare")]
    public void A_field_that_does_nothing_is_refused(string name, string value, string says, params string[] beside)
    {
        RunConfiguration fields = Of([(name, value), .. beside.Where(text => text != "compare").Select(text => (text.Split('=')[0], text.Split('=')[1]))]);
        bool compares = beside.Contains("compare");

        TernException error = Assert.Throws<TernException>(() => fields.CheckUse(null, compares, field => field.Flag));
        Assert.StartsWith($"{RunFields.Find(name)!.Flag} does nothing {says}", error.Message, StringComparison.Ordinal);
        fields.CheckUse(begun: fields, compares, field => field.Flag); // a run that was begun so goes on
    }

    [Theory]
    [InlineData(false, "momentum=0.9", "optimizer=muon")]
    [InlineData(false, "secondLearningRate=0.001")]
    [InlineData(false, "finalLearningRate=0", "schedule=cosine")]
    [InlineData(false, "logitWeight=1", "teacher=m.gguf")]
    [InlineData(false, "from=m.gguf", "subNorms=true", "batch=3")]
    [InlineData(true, "logitWeight=1", "export=none", "from=m.gguf")]
    public void A_field_that_does_something_is_taken(bool compares, params string[] fields) =>
        Of([.. fields.Select(text => (text.Split('=')[0], text.Split('=')[1]))]).CheckUse(null, compares, field => field.Flag);

    private static RunConfiguration Of(params (string Name, string Value)[] fields)
    {
        var configuration = new RunConfiguration();
        foreach ((string name, string value) in fields)
            configuration.Set(name, [value]);
        return configuration;
    }

    [Theory]
    [InlineData("""{ "stepz": 1 }""", "field 'stepz' is not known")]
    [InlineData("""{ "steps": 0 }""", "'steps': '0' is wrong: it takes a whole number from 1")]
    [InlineData("""{ "steps": "many" }""", "field 'steps' is String")]
    [InlineData("""{ "learningRate": 7 }""", "'learningRate': '7' is wrong")]
    [InlineData("""{ "precision": "int9" }""", "one of ternary, binary")]
    [InlineData("""{ "subNorms": 1 }""", "field 'subNorms' is Number")]
    [InlineData("""{ "data": [1] }""", "field 'data' is Number")]
    [InlineData("""{ "steps": 1, "steps": 2 }""", "no JSON")]
    [InlineData("""{ "steps": 1, "hours": 2 }""", "fields 'steps' and 'hours' contradict each other")]
    [InlineData("""{ "out": " " }""", "it takes the name of a folder")]
    [InlineData("""{ "steps": """, "no JSON")]
    [InlineData("[]", "JSON object of fields")]
    public void Mistakes_are_named(string json, string says)
    {
        using var folder = new TempFolder();
        string path = folder.Write("c.json", Encoding.UTF8.GetBytes(json));

        var error = Assert.Throws<TernException>(() => RunConfiguration.Read(path).Settings(field => $"{path}: '{field.Name}'"));
        Assert.StartsWith(path, error.Message, StringComparison.Ordinal);
        Assert.Contains(says, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Presets_are_shapes_of_about_their_size()
    {
        (string Name, double Millions)[] expected = [("1m", 1.2), ("5m", 5.3), ("10m", 10.4), ("16m", 15.8)];
        foreach ((string name, double millions) in expected)
        {
            ModelShape shape = (new RunSettings { Size = name }).ShapeFor(4096);
            shape.Validate(name);
            Assert.InRange(shape.Parameters / 1e6, millions - 0.1, millions + 0.1);
            Assert.Equal(0, shape.Hidden % 128);
            Assert.Equal(0, shape.FeedForward % 128);
        }

        Assert.Equal(4160, new RunSettings().ShapeFor(4097).Vocabulary);
    }
}
