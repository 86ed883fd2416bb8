using System.Collections.Concurrent;
using System.Text;
using Tern.Files;
using Tern.Text;

namespace Tern.Tests.Text;

/// <summary>Tokenizers of files, loaded once, and small vocabularies made in memory.</summary>
internal static class Vocabularies
{
    private static readonly ConcurrentDictionary<string, Lazy<Tokenizer>> s_files = [];

    /// <summary>The tokenizer of a file in the shared folder.</summary>
    public static Tokenizer Shared(params string[] parts) =>
        s_files.GetOrAdd(SharedData.File(parts), path => new(() => Tokenizer.From(VectorMetadata.Read(path), _ => { }))).Value;

    /// <summary>The tokenizer of one of the published vocabularies.</summary>
    public static Tokenizer Vector(string name) => Shared("vectors", "tokenizer", name + ".gguf");

    /// <summary>GPT-2's spelling of one byte, written from its definition and not with the code under test.</summary>
    public static string Spell(byte value)
    {
        bool Printable(int b) => b is (>= 33 and <= 126) or (>= 161 and <= 172) or (>= 174 and <= 255);
        return ((char)(Printable(value) ? value : 256 + Enumerable.Range(0, value).Count(b => !Printable(b)))).ToString();
    }

    /// <summary>GPT-2's spelling of a text.</summary>
    public static string Spell(string text) => string.Concat(Encoding.UTF8.GetBytes(text).Select(Spell));

    /// <summary>A byte-pair model: 256 bytes, then one token for every merge, then the given further tokens.</summary>
    public static Metadata BytePair(string[] merges, (string Spelling, TokenKind Kind)[]? more = null, string pre = "gpt-2")
    {
        List<string> tokens = [.. Enumerable.Range(0, 256).Select(value => Spell((byte)value))];
        tokens.AddRange(merges.Select(merge => merge.Replace(" ", "", StringComparison.Ordinal)).Except(tokens).ToArray());
        List<int> types = [.. tokens.Select(_ => (int)TokenKind.Normal)];
        foreach ((string spelling, TokenKind kind) in more ?? [])
        {
            tokens.Add(spelling);
            types.Add((int)kind);
        }

        var metadata = new Metadata("made.gguf");
        metadata.Set("tokenizer.ggml.model", "gpt2");
        metadata.Set("tokenizer.ggml.pre", pre);
        metadata.Set("tokenizer.ggml.tokens", StringTable.From(tokens));
        metadata.Set("tokenizer.ggml.token_type", types.ToArray());
        metadata.Set("tokenizer.ggml.merges", StringTable.From(merges));
        return metadata;
    }

    /// <summary>A SentencePiece model: unknown, begin, end, 256 byte tokens, then the given pieces with falling scores, then user-defined tokens.</summary>
    public static Metadata SentencePiece(string[] pieces, string[]? userDefined = null)
    {
        List<(string Token, TokenKind Kind, float Score)> rows =
        [
            ("<unk>", TokenKind.Unknown, 0), ("<s>", TokenKind.Control, 0), ("</s>", TokenKind.Control, 0),
            .. Enumerable.Range(0, 256).Select(value => ($"<0x{value:X2}>", TokenKind.Byte, 0f)),
            .. pieces.Select((piece, index) => (piece, TokenKind.Normal, -(float)index)),
            .. (userDefined ?? []).Select(token => (token, TokenKind.UserDefined, 0f)),
        ];
        var metadata = new Metadata("made.gguf");
        metadata.Set("tokenizer.ggml.model", "llama");
        metadata.Set("tokenizer.ggml.tokens", StringTable.From(rows.Select(row => row.Token)));
        metadata.Set("tokenizer.ggml.token_type", rows.Select(row => (int)row.Kind).ToArray());
        metadata.Set("tokenizer.ggml.scores", rows.Select(row => row.Score).ToArray());
        return metadata;
    }

    /// <summary>Loads a model that needs no assumption.</summary>
    public static Tokenizer Load(Metadata metadata) => Tokenizer.From(metadata, line => Assert.Fail(line));
}
