using System.Text;

namespace Tern.Tests.Text;

/// <summary>Seeded texts that are hard for tokenizers: scripts, marks, digits, contractions, line ends, rare spaces, emoji.</summary>
internal static class RandomText
{
    private static readonly string[] s_fragments =
    [
        "a", "e", "Z", "the", "Hello", " ", "  ", "   ", "\t", "\n", "\r", "\r\n", "\n\n", " \n", "'", "'s", "'S", "'t", "'re", "'VE", "'Ll", "'d", "'m", "'x", "''",
        "0", "7", "12", "345", "6789", "٣", "१२", "Ⅷ", "½", "²", ".", ",", "!", "...", "-", "_", "(", ")", "\"", "$", "+", "=", "<", ">", "^", "`", "|", "~", "#", "@", "{", "\\",
        "é", "ß", "ñ", "Ω", "ж", "Ж", "я", "ش", "א", "म", "ा", "中", "文", "。", "　", "あ", "ア", "한", "글", "e\u0301", "\u0301", "\u20DD", "\u200D", "\u200B", "\uFEFF",
        "\u0085", "\u00A0", "\u180E", "\u1680", "\u2003", "\u2028", "\u2029", "\u202F", "\u3000", "\u000B", "\u001C", "\0", "\u0378", "€", "™", "☃", "«", "—", "’",
        "😀", "👩‍👩‍👧", "🇩🇪", "𝒳", "𐐀", "𞤀", "𝟘", "𑢠", "𑁦", "𐄀", "𝅘𝅥", "\U000E0100", "\U0001F1E6", "ſ", "K", "İ", "ǅ", "µ", "ﬁ", "Ａ", "！", "：", "‘",
    ];

    /// <summary>A text of up to <paramref name="fragmentsMax"/> fragments.</summary>
    public static string Next(Random random, int fragmentsMax)
    {
        var text = new StringBuilder();
        for (int left = random.Next(fragmentsMax + 1); left > 0; left--)
            text.Append(random.Next(12) == 0 ? AnyRune(random).ToString() : s_fragments[random.Next(s_fragments.Length)]);
        return text.ToString();
    }

    private static Rune AnyRune(Random random)
    {
        int limit = random.Next(3) switch { 0 => 0x250, 1 => 0x10000, _ => 0x110000 };
        while (true)
            if (Rune.TryCreate(random.Next(limit), out Rune rune))
                return rune;
    }
}
