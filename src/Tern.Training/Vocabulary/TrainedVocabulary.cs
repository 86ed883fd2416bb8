using System.Text;
using Tern.Files;
using Tern.Text;

namespace Tern.Training.Vocabulary;

/// <summary>
/// A byte-level byte-pair vocabulary as training made it.
/// <code>
/// 0 … 255 bytes | 256 … merges, in the order learned | special tokens | &lt;|unused0|&gt; … up to a multiple of 64
/// </code>
/// The padding makes the rows of the output matrix a multiple of what kernels work on at once.
/// </summary>
internal sealed class TrainedVocabulary
{
    /// <summary>The first token of every document.</summary>
    public const string Begin = "<|begin|>";

    /// <summary>The last token of every document.</summary>
    public const string End = "<|end|>";

    /// <summary>The number of tokens is a multiple of this.</summary>
    public const int Multiple = 64;

    private const int ByteTokens = 256;

    private readonly byte[][] _tokens; // bytes and merges

    /// <summary>A vocabulary.</summary>
    /// <param name="merges">What was learned; merge i makes token 256 + i.</param>
    /// <param name="special">Special tokens besides <see cref="Begin"/> and <see cref="End"/>.</param>
    /// <param name="preTokenizer">How text was cut into words.</param>
    public TrainedVocabulary(IReadOnlyList<(int Left, int Right)> merges, IReadOnlyList<string> special, PreTokenizer preTokenizer)
    {
        Merges = merges;
        PreTokenizer = preTokenizer;
        Special = [Begin, End, .. special];
        _tokens = new byte[ByteTokens + merges.Count][];
        for (int value = 0; value < ByteTokens; value++)
            _tokens[value] = [(byte)value];
        for (int i = 0; i < merges.Count; i++)
            _tokens[ByteTokens + i] = [.. _tokens[merges[i].Left], .. _tokens[merges[i].Right]];
        Count = (_tokens.Length + Special.Count + Multiple - 1) / Multiple * Multiple;
    }

    /// <summary>What was learned.</summary>
    public IReadOnlyList<(int Left, int Right)> Merges { get; }

    /// <summary>Special tokens, from id <see cref="FirstSpecial"/> on.</summary>
    public IReadOnlyList<string> Special { get; }

    /// <summary>How text is cut before merging.</summary>
    public PreTokenizer PreTokenizer { get; }

    /// <summary>Tokens, padding included.</summary>
    public int Count { get; }

    /// <summary>The id of <see cref="Begin"/>.</summary>
    public int FirstSpecial => _tokens.Length;

    /// <summary>Tokens that stand for nothing.</summary>
    public int Unused => Count - FirstSpecial - Special.Count;

    /// <summary>A token as files spell it: GPT-2's characters for bytes.</summary>
    public string Spelling(int id)
    {
        if (id >= FirstSpecial)
            return id - FirstSpecial < Special.Count ? Special[id - FirstSpecial] : $"<|unused{id - FirstSpecial - Special.Count}|>";

        var spelling = new StringBuilder();
        foreach (byte value in _tokens[id])
            spelling.Append(ByteAlphabet.Spell(value));
        return spelling.ToString();
    }

    /// <summary>Sets the keys <c>tokenizer.ggml.*</c>.</summary>
    /// <param name="metadata">Keys of a model file.</param>
    /// <param name="chatTemplate">A chat template, or null.</param>
    public void WriteTo(Metadata metadata, string? chatTemplate)
    {
        metadata.Set("tokenizer.ggml.model", "gpt2");
        metadata.Set("tokenizer.ggml.pre", PreTokenizer.Name);
        metadata.Set("tokenizer.ggml.tokens", StringTable.From(Enumerable.Range(0, Count).Select(Spelling)));
        metadata.Set("tokenizer.ggml.token_type", Enumerable.Range(0, Count).Select(id => (int)Kind(id)).ToArray());
        metadata.Set("tokenizer.ggml.merges", StringTable.From(Merges.Select(merge => $"{Spelling(merge.Left)} {Spelling(merge.Right)}")));
        metadata.Set("tokenizer.ggml.bos_token_id", (uint)FirstSpecial);
        metadata.Set("tokenizer.ggml.eos_token_id", (uint)FirstSpecial + 1);
        metadata.Set("tokenizer.ggml.padding_token_id", (uint)FirstSpecial + 1);
        metadata.Set("tokenizer.ggml.add_bos_token", true);
        metadata.Set("tokenizer.ggml.add_eos_token", false);
        if (chatTemplate is not null)
            metadata.Set("tokenizer.chat_template", chatTemplate);
    }

    private TokenKind Kind(int id) =>
        id < FirstSpecial ? TokenKind.Normal : id < FirstSpecial + Special.Count ? TokenKind.Control : TokenKind.Unused;
}
