using System.Text;
using System.Text.RegularExpressions;
using Tern.Text;

namespace Tern.Tests.Text;

/// <summary>
/// Every scanner against the pattern it stands for, run by the runtime's regular expressions. Those see UTF-16 units, so characters beyond the BMP are
/// first replaced by one of the BMP that the pattern treats alike; that and the category tables are all that the two sides share.
/// </summary>
public sealed class PreTokenizerTests
{
    private const string Gpt2 = @"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";
    private const string Contractions = "'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD]|";
    private const string Llama3Tail = @"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
    private const string CasedLetters =
        "A-Za-z\u00b5\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u01ba\u01bc-\u01bf\u01c4-\u0293\u0295-\u02af\u0370-\u0373\u0376\u0377\u037b-\u037d\u037f\u0386\u0388-\u038a\u038c\u038e-\u03a1" +
        "\u03a3-\u03f5\u03f7-\u0481\u048a-\u052f\u0531-\u0556\u10a0-\u10c5\u13a0-\u13f5\u13f8-\u13fd\u1c90-\u1cba\u1cbd-\u1cbf\u1d00-\u1d2b\u1d6b-\u1d77\u1d79-\u1d9a\u1e00-\u1f15\u1f18-\u1f1d" +
        "\u1f20-\u1f45\u1f48-\u1f4d\u1f50-\u1f57\u1f59\u1f5b\u1f5d\u1f5f-\u1f7d\u1f80-\u1fb4\u1fb6-\u1fbc\u1fbe\u1fc2-\u1fc4\u1fc6-\u1fcc\u1fd0-\u1fd3\u1fd6-\u1fdb\u1fe0-\u1fec\u1ff2-\u1ff4\u1ff6-\u1ffc" +
        "\u2102\u2107\u210a-\u2113\u2115\u2119-\u211d\u2124\u2126\u2128\u212a-\u212d\u212f-\u2134\u2139\u213c-\u213f\u2145-\u2149\u214e\u2183\u2184\u2c00-\u2c7b\u2c7e-\u2ce4\u2ceb-\u2cee\u2cf2\u2cf3" +
        "\ua640-\ua66d\ua680-\ua69b\ua722-\ua76f\ua771-\ua787\ua78b-\ua78e\uab70-\uabbf\ufb00-\ufb06\ufb13-\ufb17\uff21-\uff3a\uff41-\uff5a";

    /// <summary>The patterns of every row, stage by stage.</summary>
    private static readonly Dictionary<string, string[]> s_patterns = new()
    {
        ["llama-bpe"] = [Contractions + @"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}" + Llama3Tail],
        ["dbrx"] = [Contractions + @"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}" + Llama3Tail],
        ["qwen2"] = [Contractions + @"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}" + Llama3Tail],
        ["qwen35"] = [Contractions + @"[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"],
        ["gpt-2"] = [Gpt2],
        ["default"] = [@"[\p{P}\$\+<=>\^~\|]+", Gpt2, @"\p{N}+", "[0-9][0-9][0-9]"],
        ["falcon"] = [@"[\p{P}\$\+<=>\^~\|`]+", Gpt2, "[0-9][0-9][0-9]"],
        ["falcon_e"] = [@"[\p{P}\$\+<=>\^~\|`]+", Gpt2, "[0-9]"],
        ["starcoder"] = [@"\p{N}", Gpt2],
        ["deepseek-llm"] =
        [
            @"[\r\n]", @"\s?[" + CasedLetters + "]+", @"\s?[!-/:-~\uff01-\uff0f\uff1a-\uff5e\u2018-\u201f\u3000-\u3002]+", @"\s+\z",
            "[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+", @"\p{N}+",
        ],
        ["deepseek-coder"] = [@"[\r\n]", @"\s?\p{L}+", @"\s?\p{P}+", "[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+", @"\p{N}"],
    };

    public static TheoryData<string> Rows => [.. PreTokenizers.All.Select(row => row.Name)];

    [Theory]
    [MemberData(nameof(Rows))]
    public void Scanners_split_as_their_patterns(string row)
    {
        PreTokenizer pre = PreTokenizers.Find(row)!;
        Regex[] patterns = [.. s_patterns[row].Select(pattern => new Regex(pattern, RegexOptions.CultureInvariant))];
        var random = new Random(17);
        for (int i = 0; i < 20_000; i++)
        {
            string text = RandomText.Next(random, 12);
            Assert.Equal(ByPattern(patterns, text), ByScanner(pre.Stages, text));
        }
    }

