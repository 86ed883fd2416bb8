using System.Globalization;

namespace Tern.Text;

/// <summary>What a character is to a pre-tokenizer's pattern. Exactly one of the first seven holds for a character; the rest refine it.</summary>
[Flags]
internal enum CharacterClass : ushort
{
    /// <summary>No character: the end of the piece.</summary>
    None = 0,

    /// <summary><c>\p{L}</c>.</summary>
    Letter = 1,

    /// <summary><c>\p{N}</c>.</summary>
    Number = 1 << 1,

    /// <summary><c>\p{M}</c>.</summary>
    Mark = 1 << 2,

    /// <summary><c>\p{P}</c>.</summary>
    Punctuation = 1 << 3,

    /// <summary><c>\p{S}</c>.</summary>
    Symbol = 1 << 4,

    /// <summary><c>\s</c>: the 25 characters with Unicode's White_Space property, so U+0085 and U+00A0 but not U+180E or U+200B.</summary>
    Space = 1 << 5,

    /// <summary>Controls, format characters, private use and unassigned code points.</summary>
    Other = 1 << 6,

    /// <summary><c>[0-9]</c>, also a Number.</summary>
    AsciiDigit = 1 << 7,

    /// <summary><c>[$+&lt;=&gt;^|~]</c>, also a Symbol.</summary>
    AsciiSymbol = 1 << 8,

    /// <summary>The backtick, also a Symbol.</summary>
    Backtick = 1 << 9,
}

/// <summary>
/// Classes of the characters of valid UTF-8. The general categories are those of the .NET runtime's own Unicode tables, for all planes;
/// a character that Unicode assigned after the runtime was built counts as Other.
/// </summary>
internal static class CharacterClasses
{
    private static readonly CharacterClass[] s_ascii = BuildAscii();

    /// <summary>The class of the character that starts at <paramref name="at"/>, or None at the end.</summary>
    /// <param name="utf8">Valid UTF-8.</param>
    /// <param name="at">Start of a character, or the length.</param>
    /// <param name="length">Its number of bytes; 0 at the end.</param>
    public static CharacterClass At(ReadOnlySpan<byte> utf8, int at, out int length)
    {
        if ((uint)at >= (uint)utf8.Length)
        {
            length = 0;
            return CharacterClass.None;
        }

        byte first = utf8[at];
        if (first < 0x80)
        {
            length = 1;
            return s_ascii[first];
        }

        return OfCodePoint(CodePoint(utf8, at, out length));
    }

    /// <summary>The code point that starts at <paramref name="at"/>, which must be inside valid UTF-8.</summary>
    public static int CodePoint(ReadOnlySpan<byte> utf8, int at, out int length)
    {
        int first = utf8[at];
        switch (first)
        {
            case < 0x80:
                length = 1;
                return first;
            case < 0xE0:
                length = 2;
                return ((first & 0x1F) << 6) | (utf8[at + 1] & 0x3F);
            case < 0xF0:
                length = 3;
                return ((first & 0x0F) << 12) | ((utf8[at + 1] & 0x3F) << 6) | (utf8[at + 2] & 0x3F);
            default:
                length = 4;
                return ((first & 0x07) << 18) | ((utf8[at + 1] & 0x3F) << 12) | ((utf8[at + 2] & 0x3F) << 6) | (utf8[at + 3] & 0x3F);
        }
    }

    private static CharacterClass OfCodePoint(int codePoint) => CharUnicodeInfo.GetUnicodeCategory(codePoint) switch
    {
        <= UnicodeCategory.OtherLetter => CharacterClass.Letter,
        <= UnicodeCategory.EnclosingMark => CharacterClass.Mark,
        <= UnicodeCategory.OtherNumber => CharacterClass.Number,
        <= UnicodeCategory.ParagraphSeparator => CharacterClass.Space,
        >= UnicodeCategory.ConnectorPunctuation and <= UnicodeCategory.OtherPunctuation => CharacterClass.Punctuation,
        >= UnicodeCategory.MathSymbol and <= UnicodeCategory.OtherSymbol => CharacterClass.Symbol,
        _ => codePoint is 0x85 or (>= 0x09 and <= 0x0D) ? CharacterClass.Space : CharacterClass.Other,
    };

    private static CharacterClass[] BuildAscii()
    {
        var classes = new CharacterClass[128];
        for (int c = 0; c < classes.Length; c++)
        {
            classes[c] = OfCodePoint(c);
            if (c is >= '0' and <= '9')
                classes[c] |= CharacterClass.AsciiDigit;
            if (c == '`')
                classes[c] |= CharacterClass.Backtick;
            else if ((classes[c] & CharacterClass.Symbol) != 0)
                classes[c] |= CharacterClass.AsciiSymbol;
        }

        return classes;
    }
}
