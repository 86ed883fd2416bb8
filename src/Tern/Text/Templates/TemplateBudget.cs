namespace Tern.Text.Templates;

/// <summary>
/// What a chat template may use. A template comes with a model file and its variables with a request, so both are hostile until rendered:
/// every loop, every copy and every level of nesting is counted, and the first count that passes its limit ends the render with an error that names it.
/// </summary>
internal sealed record TemplateBudget
{
    /// <summary>The limits that hold where nothing else is said.</summary>
    public static TemplateBudget Default { get; } = new();

    /// <summary>Length of the template itself, in UTF-16 units.</summary>
    public int SourceCharacters { get; init; } = 262_144;

    /// <summary>Levels of brackets, prefix operators and blocks inside one another that the parser follows.</summary>
    public int Nesting { get; init; } = 100;

    /// <summary>Nodes evaluated, plus one for every 64 characters or 16 elements that an operation reads or copies.</summary>
    public long Steps { get; init; } = 1_000_000;

    /// <summary>Evaluations inside one another, macro calls included, and levels of lists and dictionaries that an operation follows.</summary>
    public int Depth { get; init; } = 400;

    /// <summary>Length of the rendered text, in UTF-16 units.</summary>
    public int OutputCharacters { get; init; } = 2_097_152;

    /// <summary>Bytes of strings, lists and dictionaries made while rendering. What is dropped again still counts.</summary>
    public long MemoryBytes { get; init; } = 12 * 1024 * 1024;
}
