using Tern.Files;

namespace Tern.Text.HuggingFace;

/// <summary>
/// What the tokenizer files of a Hugging Face directory may ask for. Real ones stay far below every default; a limit error names the property, so
/// that whoever trusts a strange file can raise it.
/// </summary>
internal sealed record HuggingFaceLimits
{
    /// <summary>The defaults.</summary>
    public static HuggingFaceLimits Default { get; } = new();

    /// <summary>Bytes of tokenizer.json; the largest known, of vocabularies with 262,144 tokens, have about 35 MB.</summary>
    public int TokenizerBytes { get; init; } = 128 << 20;

    /// <summary>Bytes of each of the other files.</summary>
    public int ConfigurationBytes { get; init; } = 16 << 20;

    /// <summary>Levels of arrays and objects in one file.</summary>
    public int JsonDepth { get; init; } = 64;

    /// <summary>What tokenizer.json may ask for.</summary>
    public JsonLimits OfTokenizer => new(TokenizerBytes, Named(nameof(TokenizerBytes)), JsonDepth, Named(nameof(JsonDepth)));

    /// <summary>What each of the other files may ask for.</summary>
    public JsonLimits OfConfiguration => new(ConfigurationBytes, Named(nameof(ConfigurationBytes)), JsonDepth, Named(nameof(JsonDepth)));

    /// <summary>Tokens, which are the rows of the embedding.</summary>
    public int Tokens { get; init; } = 1 << 22;

    /// <summary>Chat templates with a name of their own.</summary>
    public int NamedTemplates { get; init; } = 64;

    private static string Named(string property) => $"{nameof(HuggingFaceLimits)}.{property}";
}
