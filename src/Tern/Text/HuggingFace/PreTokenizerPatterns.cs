using Tern.Files;

namespace Tern.Text.HuggingFace;

/// <summary>
/// Recognises how a byte-level tokenizer.json cuts text into words, as a name of <see cref="PreTokenizers.All"/>. The file describes a chain of steps,
/// GGUF only names it; so the chain is written down as a list of patterns and compared with the known lists. Another cut would give wrong tokens
/// without any sign of it, so that an unknown chain is refused.
/// </summary>
internal static class PreTokenizerPatterns
{
    private const string Contractions = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
    private const string Llama3 = Contractions + @"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
    private const string Qwen2 = Contractions + @"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
    private const string Qwen35 = Contractions + @"|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
    private const string Gpt2 = @"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";
    private const string AsciiTriple = "[0-9][0-9][0-9]";
    private const string AsciiDigit = "[0-9]";
    private const string Punctuation = @"[\p{P}\$\+<=>\^~\|`]+";
    private const string Digits = @"\p{N}+";
    private const string Digit = @"\p{N}";

    /// <summary>
    /// Names and the steps that mean them. The Falcon chains cut numbers after bytes became letters, so that they also cut the bytes which are spelled
    /// as superscripts and fractions; their vocabularies were trained behind the same cut and merge nothing across it, and so the rows may leave it out.
    /// </summary>
    private static readonly (string Name, string[] Steps)[] s_known =
    [
        ("llama-bpe", [Llama3]),
        ("qwen2", [Qwen2]),
        ("qwen35", [Qwen35]),
        ("gpt-2", [Gpt2]),
        ("starcoder", [Digit, Gpt2]),
        ("falcon", [Punctuation, Gpt2, Digits, AsciiTriple]),
        ("falcon", [Punctuation, Gpt2, AsciiTriple]),
        ("falcon_e", [Punctuation, Gpt2, Digit]),
        ("falcon_e", [Punctuation, Gpt2, AsciiDigit]),
        ("falcon_e", [Punctuation, Gpt2, Digits, AsciiDigit]),
        ("falcon_e", [Punctuation, Gpt2, Digit, AsciiDigit]),
        ("deepseek-coder", [@"[\r\n]", @"\s?\p{L}+", @"\s?\p{P}+", "[一-龥ࠀ-一가-퟿]+", Digit]),
    ];

    /// <summary>Other ways to write the same thing: what stands left becomes what stands right.</summary>
    private static readonly (string Other, string Usual)[] s_synonyms =
    [
        ("\r", @"\r"),
        ("\n", @"\n"),
        ("?+", "?"),
        ("++", "+"),
        ("'(?i:[sdmt]|ll|ve|re)", Contractions),
        ("(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])", Contractions),
        (@"\p{N}{1}", Digit),
        (@"[\p{N}]", Digit),
    ];

    /// <summary>The name for a chain of steps.</summary>
    /// <param name="preTokenizer">The field <c>pre_tokenizer</c>.</param>
    /// <param name="ignoreMerges">Whether a word that is a token is that token, whatever the merges say.</param>
    /// <param name="warn">Receives one line when the name does not say so too.</param>
    /// <exception cref="TernException">Unsupported: the chain is not known; Format: one of its patterns is broken.</exception>
    public static string Name(JsonField preTokenizer, bool ignoreMerges, Action<string> warn)
    {
        var steps = new List<string>();
        AddSteps(preTokenizer, steps, depth: 0);
        string? name = s_known.FirstOrDefault(row => row.Steps.AsSpan().SequenceEqual(steps.ToArray())).Name;
        if (name is null)
            throw Unknown(preTokenizer, $"cuts text by {string.Join(", then ", steps.Select(FileError.Quote))}, which is no known pre-tokenizer, and another would give wrong tokens");

        // The only two rows that differ in nothing but this.
        if (name == "llama-bpe" && !ignoreMerges)
            return "smaug-bpe";
        if (ignoreMerges && !PreTokenizers.Find(name)!.IgnoreMerges)
            warn($"{preTokenizer.File.Path}: 'model.ignore_merges' is true, which the pre-tokenizer '{name}' of GGUF does not say; a word that is a token but that no merges make is cut into smaller ones");
        return name;
    }

