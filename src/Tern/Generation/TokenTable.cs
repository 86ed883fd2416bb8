using Tern.Text;

namespace Tern.Generation;

/// <summary>The bytes that a token stands for; nothing for control tokens.</summary>
internal delegate ReadOnlySpan<byte> TokenBytes(int id);

/// <summary>What generation needs to know of a vocabulary.</summary>
/// <param name="Size">Ids are in [0, Size).</param>
/// <param name="Bytes">What a token stands for.</param>
/// <param name="Encode">Ids of a text, without special tokens.</param>
/// <param name="StopIds">Ids after which an answer ends.</param>
internal sealed record TokenTable(int Size, TokenBytes Bytes, Func<string, int[]> Encode, IReadOnlySet<int> StopIds)
{
    /// <summary>The vocabulary of a model.</summary>
    public static TokenTable From(Tokenizer tokenizer, int size) =>
        new(size, id => id < tokenizer.Count ? tokenizer.Bytes(id) : default, text => tokenizer.Encode(text, addSpecial: false), tokenizer.StopIds);
}
