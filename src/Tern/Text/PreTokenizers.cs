namespace Tern.Text;

/// <summary>How a byte-pair tokenizer cuts text into words before it merges.</summary>
/// <param name="Names">Values of <c>tokenizer.ggml.pre</c> that mean it; the first is its own name.</param>
/// <param name="Stages">Scanners; each splits the pieces that the one before it left.</param>
/// <param name="IgnoreMerges">Whether a word that is a token as a whole is that token, whatever the merges would give.</param>
/// <param name="AddBos">Whether the begin token is added when the file does not say.</param>
internal sealed record PreTokenizer(string[] Names, Scanner[] Stages, bool IgnoreMerges = false, bool AddBos = false)
{
    /// <summary>The name it goes by.</summary>
    public string Name => Names[0];
}

/// <summary>The known pre-tokenizers. Adding one is a line here, and scanners where its pattern is new.</summary>
internal static class PreTokenizers
{
    private const CharacterClass Falcon =
        CharacterClass.Punctuation | CharacterClass.AsciiSymbol | CharacterClass.Backtick;

    /// <summary>The cased letters of DeepSeek LLM's pattern, as (first, last) pairs: what Unicode 11 calls upper, lower or title case, without the mathematical alphabets.</summary>
    private static readonly int[] s_casedLetters =
    [
        0x0041, 0x005A, 0x0061, 0x007A, 0x00B5, 0x00B5, 0x00C0, 0x00D6, 0x00D8, 0x00F6, 0x00F8, 0x01BA, 0x01BC, 0x01BF, 0x01C4, 0x0293, 0x0295,
        0x02AF, 0x0370, 0x0373, 0x0376, 0x0377, 0x037B, 0x037D, 0x037F, 0x037F, 0x0386, 0x0386, 0x0388, 0x038A, 0x038C, 0x038C, 0x038E, 0x03A1,
        0x03A3, 0x03F5, 0x03F7, 0x0481, 0x048A, 0x052F, 0x0531, 0x0556, 0x10A0, 0x10C5, 0x13A0, 0x13F5, 0x13F8, 0x13FD, 0x1C90, 0x1CBA, 0x1CBD,
        0x1CBF, 0x1D00, 0x1D2B, 0x1D6B, 0x1D77, 0x1D79, 0x1D9A, 0x1E00, 0x1F15, 0x1F18, 0x1F1D, 0x1F20, 0x1F45, 0x1F48, 0x1F4D, 0x1F50, 0x1F57,
        0x1F59, 0x1F59, 0x1F5B, 0x1F5B, 0x1F5D, 0x1F5D, 0x1F5F, 0x1F7D, 0x1F80, 0x1FB4, 0x1FB6, 0x1FBC, 0x1FBE, 0x1FBE, 0x1FC2, 0x1FC4, 0x1FC6,
        0x1FCC, 0x1FD0, 0x1FD3, 0x1FD6, 0x1FDB, 0x1FE0, 0x1FEC, 0x1FF2, 0x1FF4, 0x1FF6, 0x1FFC, 0x2102, 0x2102, 0x2107, 0x2107, 0x210A, 0x2113,
        0x2115, 0x2115, 0x2119, 0x211D, 0x2124, 0x2124, 0x2126, 0x2126, 0x2128, 0x2128, 0x212A, 0x212D, 0x212F, 0x2134, 0x2139, 0x2139, 0x213C,
        0x213F, 0x2145, 0x2149, 0x214E, 0x214E, 0x2183, 0x2184, 0x2C00, 0x2C7B, 0x2C7E, 0x2CE4, 0x2CEB, 0x2CEE, 0x2CF2, 0x2CF3, 0xA640, 0xA66D,
        0xA680, 0xA69B, 0xA722, 0xA76F, 0xA771, 0xA787, 0xA78B, 0xA78E, 0xAB70, 0xABBF, 0xFB00, 0xFB06, 0xFB13, 0xFB17, 0xFF21, 0xFF3A, 0xFF41,
        0xFF5A, 0x10400, 0x1044F, 0x104B0, 0x104D3, 0x104D8, 0x104FB, 0x10C80, 0x10CB2, 0x10CC0, 0x10CF2, 0x118A0, 0x118DF, 0x1E900, 0x1E943,
    ];

