using Tern.Files;
using Tern.Models;
using Tern.Text;
using Tern.Text.Templates;
using Tern.Training.Data;

namespace Tern.Training.Runs;

/// <summary>The data of a run, opened: its tokenizer, and the corpus as training and held-out text.</summary>
internal sealed class RunData : IDisposable
{
    private readonly TokenCache _cache;

    private RunData(Metadata metadata, Tokenizer tokenizer, TokenCache cache, HeldOutSplit split, RunSettings settings)
    {
        (Metadata, Tokenizer, _cache, Split) = (metadata, tokenizer, cache, split);
        Train = new TrainingStream(cache, split.Train, settings.Context, tokenizer.Bos, settings.Seed);
        HeldOut = new HeldOutText(cache, split.HeldOut, settings.Context, tokenizer);
        HeldOutBytes = split.HeldOut.Sum(index => cache.Documents[index].TextBytes);
        HeldOutNames = [.. split.HeldOut.Select(index => cache.Documents[index].Name)];
    }

    /// <summary>The tokenizer's keys.</summary>
    public Metadata Metadata { get; }

    public Tokenizer Tokenizer { get; }

    public HeldOutSplit Split { get; }

    public TrainingStream Train { get; }

    public HeldOutText HeldOut { get; }

    /// <summary>Text bytes of the held-out documents.</summary>
    public long HeldOutBytes { get; }

    /// <summary>Their names.</summary>
    public IReadOnlyList<string> HeldOutNames { get; }

    /// <summary>Encodes a corpus into a run folder. A run that goes on keeps the tokenizer that it began with.</summary>
    /// <param name="folder">Where to.</param>
    /// <param name="settings">The corpus and the tokenizer.</param>
    /// <param name="warn">Receives one line for everything that had to be assumed.</param>
    /// <param name="progress">Receives the share that is done, in [0, 1].</param>
    /// <param name="cancellation">Ends the work.</param>
    /// <exception cref="TernException">No data or tokenizer is named, or they cannot be read.</exception>
    public static void Prepare(RunFolder folder, RunSettings settings, Action<string> warn, Action<double> progress, CancellationToken cancellation)
    {
        if (settings.Data.Count == 0)
            throw new TernException(ErrorKind.Request, "no data is named; give text or JSONL files, or folders of them, with --data");
        bool keepsTokenizer = folder.IsBegun && File.Exists(folder.Tokenizer);
        string source = (keepsTokenizer ? folder.Tokenizer : settings.Tokenizer ?? settings.From)
            ?? throw new TernException(ErrorKind.Request, "no tokenizer is named; give a model file with --tokenizer, or make one with 'tern train-tokenizer FILES -o tokenizer.gguf'");
        var corpus = new CorpusOptions(settings.Data, settings.Separator) { Except = settings.HeldOutFiles };
        var heldOut = settings.HeldOutFiles.Count == 0 ? null : new CorpusOptions(settings.HeldOutFiles, settings.Separator);
        folder.CheckSpace(CorpusReader.TotalBytes(corpus) + (heldOut is null ? 0 : CorpusReader.TotalBytes(heldOut)));

        if (!keepsTokenizer)
            CopyTokenizer(ReadTokenizer(source, settings.From, warn), settings, folder.Tokenizer);
        (Metadata metadata, Tokenizer tokenizer) = OpenTokenizer(folder, warn);
        ChatTemplate? template = Tern.Text.Templates.ChatTemplate.From(metadata, tokenizer, warn);
        TokenCacheWriter.Write(
            folder.Tokens, corpus, heldOut, tokenizer, template is null ? null : new ChatEncoder(template, tokenizer), progress, cancellation);
    }

    /// <summary>Opens what <see cref="Prepare"/> wrote.</summary>
    /// <exception cref="TernException">A file is missing or damaged, or the text is too short.</exception>
    public static RunData Open(RunFolder folder, RunSettings settings)
    {
        (Metadata metadata, Tokenizer tokenizer) = OpenTokenizer(folder, _ => { });
        TokenCache cache = TokenCache.Open(folder.Tokens, tokenizer.Count);
        try
        {
            HeldOutSplit split = HeldOutSplit.Of(cache.Documents, new HeldOutOptions(settings.HeldOutShare, settings.HeldOutNames, settings.Seed));
            return new RunData(metadata, tokenizer, cache, split, settings);
        }
        catch
        {
            cache.Dispose();
            throw;
        }
    }

    /// <summary>The position in the data, for checkpoints.</summary>
    public byte[] Save() => [.. _cache.Identity.Span, .. Train.Save()];

    /// <summary>Goes to a saved position.</summary>
    /// <exception cref="TernException">It is one of another corpus.</exception>
    public void Restore(ReadOnlySpan<byte> state, string checkpoint)
    {
        int identity = _cache.Identity.Length;
        if (state.Length < identity || !state[..identity].SequenceEqual(_cache.Identity.Span))
            throw new TernException(ErrorKind.Semantic, $"{checkpoint}: the checkpoint was made with another corpus than the run folder holds; resume in the folder that the run began in");
        Train.Restore(state[identity..]);
    }

    public void Dispose() => _cache.Dispose();

    private static (Metadata Metadata, Tokenizer Tokenizer) OpenTokenizer(RunFolder folder, Action<string> warn)
    {
        using ModelSource file = Model.Open(folder.Tokenizer, new ModelOptions());
        return (file.Metadata, Tokenizer.From(file.Metadata, warn));
    }

    /// <summary>The tokenizer of a run, which must be that of the model that it starts from.</summary>
    private static Metadata ReadTokenizer(string source, string? from, Action<string> warn)
    {
        Metadata metadata = TokenizerSource.Read(source, warn);
        if (from is not null && from != source)
            TokenizerSource.CheckSame(metadata, from, TokenizerSource.OfModel(from));
        return metadata;
    }

    private static void CopyTokenizer(Metadata source, RunSettings settings, string target)
    {
        var copy = new Metadata(target);
        copy.Set("general.architecture", source.String("general.architecture") ?? "bitnet-b1.58");
        copy.Set("general.name", "tokenizer");
        foreach (MetadataEntry entry in source.Entries)
            if (entry.Key.StartsWith("tokenizer.", StringComparison.Ordinal))
                copy.TryAdd(entry);
        if (settings.ChatTemplate is { } path)
            copy.Set("tokenizer.chat_template", ReadTemplate(path));
        GgufWriter.Write(target, copy, []);
    }

    private static string ReadTemplate(string path)
    {
        try
        {
            return File.ReadAllText(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new TernException(ErrorKind.File, $"{path}: the chat template cannot be read: {e.Message}", e);
        }
    }
}
