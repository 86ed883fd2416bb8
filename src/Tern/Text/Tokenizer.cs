using Tern.Files;

namespace Tern.Text;

/// <summary>Text to token ids and back, as the model's metadata define it.</summary>
internal sealed class Tokenizer
{
    /// <summary>Reads <c>tokenizer.ggml.*</c>.</summary>
    /// <param name="metadata">A model's keys.</param>
    /// <param name="warn">Receives one line for everything that had to be assumed.</param>
    /// <param name="preTokenizer">Overrides <c>tokenizer.ggml.pre</c>.</param>
    public static Tokenizer From(Metadata metadata, Action<string> warn, string? preTokenizer = null) => throw new NotSupportedException();

    /// <summary>Number of tokens.</summary>
    public int Count => throw new NotSupportedException();

    /// <summary>Beginning-of-sequence id, or -1.</summary>
    public int Bos => throw new NotSupportedException();

    /// <summary>End-of-sequence id, or -1.</summary>
    public int Eos => throw new NotSupportedException();

    /// <summary>Ids after which generation stops: eos, eot, and what formats.md says of known files.</summary>
    public IReadOnlySet<int> StopIds => throw new NotSupportedException();

    /// <summary>Ids of <paramref name="text"/>.</summary>
    /// <param name="text">Any text.</param>
    /// <param name="addSpecial">Add BOS/EOS where the metadata say so.</param>
    /// <param name="parseSpecial">Read control tokens such as &lt;|eot_id|&gt; in the text as tokens instead of characters.</param>
    public int[] Encode(string text, bool addSpecial = true, bool parseSpecial = false) => throw new NotSupportedException();

    /// <summary>The bytes that a token stands for.</summary>
    /// <param name="id">In [0, Count).</param>
    /// <param name="special">Whether control tokens give their text instead of nothing.</param>
    public ReadOnlySpan<byte> Bytes(int id, bool special = false) => throw new NotSupportedException();

    /// <summary>Text of ids; invalid UTF-8 becomes U+FFFD.</summary>
    public string Decode(ReadOnlySpan<int> ids, bool special = false) => throw new NotSupportedException();
}
