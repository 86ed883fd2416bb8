namespace Tern.Text;

/// <summary>Token ids to text piece by piece, holding back bytes until they are whole characters.</summary>
internal sealed class StreamingDecoder(Tokenizer tokenizer, bool special = false)
{
    private readonly Tokenizer _tokenizer = tokenizer;
    private readonly bool _special = special;

    /// <summary>Text that became complete with this token; often empty inside a character.</summary>
    public string Append(int id) => throw new NotSupportedException($"{_tokenizer} {_special} {id}");

    /// <summary>What is left at the end, incomplete bytes as U+FFFD.</summary>
    public string Flush() => throw new NotSupportedException();
}
