using System.Text;
using Tern.Tests.Files;
using Tern.Training;
using Tern.Training.Runs;

namespace Tern.Tests.Training.Data;

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
        Assert.Null(configuration.FirstConflict(RunConfiguration.Read(folder.File("again.json"))));
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
        Assert.Equal("hidden", file.FirstConflict(flags)!.Name);
        flags.Set("hidden", ["128"]);
        Assert.Null(file.FirstConflict(flags)); // steps and threads may change; a context of 256 is the default
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
