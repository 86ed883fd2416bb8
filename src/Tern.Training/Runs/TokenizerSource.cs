using Tern.Files;
using Tern.Models;
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
        if (File.Exists(inFolder) || path.EndsWith(".json", StringComparison.OrdinalIgnoreCase))
            return ReadJson(File.Exists(inFolder) ? inFolder : path, warn);
        using ModelSource file = Model.Open(path, new ModelOptions());
        return file.Metadata;
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
