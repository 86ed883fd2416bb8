namespace Tern.Text;

/// <summary>
/// One stage of a pre-tokenizer: where the sub-piece that starts at <paramref name="at"/> ends. A stage sees one piece of the stage before and
/// nothing around it, so "end of text" in its pattern means the end of the piece.
/// </summary>
/// <param name="piece">Valid UTF-8.</param>
/// <param name="at">Start of a character, before the end of the piece.</param>
/// <returns>A greater position, start of a character or the end.</returns>
internal delegate int Scanner(ReadOnlySpan<byte> piece, int at);

/// <summary>
/// The split patterns of byte-pair tokenizers as scanners written by hand: the branches of a pattern in its order, every branch a run over
/// character classes. All scanners together are linear in the text, which a backtracking engine would not be.
/// </summary>
internal static class Scanners
{
    /// <summary>
    /// GPT-2: <c>'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+</c>.
    /// </summary>
    public static int Gpt2(ReadOnlySpan<byte> piece, int at)
    {
        if (Contraction(piece, at, ignoreCase: false) is var end and > 0)
            return end;

        int body = piece[at] == ' ' ? at + 1 : at;
        CharacterClass first = CharacterClasses.At(piece, body, out _);
        if ((first & CharacterClass.Letter) != 0)
            return Run(piece, body, CharacterClass.Letter);
        if ((first & CharacterClass.Number) != 0)
            return Run(piece, body, CharacterClass.Number);
        if ((first & NotWord) != 0)
            return Run(piece, body, NotWord);
        return Whitespace(piece, at, toLastNewline: false);
    }

    /// <summary>
    /// The Llama 3 family: <c>(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?W+|\p{N}{1,D}| ?[^\s\p{N}W]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+</c>,
    /// where the contractions fold ASCII case only.
    /// </summary>
    /// <param name="digitsMax">D, 3 for Llama 3 and 1 for Qwen.</param>
    /// <param name="word">W: letters, or letters and marks.</param>
    public static Scanner Llama3(int digitsMax, CharacterClass word)
    {
        CharacterClass notWord = NotWord & ~word;
        return (piece, at) =>
        {
            if (Contraction(piece, at, ignoreCase: true) is var end and > 0)
                return end;

            byte first = piece[at];
            CharacterClass kind = CharacterClasses.At(piece, at, out int length);
            if ((kind & word) != 0)
                return Run(piece, at + length, word);
            if ((kind & CharacterClass.Number) != 0)
                return Run(piece, at + length, CharacterClass.Number, digitsMax - 1);
            if (first is not ((byte)'\r' or (byte)'\n') && (CharacterClasses.At(piece, at + length, out int second) & word) != 0)
                return Run(piece, at + length + second, word);

            int body = first == ' ' ? at + 1 : at;
            if ((CharacterClasses.At(piece, body, out _) & notWord) != 0)
                return Newlines(piece, Run(piece, body, notWord));
            return Whitespace(piece, at, toLastNewline: true);
        };
    }

    /// <summary>Isolates runs of a class: <c>[set]{least,most}</c>, or <c>\s?[set]{least,most}</c> with <paramref name="space"/>.</summary>
    public static Scanner Isolate(CharacterClass set, int least = 1, int most = int.MaxValue, bool space = false) => (piece, at) =>
    {
        // The piece either starts with a match, which is returned, or with characters that no match covers, which end where the next match starts.
        for (int position = at; position < piece.Length;)
        {
            if (IsolatedEnd(piece, position, set, least, most, space) is var end and > 0)
                return position == at ? end : position;
            CharacterClasses.At(piece, position, out int length);
            position += length;
        }

        return piece.Length;
    };

    /// <summary>Isolates runs of code points, given as sorted (first, last) pairs: <c>[set]+</c>, or <c>\s?[set]+</c> with <paramref name="space"/>.</summary>
    public static Scanner Isolate(int[] ranges, bool space) => (piece, at) =>
    {
        for (int position = at; position < piece.Length;)
        {
            CharacterClass kind = CharacterClasses.At(piece, position, out int length);
            int start = space && (kind & CharacterClass.Space) != 0 && IsIn(ranges, piece, position + length) ? position + length : position;
            if (IsIn(ranges, piece, start))
            {
                if (position > at)
                    return position;
                while (IsIn(ranges, piece, start))
                {
                    CharacterClasses.At(piece, start, out length);
                    start += length;
                }

                return start;
            }

            position += length;
        }

        return piece.Length;
    };

