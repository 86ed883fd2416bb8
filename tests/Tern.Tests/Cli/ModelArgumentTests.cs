using Tern.Cli.Input;

namespace Tern.Tests.Cli;

/// <summary>Whether an argument is a model or a text.</summary>
public sealed class ModelArgumentTests
{
    [Theory]
    [InlineData("Once upon a time")]
    [InlineData("hello")]
    [InlineData("explain and/or in one sentence")]
    [InlineData("what is 1/2 + 1/4?")]
    public void A_lone_argument_that_names_no_file_is_the_text(string argument)
    {
        (string path, string? text) = ModelArgument.Resolve(argument, null);

        Assert.Equal(argument, text);
        Assert.Equal("storyteller.gguf", Path.GetFileName(path));
    }

    [Theory]
    [InlineData("absent.gguf")]
    [InlineData("my absent model.GGUF")]
    [InlineData("models/absent")]
    [InlineData("/absent")]
    [InlineData("C:\\models\\absent")]
    public void A_lone_argument_that_looks_like_a_path_is_a_missing_file(string argument)
    {
        TernException error = Assert.Throws<TernException>(() => ModelArgument.Resolve(argument, null));

        Assert.Equal(ErrorKind.File, error.Kind);
        Assert.Contains(argument, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void The_first_of_two_arguments_is_the_model()
    {
        Assert.Equal((TernProcess.Storyteller, "hello"), ModelArgument.Resolve(TernProcess.Storyteller, "hello"));
        Assert.Throws<TernException>(() => ModelArgument.Resolve("hello", "world"));
    }

    [Fact]
    public void A_known_name_is_a_model()
    {
        (string path, string? text) = ModelArgument.Resolve("storyteller", null);

        Assert.True(File.Exists(path));
        Assert.Null(text);
    }

    [Theory]
    [InlineData("../models/storyteller")]
    [InlineData("./storyteller")]
    public void A_name_never_leaves_the_models_folder(string argument) =>
        Assert.Throws<TernException>(() => ModelArgument.Resolve(argument));
}
