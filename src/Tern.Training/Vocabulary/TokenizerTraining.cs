using Tern.Conversion.HuggingFace;
using Tern.Files;
using Tern.Text;
using Tern.Training.Data;

namespace Tern.Training.Vocabulary;

/// <summary>What a tokenizer is learned from and how large it becomes.</summary>
internal sealed record TokenizerTrainingOptions
{
    /// <summary>The smallest vocabulary: the bytes, the two special tokens, and the padding behind them.</summary>
    public const int TokensMin = 320;

    /// <summary>Beyond this, a vocabulary is no small model's any more.</summary>
    public const int TokensMax = 1 << 20;

    /// <summary>The text.</summary>
    public required CorpusOptions Corpus { get; init; }

    /// <summary>Tokens altogether; rounded up to a multiple of <see cref="TrainedVocabulary.Multiple"/>.</summary>
    public int Tokens { get; init; } = 4096;

    /// <summary>Special tokens besides begin and end.</summary>
    public IReadOnlyList<string> Special { get; init; } = [];

    /// <summary>How text is cut into words.</summary>
    public PreTokenizer PreTokenizer { get; init; } = PreTokenizers.Find("gpt-2")!;
}

/// <summary>Learns a tokenizer from a corpus.</summary>
internal static class TokenizerTraining
{
    /// <summary>The part of the progress that reading takes; learning merges is the rest.</summary>
    private const double ReadingShare = 0.7;

    /// <summary>Learns a tokenizer. Memory is proportional to the distinct words of the corpus.</summary>
    /// <param name="options">From what.</param>
    /// <param name="progress">Receives the share that is done, in [0, 1].</param>
    /// <param name="cancellation">Ends the work.</param>
    /// <exception cref="TernException">As <see cref="CorpusReader.Read"/>; no text; an option out of its range.</exception>
    public static TrainedVocabulary Run(TokenizerTrainingOptions options, Action<double> progress, CancellationToken cancellation)
    {
        int special = options.Special.Count + 2;
        int merges = options.Tokens - byte.MaxValue - 1 - special;
        if (options.Tokens is < TokenizerTrainingOptions.TokensMin or > TokenizerTrainingOptions.TokensMax || merges < 0)
            throw new TernException(ErrorKind.Request, $"a vocabulary of {options.Tokens} tokens is outside [{Math.Max(TokenizerTrainingOptions.TokensMin, special + 256)}, {TokenizerTrainingOptions.TokensMax}]");
        CheckSpecial(options.Special);

        var words = new WordCounts(options.PreTokenizer);
        double total = Math.Max(1, CorpusReader.TotalBytes(options.Corpus));
        foreach (CorpusPiece piece in CorpusReader.Read(options.Corpus, bytes => progress(ReadingShare * bytes / total)))
        {
            cancellation.ThrowIfCancellationRequested();
            words.Add(piece.Text.Span);
            foreach (ChatTurn turn in piece.Messages ?? [])
                words.Add(System.Text.Encoding.UTF8.GetBytes(turn.Content));
        }

        if (words.Distinct == 0)
            throw new TernException(ErrorKind.Request, $"{string.Join(", ", options.Corpus.Paths)}: there is no text to learn a tokenizer from; every file is empty or blank");
        List<(int Left, int Right)> learned = BytePairTrainer.Learn(words, merges, share => progress(ReadingShare + (1 - ReadingShare) * share), cancellation);
        return new TrainedVocabulary(learned, options.Special, options.PreTokenizer);
    }

    /// <summary>Writes a model file that holds the tokenizer and no tensors.</summary>
    /// <exception cref="TernException">The file cannot be written.</exception>
    public static void WriteGguf(string path, TrainedVocabulary vocabulary, string? chatTemplate)
    {
        var metadata = new Metadata(path);
        metadata.Set("general.architecture", "bitnet-b1.58");
        metadata.Set("general.name", "tokenizer");
        metadata.Set("general.description", "A tokenizer without a model, learned by tern train-tokenizer.");
        vocabulary.WriteTo(metadata, chatTemplate);
        GgufWriter.Write(path, metadata, []);
    }

    /// <summary>Writes the <c>tokenizer.json</c> of Hugging Face's tokenizers library.</summary>
    /// <exception cref="TernException">The file cannot be written, or its pre-tokenizer has no known form there.</exception>
    public static void WriteJson(string path, TrainedVocabulary vocabulary)
    {
        var metadata = new Metadata(path);
        vocabulary.WriteTo(metadata, chatTemplate: null);
        TokenizerJson.WriteFile(path, metadata);
    }

    private static void CheckSpecial(IReadOnlyList<string> special)
    {
        var seen = new HashSet<string>(StringComparer.Ordinal) { TrainedVocabulary.Begin, TrainedVocabulary.End };
        foreach (string token in special)
        {
            if (token.Length < 2 || token.StartsWith("<|unused", StringComparison.Ordinal))
                throw new TernException(ErrorKind.Request, $"the special token {FileError.Quote(token)} is wrong: it must have two characters or more, and not begin with '<|unused'");
            if (!seen.Add(token))
                throw new TernException(ErrorKind.Request, $"the special token {FileError.Quote(token)} is there twice; {TrainedVocabulary.Begin} and {TrainedVocabulary.End} are always there");
        }
    }
}
