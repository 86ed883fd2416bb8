using System.Globalization;
using Tern.Files;

namespace Tern.Text;

/// <summary>
/// Reads <c>tokenizer.ggml.merges</c>: strings "left right" in the order of their rank, both parts spelled as the vocabulary is: in
/// <see cref="ByteAlphabet"/>, or in characters with U+2581 for a space.
/// </summary>
internal static class MergeReader
{
    private const string Key = "tokenizer.ggml.merges";

    /// <summary>
    /// True where a SentencePiece tokenizer merges by merges and not by scores. A key of Tern's own: published files of that kind carry merges that
    /// llama.cpp has never read, so merges alone must not change their ids.
    /// </summary>
    public const string DecideKey = "tern.tokenizer.merges_decide";

    /// <summary>Resolves the merges to ids. Those whose parts or result are no tokens can never apply and are left out with one warning.</summary>
    /// <param name="metadata">A model's keys.</param>
    /// <param name="vocabulary">Its tokens.</param>
    /// <param name="bytePair">Whether the parts are spelled in <see cref="ByteAlphabet"/>.</param>
    /// <param name="warn">Receives the warning.</param>
    /// <exception cref="TernException">The key is missing, is no array of strings, or holds a merge without two parts.</exception>
    public static MergeTable Read(Metadata metadata, Vocabulary vocabulary, bool bytePair, Action<string> warn)
    {
        StringTable merges = metadata.Strings(Key)
            ?? throw metadata.Missing(Key, "a byte-pair tokenizer cannot work without merges, convert the model again with its tokenizer");
        var table = new MergeTable(merges.Count);
        int unusable = 0;
        int example = -1;
        int merged = -1;
        Span<byte> both = new byte[2 * Vocabulary.TokenBytesMax];
        for (int rank = 0; rank < merges.Count; rank++)
        {
            ReadOnlySpan<byte> merge = merges[rank];

            // The first character belongs to the left part whatever it is.
            int space = merge.Length == 0 ? -1 : merge[1..].IndexOf((byte)' ') + 1;
            if (space <= 0 || space == merge.Length - 1)
            {
                throw metadata.Semantic(
                    metadata.Find(Key)!,
                    string.Create(CultureInfo.InvariantCulture, $"merge {rank} is not two tokens with a space between them"));
            }

            if (!TryResolve(vocabulary, bytePair, merge[..space], merge[(space + 1)..], both, out int left, out int right, ref merged))
            {
                unusable++;
                example = example < 0 ? rank : example;
                continue;
            }

            table.Add(left, right, rank, merged);
        }

        if (unusable > 0)
        {
            warn(string.Create(
                CultureInfo.InvariantCulture,
                $"{metadata.Path}: key '{Key}': {unusable} merges, the first at index {example}, name parts or results that are no tokens; they are ignored"));
        }

        return table;
    }

    /// <summary>Finds the three ids. On entry <c>merged</c> is the result of the merge before, as it mostly is of this one, or the token after it is.</summary>
    private static bool TryResolve(
        Vocabulary vocabulary, bool bytePair, ReadOnlySpan<byte> leftSpelling, ReadOnlySpan<byte> rightSpelling, Span<byte> both, out int left, out int right, ref int merged)
    {
        left = right = -1;
        if (leftSpelling.Length > Vocabulary.TokenBytesMax || rightSpelling.Length > Vocabulary.TokenBytesMax)
            return false;
        int leftBytes = leftSpelling.Length;
        int rightBytes = rightSpelling.Length;
        if (!bytePair)
        {
            leftSpelling.CopyTo(both);
            rightSpelling.CopyTo(both[leftBytes..]);
        }
        else if (!ByteAlphabet.TryDecode(leftSpelling, both, out leftBytes) || !ByteAlphabet.TryDecode(rightSpelling, both[leftBytes..], out rightBytes))
        {
            return false;
        }

        left = vocabulary.Table.Find(both[..leftBytes]);
        right = vocabulary.Table.Find(both.Slice(leftBytes, rightBytes));
        if (!IsSpelled(vocabulary, merged, leftSpelling, rightSpelling) && !IsSpelled(vocabulary, ++merged, leftSpelling, rightSpelling))
            merged = vocabulary.Table.Find(both[..(leftBytes + rightBytes)]);
        return (left | right | merged) >= 0;
    }

    private static bool IsSpelled(Vocabulary vocabulary, int id, ReadOnlySpan<byte> left, ReadOnlySpan<byte> right)
    {
        if ((uint)id >= (uint)vocabulary.Count || vocabulary.Kinds[id] != TokenKind.Normal)
            return false;
        ReadOnlySpan<byte> spelling = vocabulary.Spellings[id];
        return spelling.Length == left.Length + right.Length && spelling.StartsWith(left) && spelling.EndsWith(right);
    }
}
