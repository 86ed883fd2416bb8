namespace Tern.Files;

/// <summary>
/// What a GGUF file may ask for beyond what its own length already bounds. Real models stay far below every default; a limit error
/// names the property, so that whoever trusts a strange file can raise it.
/// </summary>
internal sealed record GgufLimits
{
    /// <summary>Levels of arrays. Fixed: GGUF readers take arrays of plain values only, and so no file can make one recurse.</summary>
    public const int ArrayDepth = 1;

    public static GgufLimits Default { get; } = new();

    /// <summary>Metadata entries in one file.</summary>
    public int MetadataEntries { get; init; } = 65_536;

    /// <summary>Bytes of one key: the GGUF specification's own bound.</summary>
    public int KeyBytes { get; init; } = 65_535;

    /// <summary>Bytes of one string value that is not in an array; a whole tokenizer.json fits.</summary>
    public int StringBytes { get; init; } = 32 << 20;

    /// <summary>Bytes of one string inside an array: one token or one merge.</summary>
    public int ArrayStringBytes { get; init; } = 65_536;

    /// <summary>Bytes of one array as the file holds it.</summary>
    public int ArrayBytes { get; init; } = 256 << 20;

    /// <summary>Tensors in one file.</summary>
    public int Tensors { get; init; } = 65_536;

    /// <summary>Bytes of a tensor's name.</summary>
    public int NameBytes { get; init; } = 64;

    /// <summary>Parts of a split file.</summary>
    public int SplitParts { get; init; } = 1_024;
}