    [Theory]
    [MemberData(nameof(Rows))]
    public void Long_runs_are_split_in_linear_time(string row)
    {
        // A quadratic scanner would need about 10^10 steps for each.
        foreach (string unit in new[] { "a", " ", "1", "-", "\u0301", "中", "\n", " \n", "a ", "1a", "\u3000", "😀" })
        {
            string text = string.Concat(Enumerable.Repeat(unit, 200_000 / unit.Length)) + "x";
            int end = ByScannerCount(PreTokenizers.Find(row)!.Stages, Encoding.UTF8.GetBytes(text), 0);
            Assert.True(end > 0);
        }
    }

    [Fact]
    public void Names_are_unique()
    {
        string[] names = [.. PreTokenizers.All.SelectMany(row => row.Names)];
        Assert.Equal(names.Length, names.Distinct().Count());
        Assert.All(names, name => Assert.Contains(name, PreTokenizers.KnownNames));
    }

    [Fact]
    public void Space_is_the_white_space_property()
    {
        int[] expected = [.. Enumerable.Range(9, 5), 0x20, 0x85, 0xA0, 0x1680, .. Enumerable.Range(0x2000, 11), 0x2028, 0x2029, 0x202F, 0x205F, 0x3000];
        IEnumerable<int> actual = Enumerable.Range(0, 0x110000).Where(Rune.IsValid)
            .Where(value => (CharacterClasses.At(Encoding.UTF8.GetBytes(new Rune(value).ToString()), 0, out _) & CharacterClass.Space) != 0);
        Assert.Equal(expected, actual);
    }

    private static List<string> ByScanner(Scanner[] stages, string text)
    {
        List<string> pieces = [text];
        foreach (Scanner stage in stages)
            pieces = [.. pieces.SelectMany(piece => Pieces(stage, Encoding.UTF8.GetBytes(piece)))];
        return [.. pieces.Where(piece => piece.Length > 0)];
    }

    private static IEnumerable<string> Pieces(Scanner stage, byte[] piece)
    {
        for (int at = 0; at < piece.Length;)
        {
            int end = stage(piece, at);
            Assert.True(end > at && end <= piece.Length);
            yield return Encoding.UTF8.GetString(piece, at, end - at);
            at = end;
        }
    }

    private static int ByScannerCount(Scanner[] stages, ReadOnlySpan<byte> piece, int stage)
    {
        if (stage == stages.Length)
            return 1;
        int count = 0;
        for (int at = 0; at < piece.Length;)
        {
            int end = stages[stage](piece, at);
            count += ByScannerCount(stages, piece[at..end], stage + 1);
            at = end;
        }

        return count;
    }

    private static List<string> ByPattern(Regex[] patterns, string text)
    {
        Rune[] runes = [.. text.EnumerateRunes()];
        string stand = string.Concat(runes.Select(StandIn));
        Assert.Equal(runes.Length, stand.Length);
        List<(int Start, int Length)> pieces = [(0, runes.Length)];
        foreach (Regex pattern in patterns)
            pieces = [.. pieces.SelectMany(piece => Split(pattern, stand.Substring(piece.Start, piece.Length)).Select(part => (piece.Start + part.Start, part.Length)))];
        return [.. pieces.Where(piece => piece.Length > 0).Select(piece => string.Concat(runes[piece.Start..(piece.Start + piece.Length)]))];
    }

    /// <summary>Matches and what lies between them.</summary>
    private static IEnumerable<(int Start, int Length)> Split(Regex pattern, string text)
    {
        int at = 0;
        for (Match match = pattern.Match(text); match.Success; match = match.NextMatch())
        {
            if (match.Index > at)
                yield return (at, match.Index - at);
            yield return (match.Index, match.Length);
            at = match.Index + match.Length;
        }

        if (at < text.Length)
            yield return (at, text.Length - at);
    }

    private static char StandIn(Rune rune)
    {
        if (rune.IsBmp)
            return (char)rune.Value;

        // Inside DeepSeek's cased letters: a cased letter; other letters: one outside them and outside its ideographs.
        (int First, int Last)[] cased =
            [(0x10400, 0x1044F), (0x104B0, 0x104D3), (0x104D8, 0x104FB), (0x10C80, 0x10CB2), (0x10CC0, 0x10CF2), (0x118A0, 0x118DF), (0x1E900, 0x1E943)];
        if (cased.Any(range => rune.Value >= range.First && rune.Value <= range.Last))
            return 'Ж';
        return Rune.GetUnicodeCategory(rune).ToString() switch
        {
            { } name when name.EndsWith("Letter", StringComparison.Ordinal) => 'ب',
            { } name when name.EndsWith("Number", StringComparison.Ordinal) => '٣',
            { } name when name.EndsWith("Mark", StringComparison.Ordinal) => '\u0301',
            { } name when name.EndsWith("Punctuation", StringComparison.Ordinal) => '¿',
            { } name when name.EndsWith("Symbol", StringComparison.Ordinal) => '©',
            _ => '\u0378',
        };
    }
}
