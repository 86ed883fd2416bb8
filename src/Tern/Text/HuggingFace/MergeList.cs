using System.Globalization;
using System.Text.Json;
using Tern.Files;

namespace Tern.Text.HuggingFace;

/// <summary>
/// The merges of a byte-pair model in the order of their rank, read from either form, <c>"left right"</c> or <c>["left", "right"]</c>. A part with a
/// space in it has no place in a GGUF file, which separates the parts with one; it could not apply anyway, because text reaches merging with its
/// spaces spelled U+0120 or U+2581.
/// </summary>
internal sealed class MergeList
{
    private readonly List<(string Left, string Right)> _merges = [];

    private MergeList()
    {
    }

    /// <summary>The merges, lowest rank first.</summary>
    public IReadOnlyList<(string Left, string Right)> Merges => _merges;

    /// <summary>Reads and checks the merges.</summary>
    /// <exception cref="TernException">Semantic: the field is missing or holds something that is not two tokens.</exception>
    public static MergeList Read(JsonField merges, Action<string> warn)
    {
        if (!merges.IsArray)
            throw merges.Semantic("is missing or no array: byte-pair encoding cannot work without merges");

        var list = new MergeList();
        int rank = 0;
        int spaced = 0;
        foreach (JsonElement merge in merges.Element.EnumerateArray())
        {
            (string? left, string? right) = Parts(merge);
            if (string.IsNullOrEmpty(left) || string.IsNullOrEmpty(right))
            {
                // Old files kept the first line of merges.txt.
                if (rank == 0 && merge.ValueKind == JsonValueKind.String && merge.ValueEquals("#version: 0.2"))
                    continue;
                throw merges.File.Error(ErrorKind.Semantic, merge, string.Create(CultureInfo.InvariantCulture, $"{merges.Name}[{rank}]"), "is not two tokens, as \"left right\" or [\"left\", \"right\"]");
            }

            if (left.Contains(' ', StringComparison.Ordinal) || right.Contains(' ', StringComparison.Ordinal) || left.Length + right.Length > Vocabulary.TokenBytesMax)
                spaced++;
            else
                list._merges.Add((left, right));
            rank++;
        }

        if (spaced > 0)
            warn(string.Create(CultureInfo.InvariantCulture, $"{merges.File.Path}: field '{merges.Name}': {spaced} merges have a space in a part or are too long for a token; they can never apply and are left out"));
        return list;
    }

    /// <summary>The merges as a GGUF file has them.</summary>
    public StringTable ToTable() => StringTable.From(_merges.Select(merge => $"{merge.Left} {merge.Right}"));

    /// <summary>
    /// Scores with which a program that merges by score, and not by merges, comes as close to these merges as it can: a token that merges make has
    /// minus its place among those tokens, in the order of the first merge that makes them; text that no merge makes comes behind all of them, in the
    /// order of ids, as SentencePiece numbers its single characters; a token that added tokens or fillers are comes last. Structure and bytes have 0.
    /// </summary>
    public float[] Scores(TokenList tokens)
    {
        var scores = new float[tokens.Count];
        var made = new bool[tokens.Count];
        int place = 0;
        foreach ((string left, string right) in _merges)
        {
            int id = tokens.Find(left + right);
            if (id < 0 || made[id] || tokens.Kinds[id] != TokenKind.Normal)
                continue;
            made[id] = true;
            scores[id] = -place++;
        }

        for (int id = 0; id < tokens.Count; id++)
            if (!made[id] && tokens.Kinds[id] == TokenKind.Normal)
                scores[id] = -place++;
        for (int id = 0; id < tokens.Count; id++)
            if (tokens.Kinds[id] is TokenKind.UserDefined or TokenKind.Unused)
                scores[id] = -place;
        return scores;
    }

    /// <summary>Ids of the tokens that merges make.</summary>
    public HashSet<int> Made(TokenList tokens) => [.. _merges.Select(merge => tokens.Find(merge.Left + merge.Right)).Where(id => id >= 0)];

    private static (string? Left, string? Right) Parts(JsonElement merge)
    {
        if (merge.ValueKind == JsonValueKind.String)
        {
            string[] parts = merge.GetString()!.Split(' ');
            return parts.Length == 2 ? (parts[0], parts[1]) : default;
        }

        if (merge.ValueKind != JsonValueKind.Array || merge.GetArrayLength() != 2 || merge[0].ValueKind != JsonValueKind.String || merge[1].ValueKind != JsonValueKind.String)
            return default;
        return (merge[0].GetString(), merge[1].GetString());
    }
}