    /// <summary>DeepSeek LLM's punctuation: ASCII from the colon on with letters included, curly quotes, ideographic comma and stop, full-width forms.</summary>
    private static readonly int[] s_deepSeekPunctuation =
        [0x0021, 0x002F, 0x003A, 0x007E, 0x2018, 0x201F, 0x3000, 0x3002, 0xFF01, 0xFF0F, 0xFF1A, 0xFF5E];

    /// <summary>DeepSeek's third range, from U+0800 through the ideographs, and Hangul syllables.</summary>
    private static readonly int[] s_deepSeekIdeographs = [0x0800, 0x9FA5, 0xAC00, 0xD7FF];

    /// <summary>All rows; names are unique.</summary>
    public static IReadOnlyList<PreTokenizer> All { get; } =
    [
        new(["llama-bpe", "llama3", "llama-v3", "falcon3", "falcon-h1", "pixtral", "lfm2"], [Scanners.Llama3(3, CharacterClass.Letter)], IgnoreMerges: true, AddBos: true),
        new(["dbrx", "smaug-bpe", "glm4", "chatglm-bpe"], [Scanners.Llama3(3, CharacterClass.Letter)]),
        new(["qwen2", "deepseek-r1-qwen", "megrez", "stablelm2", "hunyuan", "grok-2"], [Scanners.Llama3(1, CharacterClass.Letter)]),
        new(["qwen35"], [Scanners.Llama3(1, CharacterClass.Letter | CharacterClass.Mark)]),
        new(["gpt-2", "phi-2", "mpt", "olmo", "jais", "mellum", "modern-bert"], [Scanners.Gpt2]),
        new(["default"],
        [
            Scanners.Isolate(CharacterClass.Punctuation | CharacterClass.AsciiSymbol),
            Scanners.Gpt2,
            Scanners.Isolate(CharacterClass.Number),
            Scanners.Isolate(CharacterClass.AsciiDigit, least: 3, most: 3),
        ]),
        new(["falcon"], [Scanners.Isolate(Falcon), Scanners.Gpt2, Scanners.Isolate(CharacterClass.AsciiDigit, least: 3, most: 3)]),
        new(["falcon_e"], [Scanners.Isolate(Falcon), Scanners.Gpt2, Scanners.Isolate(CharacterClass.AsciiDigit, most: 1)]),
        new(["starcoder", "refact", "command-r", "smollm", "codeshell", "exaone", "minerva-7b"], [Scanners.Isolate(CharacterClass.Number, most: 1), Scanners.Gpt2]),
        new(["deepseek-llm"],
        [
            Scanners.Newline,
            Scanners.Isolate(s_casedLetters, space: true),
            Scanners.Isolate(s_deepSeekPunctuation, space: true),
            Scanners.TrailingSpace,
            Scanners.Isolate(s_deepSeekIdeographs, space: false),
            Scanners.Isolate(CharacterClass.Number),
        ]),
        new(["deepseek-coder"],
        [
            Scanners.Newline,
            Scanners.Isolate(CharacterClass.Letter, space: true),
            Scanners.Isolate(CharacterClass.Punctuation, space: true),
            Scanners.Isolate(s_deepSeekIdeographs, space: false),
            Scanners.Isolate(CharacterClass.Number, most: 1),
        ]),
    ];

    /// <summary>The row of a name, or null.</summary>
    public static PreTokenizer? Find(string name) => All.FirstOrDefault(row => row.Names.Contains(name));

    /// <summary>All names, for messages.</summary>
    public static string KnownNames => string.Join(", ", All.SelectMany(row => row.Names));
}
