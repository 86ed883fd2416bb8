using Tern.Hub;

namespace Tern.Tests.Hub;

/// <summary>Which file of a repository is the model.</summary>
public sealed class FileChoiceTests
{
    [Theory]
    [InlineData("model-F16.gguf ggml-model-i2_s.gguf", "ggml-model-i2_s.gguf", "I2_S")]
    [InlineData("a-Q4_K_M.gguf a-Q8_0.gguf a-Q4_0.gguf", "a-Q4_0.gguf", "Q4_0")]
    [InlineData("Ternary-8B-F16.gguf Ternary-8B-Q2_0.gguf Ternary-8B-PQ2_0.gguf", "Ternary-8B-Q2_0.gguf", "Q2_0")]
    [InlineData("Bonsai-8B.gguf README.md", "Bonsai-8B.gguf", "GGUF")]
    [InlineData("m-TQ1_0.gguf m-TQ2_0.gguf m-Q1_0.gguf", "m-Q1_0.gguf", "Q1_0")]
    [InlineData("m-Q5_K_M.gguf m-BF16.gguf", "m-BF16.gguf", "BF16")]
    [InlineData("m-mmproj-F16.gguf m-Q8_0.gguf", "m-Q8_0.gguf", "Q8_0")]
    [InlineData("x.gguf config.json model.safetensors", "x.gguf", "GGUF")]
    public void The_best_type_that_tern_runs_is_taken(string files, string main, string type)
    {
        FileChoice choice = Choose(files);

        Assert.Equal((main, type), (choice.Main, choice.Type));
        Assert.Equal([main], choice.Files.Select(f => f.Path));
    }

    [Theory]
    [InlineData("m-TL1.gguf")]
    [InlineData("m-tl2.gguf")]
    [InlineData("m-PQ2_0.gguf m-PTQ1_0.gguf")]
    [InlineData("mmproj-F16.gguf")]
    [InlineData("m-Q3_K_L.gguf m-IQ2_XXS.gguf")]
    [InlineData("m-Q4_0_8_8.gguf")]
    [InlineData("m-I2_S-00001-of-00003.gguf m-I2_S-00002-of-00003.gguf")]
    [InlineData("pytorch_model.bin config.json")]
    [InlineData("model.safetensors")]
    [InlineData("README.md")]
    public void A_repository_without_a_file_that_tern_runs_says_why_and_what_it_holds(string files)
    {
        TernException error = Assert.Throws<TernException>(() => Choose(files));

        Assert.Equal(ErrorKind.Unsupported, error.Kind);
        Assert.Contains(files.Split(' ')[0], error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Parts_of_a_split_file_go_together()
    {
        FileChoice choice = Choose("m-I2_S-00002-of-00002.gguf m-I2_S-00001-of-00002.gguf other-F16.gguf");

        Assert.Equal(["m-I2_S-00001-of-00002.gguf", "m-I2_S-00002-of-00002.gguf"], choice.Files.Select(f => f.Path));
        Assert.Equal("m-I2_S-00001-of-00002.gguf", choice.Main);
    }

    [Fact]
    public void A_checkpoint_is_what_is_needed_to_run_it_and_no_pickle()
    {
        FileChoice choice = Choose(
            "README.md config.json generation_config.json tokenizer.json tokenizer_config.json tokenizer.model special_tokens_map.json chat_template.jinja "
            + "model-00001-of-00002.safetensors model-00002-of-00002.safetensors model.safetensors.index.json pytorch_model.bin model.onnx weights.pt original/model.safetensors modeling.py");

        Assert.Null(choice.Main);
        Assert.Equal(
            ["chat_template.jinja", "config.json", "generation_config.json", "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors", "model.safetensors.index.json", "special_tokens_map.json", "tokenizer.json", "tokenizer.model", "tokenizer_config.json"],
            choice.Files.Select(f => f.Path).Order(StringComparer.Ordinal));
    }

    [Theory]
    [InlineData("config.json model.safetensors consolidated.safetensors adapter_model.safetensors", "config.json model.safetensors")]
    [InlineData("config.json model-00001-of-00001.safetensors model.fp16.safetensors", "config.json model-00001-of-00001.safetensors")]
    [InlineData("config.json weights.safetensors", "config.json weights.safetensors")]
    [InlineData("config.json model.safetensors 1_Pooling/config.json modules.json 2_Dense/model.safetensors additional_chat_templates/tool.jinja x/y.jinja", "config.json model.safetensors 1_Pooling/config.json modules.json additional_chat_templates/tool.jinja")]
    public void Weights_come_once_and_with_what_says_how_to_use_them(string files, string expected) =>
        Assert.Equal(expected.Split(' '), Choose(files).Files.Select(f => f.Path));

    [Theory]
    [InlineData("b-Q2_0.gguf", "b-Q2_0.gguf")]
    [InlineData("q2_0", "b-Q2_0.gguf")]
    [InlineData("Q4_K_M", "sub/b-Q4_K_M.gguf")]
    [InlineData("b-Q4_K_M.gguf", "sub/b-Q4_K_M.gguf")]
    [InlineData("config.json", "config.json")]
    public void A_file_or_type_that_is_asked_for_is_taken(string wanted, string expected) =>
        Assert.Equal(expected, Choose("a-I2_S.gguf b-Q2_0.gguf sub/b-Q4_K_M.gguf b-TL2.gguf config.json", wanted).Main);

    [Theory]
    [InlineData("absent.gguf", "a-I2_S.gguf")]
    [InlineData("b-TL2.gguf", "TL2")]
    public void A_file_that_is_absent_or_useless_is_refused_with_the_others(string wanted, string expected)
    {
        TernException error = Assert.Throws<TernException>(() => Choose("a-I2_S.gguf b-TL2.gguf", wanted));

        Assert.Contains(expected, error.Message, StringComparison.Ordinal);
        Assert.Contains("a-I2_S.gguf", error.Message, StringComparison.Ordinal);
    }

    private static FileChoice Choose(string files, string? wanted = null) =>
        FileChoice.From(new Tern.Hub.Repository("owner/name", "abcdef0", null, [.. files.Split(' ').Select(f => new RepositoryFile(f, 1, null, null))]), wanted, false, false);
}
