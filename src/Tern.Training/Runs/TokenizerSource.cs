using Tern.Files;
using Tern.Models;
using Tern.Text;
using Tern.Text.HuggingFace;

namespace Tern.Training.Runs;

/// <summary>Where a tokenizer comes from: a model file, a tokenizer.json under any name, or a Hugging Face folder, which needs no weights.</summary>
internal static class TokenizerSource
{
    private const string Prefix = "tokenizer.ggml.";

    /// <summary>Tokens that begin and end a document, for a tokenizer.json alone, which has no place to say so; the first that is there counts.</summary>
    private static readonly (string Key, string[] Spellings)[] s_ends =
    [
        ("bos_token_id", ["<|begin|>", "<s>", "<|begin_of_text|>", "<bos>", "[CLS]"]),
        ("eos_token_id", ["<|end|>", "</s>", "<|end_of_text|>", "<|endoftext|>", "<eos>", "[SEP]"]),
    ];

    /// <summary>Reads the keys of a tokenizer.</summary>
    /// <param name="path">File or folder.</param>
    /// <param name="warn">Receives one line for everything that had to be assumed.</param>
    /// <exception cref="TernException">There is no tokenizer, or one of a kind that is not known.</exception>
    public static Metadata Read(string path, Action<string> warn)
    {
        string inFolder = Path.Combine(path, "tokenizer.json");
        if (File.Exists(inFolder) || IsJson(path))
            return ReadJson(File.Exists(inFolder) ? inFolder : path, warn);
        return OfModel(path);
    }

    /// <summary>The keys of a model, its tokenizer's among them.</summary>
    /// <exception cref="TernException">It is no model.</exception>
    public static Metadata OfModel(string path)
    {
        using ModelSource file = Model.Open(path, new ModelOptions());
        return file.Metadata;
    }

    /// <summary>
    /// Refuses a model whose tokens are not those of the run, so that an id would mean something else to it. One of the lists may be longer, and tokens that
    /// stand for nothing may have any name: that is how vocabularies are filled up.
    /// </summary>
    /// <param name="tokenizer">The keys of the run's tokenizer.</param>
    /// <param name="model">The model, for the message.</param>
    /// <param name="metadata">Its keys; a model without tokens is not looked at.</param>
    /// <exception cref="TernException">A token differs; the message has the first.</exception>
    public static void CheckSame(Metadata tokenizer, string model, Metadata metadata)
    {
        if (tokenizer.Strings(Prefix + "tokens") is not { } ours || metadata.Strings(Prefix + "tokens") is not { } theirs)
            return;
        int[] ourKinds = Kinds(tokenizer), theirKinds = Kinds(metadata);
        for (int id = 0; id < Math.Min(ours.Count, theirs.Count); id++)
            if (!ours[id].SequenceEqual(theirs[id]) && !IsUnused(ourKinds, id) && !IsUnused(theirKinds, id))
                throw new TernException(
                    ErrorKind.Request,
                    $"{model}: the vocabulary is not that of the run: token {id} is {FileError.Quote(theirs.Text(id))} there and {FileError.Quote(ours.Text(id))} here; train with the model's own tokenizer, --tokenizer {model}");

        static int[] Kinds(Metadata metadata) => metadata.Array<int>(Prefix + "token_type") ?? [];
        static bool IsUnused(int[] kinds, int id) => id < kinds.Length && kinds[id] == (int)TokenKind.Unused;
    }

    /// <summary>Whether a file is JSON: it begins with a brace, whatever its name. A name that says so gets the errors of JSON, unless the file is a model.</summary>
    private static bool IsJson(string path) => FirstByte(path) switch
    {
        (byte)'{' => true,
        (byte)'G' => false,
        _ => path.EndsWith(".json", StringComparison.OrdinalIgnoreCase),
    };

    /// <summary>The first byte of a file that is no space and no byte order mark, as far as one looks; 0 where there is none.</summary>
    private static byte FirstByte(string path)
    {
        if (!File.Exists(path))
            return 0;
        Span<byte> start = stackalloc byte[256];
        try
        {
            using FileStream stream = File.OpenRead(path);
            start = start[..stream.ReadAtLeast(start, start.Length, throwOnEndOfStream: false)];
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return 0; // whoever reads it says why it cannot be read
        }

        if (start.StartsWith("\uFEFF"u8))
            start = start[3..];
        start = start.TrimStart(" \t\r\n"u8);
        return start.IsEmpty ? (byte)0 : start[0];
    }

    private static Metadata ReadJson(string path, Action<string> warn)
    {
        var metadata = new Metadata(path);
        HuggingFaceTokenizer.Read(path, metadata, warn);
        StringTable tokens = metadata.Strings(Prefix + "tokens")!;
        foreach ((string key, string[] spellings) in s_ends)
        {
            if (metadata.Find(Prefix + key) is not null)
                continue;
            int id = spellings.Select(spelling => IndexOf(tokens, spelling)).FirstOrDefault(found => found >= 0, -1);
            if (id < 0)
                continue;
            metadata.Set(Prefix + key, (uint)id);
            warn($"{path}: no file says which token is the '{key}'; taking {FileError.Quote(tokens.Text(id))}");
        }

        return metadata;
    }

    private static int IndexOf(StringTable tokens, string spelling)
    {
        for (int id = 0; id < tokens.Count; id++)
            if (tokens.Text(id) == spelling)
                return id;
        return -1;
    }
}