    /// <summary>Isolates every CR and LF: <c>[\r\n]</c>.</summary>
    public static int Newline(ReadOnlySpan<byte> piece, int at)
    {
        int next = piece[at..].IndexOfAny((byte)'\r', (byte)'\n');
        return next < 0 ? piece.Length : at + Math.Max(next, 1);
    }

    /// <summary>Isolates whitespace at the end: <c>\s+$</c>.</summary>
    public static int TrailingSpace(ReadOnlySpan<byte> piece, int at)
    {
        int start = at;
        for (int position = at; position < piece.Length;)
        {
            CharacterClass kind = CharacterClasses.At(piece, position, out int length);
            position += length;
            if ((kind & CharacterClass.Space) == 0)
                start = position;
        }

        return start > at ? start : piece.Length;
    }

    /// <summary>
    /// SentencePiece's words, for vocabularies in which no piece continues after a space: every run of U+2581 with what follows it. Merges then never
    /// cross the cuts, so that merging word by word gives the pieces that merging the whole text would give.
    /// </summary>
    public static int SpaceWord(ReadOnlySpan<byte> piece, int at)
    {
        int body = at;
        while (piece[body..].StartsWith(SpaceMark))
            body += SpaceMark.Length;
        int next = piece[body..].IndexOf(SpaceMark);
        return next < 0 ? piece.Length : body + next;
    }

    /// <summary>U+2581, which stands for a space in SentencePiece vocabularies.</summary>
    public static ReadOnlySpan<byte> SpaceMark => "▁"u8;

    private const CharacterClass NotWord =
        CharacterClass.Mark | CharacterClass.Punctuation | CharacterClass.Symbol | CharacterClass.Other;

    /// <summary>End of a run of at most <paramref name="most"/> characters of a class.</summary>
    private static int Run(ReadOnlySpan<byte> piece, int at, CharacterClass set, int most = int.MaxValue)
    {
        for (; most > 0 && (CharacterClasses.At(piece, at, out int length) & set) != 0; most--)
            at += length;
        return at;
    }

    private static int Newlines(ReadOnlySpan<byte> piece, int at)
    {
        while (at < piece.Length && piece[at] is (byte)'\r' or (byte)'\n')
            at++;
        return at;
    }

    /// <summary>End of an English contraction, or 0.</summary>
    private static int Contraction(ReadOnlySpan<byte> piece, int at, bool ignoreCase)
    {
        if (piece[at] != '\'' || at + 1 >= piece.Length)
            return 0;

        int fold = ignoreCase ? 0x20 : 0;
        int first = piece[at + 1] | fold;
        if (first is 's' or 't' or 'm' or 'd')
            return at + 2;
        if (at + 2 >= piece.Length)
            return 0;
        int second = piece[at + 2] | fold;
        return (first, second) is ('r', 'e') or ('v', 'e') or ('l', 'l') ? at + 3 : 0;
    }

    /// <summary>
    /// <c>\s*[\r\n]+</c> when asked for and there is a newline in the run, else <c>\s+(?!\S)|\s+</c>: the whole run at the end of the piece,
    /// all but its last character before a word, and a single character as it is.
    /// </summary>
    private static int Whitespace(ReadOnlySpan<byte> piece, int at, bool toLastNewline)
    {
        int end = at;
        int last = at;
        int newline = 0;
        while ((CharacterClasses.At(piece, end, out int length) & CharacterClass.Space) != 0)
        {
            last = end;
            end += length;
            if (piece[last] is (byte)'\r' or (byte)'\n')
                newline = end;
        }

        if (toLastNewline && newline > 0)
            return newline;
        return end == piece.Length || last == at ? end : last;
    }

    private static int IsolatedEnd(ReadOnlySpan<byte> piece, int at, CharacterClass set, int least, int most, bool space)
    {
        int start = at;
        if (space && (CharacterClasses.At(piece, at, out int length) & CharacterClass.Space) != 0)
            start += length;

        int end = start;
        int count = 0;
        for (; count < most && (CharacterClasses.At(piece, end, out length) & set) != 0; count++)
            end += length;
        return count >= least ? end : 0;
    }

    private static bool IsIn(int[] ranges, ReadOnlySpan<byte> piece, int at)
    {
        if (at >= piece.Length)
            return false;

        // An exact hit is an end of a range; between a first and its last, the insertion point is odd.
        int index = Array.BinarySearch(ranges, CharacterClasses.CodePoint(piece, at, out _));
        return index >= 0 || (~index & 1) == 1;
    }
}
