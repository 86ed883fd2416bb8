using System.Text;
using Tern.Files;
using Tern.Models;
using Tern.Tests.Files;
using Tern.Text;
using Tern.Training.Data;
using Tern.Training.Vocabulary;

namespace Tern.Tests.Training.Data;

/// <summary>Text from a small grammar with fixed seeds, and a tokenizer learned from it.</summary>
internal static class TinyCorpus
{
    private static readonly string[] s_words =
        ["the", "cat", "dog", "saw", "ran", "little", "house", "under", "tree", "and", "then", "over", "river", "naïve", "Œuvre", "it's", "we'll", "42", "1905", "“well”", "—", "quiet"];

    /// <summary>Sentences, some of them on new lines.</summary>
    public static string Text(int seed, int words)
    {
        var random = new Random(seed);
        var text = new StringBuilder();
        for (int i = 0; i < words; i++)
        {
            text.Append(s_words[Math.Min(random.Next(s_words.Length), random.Next(s_words.Length))]);
            text.Append(random.Next(12) switch { 0 => ".\n", 1 => ", ", _ => " " });
        }

        return text.ToString().Trim();
    }

    /// <summary>Documents with a blank line between them.</summary>
    public static string Documents(int count, int words) => string.Join("\n\n", Enumerable.Range(0, count).Select(i => Text(i, words)));

    /// <summary>Writes a corpus and a tokenizer into a folder.</summary>
    public static (string Text, string Tokenizer) Write(TempFolder folder, int documents = 12, int words = 60, int tokens = 320, string? chatTemplate = null, string[]? special = null)
    {
        string text = folder.Write("corpus.txt", Encoding.UTF8.GetBytes(Documents(documents, words)));
        TrainedVocabulary vocabulary = TokenizerTraining.Run(
            new TokenizerTrainingOptions { Corpus = new CorpusOptions([text], DocumentSeparator.WholeFile), Tokens = tokens, Special = special ?? [] }, _ => { }, CancellationToken.None);
        string tokenizer = folder.File("tokenizer.gguf");
        TokenizerTraining.WriteGguf(tokenizer, vocabulary, chatTemplate);
        return (text, tokenizer);
    }

    public static (Metadata Metadata, Tokenizer Tokenizer) Open(string tokenizer)
    {
        using ModelSource file = Model.Open(tokenizer, new ModelOptions());
        return (file.Metadata, Tokenizer.From(file.Metadata, warning => Assert.Fail(warning)));
    }
}
