namespace Tern.Conversion;

/// <summary>The dimensions of a published model, for files with random weights that cost what the real one costs.</summary>
internal sealed record DummyGeometry(
    string Name,
    string Architecture,
    int HiddenSize,
    int FeedForwardSize,
    int Layers,
    int Heads,
    int KvHeads,
    int HeadDim,
    int VocabularySize,
    int ContextLength,
    float RopeBase)
{
    /// <summary>BitNet b1.58 2B-4T, the scaling series of bitnet.cpp (its dummy generator's table), and the Bonsai family.</summary>
    public static IReadOnlyList<DummyGeometry> All { get; } =
    [
        new("2b4t", "bitnet-b1.58", 2560, 6912, 30, 20, 5, 128, 128256, 4096, 500_000),
        Series("125m", 768, 3072, 11, 12),
        Series("350m", 1024, 3072, 24, 16),
        Series("1b", 2048, 3584, 24, 32),
        Series("1.5b", 1536, 9216, 28, 32),
        Series("2.7b", 3072, 7680, 24, 32),
        Series("3.8b", 3840, 8192, 24, 32),
        Series("7b", 4096, 12032, 32, 32),
        Series("13b", 5120, 13824, 40, 40),
        Series("30b", 6656, 16384, 60, 52),
        Series("70b", 8192, 24576, 80, 64),
        Series("100b", 8192, 45568, 72, 64),
        new("bonsai-1.7b", "qwen3", 2048, 6144, 28, 16, 8, 128, 151669, 32768, 1_000_000),
        new("bonsai-4b", "qwen3", 2560, 9728, 36, 32, 8, 128, 151669, 32768, 1_000_000),
        new("bonsai-8b", "qwen3", 4096, 12288, 36, 32, 8, 128, 151669, 32768, 1_000_000),
    ];

    /// <summary>Whether the architecture has a norm before the output and the down projection.</summary>
    public bool HasSubNorms => Architecture != "qwen3";

    /// <summary>Whether the architecture has norms on the heads of q and k.</summary>
    public bool HasQueryKeyNorms => Architecture == "qwen3";

    /// <summary>Finds a geometry by name.</summary>
    /// <exception cref="TernException">Unknown name; the known ones are listed.</exception>
    public static DummyGeometry Find(string name) =>
        All.FirstOrDefault(g => g.Name.Equals(name, StringComparison.OrdinalIgnoreCase))
        ?? throw new TernException(ErrorKind.Request, $"'{name}' is no known geometry; known: {string.Join(", ", All.Select(g => g.Name))}");

    private static DummyGeometry Series(string name, int hidden, int feedForward, int layers, int heads) =>
        new(name, "bitnet", hidden, feedForward, layers, heads, heads, hidden / heads, 32002, 2048, 10_000);
}
