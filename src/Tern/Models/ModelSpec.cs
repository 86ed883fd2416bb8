namespace Tern.Models;

/// <summary>What a paper would print of the model in a table.</summary>
internal sealed record ModelSpec
{
    public required string Architecture { get; init; }

    public required int VocabularySize { get; init; }

    /// <summary>Context length it was trained for, in tokens.</summary>
    public required int ContextLength { get; init; }

    public required int HiddenSize { get; init; }

    public required int Layers { get; init; }

    public required int Heads { get; init; }

    public required int KvHeads { get; init; }

    public required int HeadDim { get; init; }

    /// <summary>Whether the last hidden state is the output (embedding model) instead of logits.</summary>
    public required bool IsEmbedding { get; init; }
}