    /// <summary>The patterns that <see cref="Name"/> takes for a pre-tokenizer; null where no chain is known.</summary>
    public static string[]? StepsOf(PreTokenizer preTokenizer) =>
        s_known.FirstOrDefault(row => row.Name == (preTokenizer.Names.Contains("smaug-bpe") ? "llama-bpe" : preTokenizer.Name)).Steps;

    /// <summary>Checks the patterns of a chain that is overridden by hand, because a broken file stays one.</summary>
    public static void Check(JsonField preTokenizer)
    {
        foreach (JsonField step in Steps(preTokenizer))
            if (step["type"].Text == "Split")
                Pattern(step);
    }

    private static IEnumerable<JsonField> Steps(JsonField preTokenizer) =>
        !preTokenizer.Exists ? [] : preTokenizer["type"].Text == "Sequence" ? preTokenizer["pretokenizers"].Items : [preTokenizer];

    private static void AddSteps(JsonField field, List<string> steps, int depth)
    {
        foreach (JsonField step in Steps(field))
        {
            switch (step["type"].Text)
            {
                case "Sequence" when depth == 0:
                    AddSteps(step, steps, depth + 1);
                    break;
                case "Split":
                    steps.Add(Normalized(Pattern(step)));
                    bool matchesOnly = step["behavior"].Text == "Removed" && step["invert"].Flag == true;
                    if (step["behavior"].Text != "Isolated" && !(matchesOnly && steps[^1].EndsWith(@"|\s+", StringComparison.Ordinal)))
                        throw Unknown(step["behavior"], "is neither 'Isolated', nor 'Removed' with 'invert' and a pattern that covers all text");
                    break;
                case "Digits":
                    steps.Add(step["individual_digits"].Flag == true ? Digit : Digits);
                    break;
                case "Punctuation" when step["behavior"].Text == "Contiguous":
                    steps.Add(Punctuation);
                    break;
                case "ByteLevel":
                    if (step["add_prefix_space"].Flag == true)
                        throw Unknown(step["add_prefix_space"], "is true: a space in front of every text, which byte-level pre-tokenizers of GGUF have not");
                    if (step["use_regex"].Flag ?? true)
                        steps.Add(Gpt2);
                    break;
                default:
                    throw Unknown(step["type"], $"{FileError.Quote(step["type"].Text ?? "")} is no known step of a byte-level pre-tokenizer");
            }
        }
    }

    /// <summary>The regular expression of a Split step; a plain string is one that matches itself, and no known chain has one.</summary>
    private static string Pattern(JsonField step)
    {
        JsonField pattern = step["pattern"];
        if (pattern.IsObject && pattern["Regex"] is { Exists: true } regex)
            return RegexSyntax.Fault(regex.Text!) is { } fault
                ? throw regex.Error(ErrorKind.Format, $"{FileError.Quote(regex.Text!)} is no regular expression: {fault}", "take the file from another source")
                : regex.Text!;
        string text = (pattern.IsObject ? pattern["String"] : pattern).Text ?? throw pattern.Semantic("is missing: a Split step must have a pattern");
        return "literally " + text;
    }

    private static string Normalized(string pattern)
    {
        foreach ((string other, string usual) in s_synonyms)
            pattern = pattern.Replace(other, usual, StringComparison.Ordinal);
        return pattern + (Gpt2.StartsWith(pattern, StringComparison.Ordinal) && pattern.EndsWith(@"\s+(?!\S)", StringComparison.Ordinal) ? @"|\s+" : "");
    }

    private static TernException Unknown(JsonField place, string what) =>
        place.Error(ErrorKind.Unsupported, what, $"choose one with --pre NAME, where NAME is one of {PreTokenizers.KnownNames}");
}
