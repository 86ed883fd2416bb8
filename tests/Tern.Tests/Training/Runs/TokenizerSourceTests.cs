using System.Text;
using Tern.Tests.Cli;
using Tern.Training.Data;
using Tern.Training.Vocabulary;

namespace Tern.Tests.Training.Runs;

/// <summary>A tokenizer for a run may be a model file, a tokenizer.json, or a Hugging Face folder; one that does not know the text is refused.</summary>
public sealed class TokenizerSourceTests : IDisposable
{
    /// <summary>Spaces, a, b and c, without a token for anything else.</summary>
    private const string FewLetters =
        """
        {"added_tokens": [{"id": 0, "content": "<unk>", "special": true}, {"id": 1, "content": "<s>", "special": true}, {"id": 2, "content": "</s>", "special": true}],
         "normalizer": {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"}, {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]},
         "model": {"type": "BPE", "unk_token": "<unk>", "byte_fallback": false, "vocab": {"<unk>": 0, "<s>": 1, "</s>": 2, "▁": 3, "a": 4, "b": 5, "c": 6, "ab": 7}, "merges": [["a", "b"]]}}
        """;

    private readonly TinyRun _run = new();

    public void Dispose() => _run.Dispose();

    [Theory]
    [InlineData("learned.json")]
    [InlineData("learned.tokens")]
    [InlineData("folder/tokenizer.json")]
    [InlineData("folder")]
    public void Every_form_gives_the_run_of_the_model_file(string form)
    {
        WriteForms();
        _run.Run("expected", 2).AssertSucceeds();
        _run.Run("run", 2, "--tokenizer", _run.Folder.File(form)).AssertSucceeds();

        Assert.Equal(File.ReadAllBytes(_run.In("expected", "tokens.bin")), File.ReadAllBytes(_run.In("run", "tokens.bin")));
        Assert.Equal(
            TinyRun.Log(_run.In("expected")).Select(step => step.GetProperty("loss").GetDouble()),
            TinyRun.Log(_run.In("run")).Select(step => step.GetProperty("loss").GetDouble()));
        TernResult text = TernProcess.Run("run", _run.In("run", "model.gguf"), "the cat", "-n", "3", "--temp", "0", "--no-tune");
        Assert.Equal(0, text.ExitCode);
        Assert.Equal(TernProcess.Run("run", _run.In("expected", "model.gguf"), "the cat", "-n", "3", "--temp", "0", "--no-tune").Output, text.Output);
    }

    [Theory]
    [InlineData("nothing.json", "is missing")]
    [InlineData("nothing.gguf", "does not exist")]
    [InlineData("corpus.txt", "error at offset 0")]
    [InlineData("text.json", "no JSON")]
    [InlineData("empty", "no config.json")]
    public void What_is_no_tokenizer_is_refused(string name, string says)
    {
        Directory.CreateDirectory(_run.Folder.File("empty"));
        _run.Folder.Write("text.json", "the cat"u8.ToArray());
        TernResult result = _run.Run("run", 2, "--tokenizer", _run.Folder.File(name));

        Assert.Contains(says, result.Error, StringComparison.Ordinal);
        Assert.Contains(_run.Folder.File(name), result.Error, StringComparison.Ordinal);
        Assert.Equal(result.Error.Length - 1, result.Error.IndexOf('\n', StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("corpus.txt", "ab c\n\nba cé ab", "corpus.txt at offset 6, document 'corpus.txt#2'", "4 bytes into it")]
    [InlineData("corpus.jsonl", "{\"text\": \"ab c\"}\n{\"text\": \"é ab\"}", "corpus.jsonl: line 2 at offset 17, document 'corpus.jsonl#2'", "0 bytes into it")]
    public void A_vocabulary_without_a_character_of_the_text_is_refused_with_its_place(string name, string text, string place, string where)
    {
        string tokenizer = _run.Folder.Write("few.json", Encoding.UTF8.GetBytes(FewLetters)), data = _run.Folder.Write(name, Encoding.UTF8.GetBytes(text));
        TernResult result = TernProcess.Run("train", "--data", data, "--separator", "blank", "--tokenizer", tokenizer, "--size", "tiny", "--out", _run.In("run"));

        Assert.StartsWith("tern: error (request): ", result.Error, StringComparison.Ordinal);
        Assert.Contains(place, result.Error, StringComparison.Ordinal);
        Assert.Contains("'é' (U+00E9), " + where, result.Error, StringComparison.Ordinal);
        Assert.Equal(result.Error.Length - 1, result.Error.IndexOf('\n', StringComparison.Ordinal));
        Assert.False(File.Exists(_run.In("run", "tokens.bin")));
    }

    /// <summary>The tokenizer of the run as the other forms.</summary>
    private void WriteForms()
    {
        TrainedVocabulary vocabulary = TokenizerTraining.Run(
            new TokenizerTrainingOptions { Corpus = new CorpusOptions([_run.Text], DocumentSeparator.WholeFile), Tokens = 320, Special = [] }, _ => { }, CancellationToken.None);
        TokenizerTraining.WriteJson(_run.Folder.File("learned.json"), vocabulary);
        TokenizerTraining.WriteJson(_run.Folder.File("learned.tokens"), vocabulary);
        Directory.CreateDirectory(_run.Folder.File("folder"));
        TokenizerTraining.WriteJson(_run.Folder.File("folder/tokenizer.json"), vocabulary);
        File.WriteAllText(_run.Folder.File("folder/tokenizer_config.json"), """{"bos_token": "<|begin|>", "eos_token": {"content": "<|end|>"}}""");
    }
}
