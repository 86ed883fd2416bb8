using System.Runtime.InteropServices;
using Tern.Text;

namespace Tern.Training.Vocabulary;

/// <summary>
/// How often every word of a corpus occurs, where a word is what the pre-tokenizer cuts: all that byte-pair training needs to know of a text.
/// Memory is proportional to the distinct words.
/// </summary>
/// <param name="preTokenizer">How text is cut; the tokenizer that is trained must cut in the same way.</param>
internal sealed class WordCounts(PreTokenizer preTokenizer)
{
    /// <summary>
    /// Longer words are counted in pieces of this many bytes: no token needs more, and a file without spaces must not cost its length for every merge.
    /// </summary>
    public const int WordBytesMax = 256;

    private readonly Dictionary<byte[], long> _counts = new(ByteArrayComparer.Instance);

    /// <summary>Distinct words.</summary>
    public int Distinct => _counts.Count;

    /// <summary>Words with how often each occurs, in no particular order.</summary>
    public IEnumerable<KeyValuePair<byte[], long>> All => _counts;

    /// <summary>Counts the words of a text.</summary>
    /// <param name="text">Valid UTF-8.</param>
    public void Add(ReadOnlySpan<byte> text) => Split(text, stage: 0);

    /// <summary>Applies the stages of the pre-tokenizer from <paramref name="stage"/> on; as deep as there are stages.</summary>
    private void Split(ReadOnlySpan<byte> piece, int stage)
    {
        if (stage == preTokenizer.Stages.Length)
        {
            for (; piece.Length > WordBytesMax; piece = piece[WordBytesMax..])
                Count(piece[..WordBytesMax]);
            Count(piece);
            return;
        }

        Scanner scan = preTokenizer.Stages[stage];
        for (int at = 0; at < piece.Length;)
        {
            int next = scan(piece, at);
            Split(piece[at..next], stage + 1);
            at = next;
        }
    }

    private void Count(ReadOnlySpan<byte> word)
    {
        Dictionary<byte[], long>.AlternateLookup<ReadOnlySpan<byte>> lookup = _counts.GetAlternateLookup<ReadOnlySpan<byte>>();
        if (word.Length > 0)
            CollectionsMarshal.GetValueRefOrAddDefault(lookup, word, out _)++;
    }

    /// <summary>Byte strings by their contents, so that a word of the text is looked up without a copy.</summary>
    private sealed class ByteArrayComparer : IEqualityComparer<byte[]>, IAlternateEqualityComparer<ReadOnlySpan<byte>, byte[]>
    {
        public static readonly ByteArrayComparer Instance = new();

        public bool Equals(byte[]? x, byte[]? y) => x.AsSpan().SequenceEqual(y);

        public bool Equals(ReadOnlySpan<byte> alternate, byte[] other) => alternate.SequenceEqual(other);

        public int GetHashCode(byte[] word) => GetHashCode(word.AsSpan());

        public int GetHashCode(ReadOnlySpan<byte> alternate)
        {
            var hash = default(HashCode);
            hash.AddBytes(alternate);
            return hash.ToHashCode();
        }

        public byte[] Create(ReadOnlySpan<byte> alternate) => alternate.ToArray();
    }
}
