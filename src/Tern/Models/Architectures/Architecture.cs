using Tern.Models.Checkpoints;

namespace Tern.Models.Architectures;

/// <summary>
/// A family of models: the value of <c>general.architecture</c> and how its metadata become a <see cref="ModelSpec"/>. All of them run on the
/// one spec-driven transformer.
/// </summary>
/// <param name="Name">The value of <c>general.architecture</c>.</param>
/// <param name="Read">Makes the spec of the metadata.</param>
/// <param name="Checkpoint">How it looks as a Hugging Face checkpoint; null where no checkpoint becomes this architecture.</param>
internal sealed record Architecture(string Name, Func<SpecReader, ModelSpec> Read, CheckpointFamily? Checkpoint = null)
{
    /// <summary>Every architecture that Tern runs.</summary>
    public static IReadOnlyList<Architecture> All { get; } =
    [
        BitNet158.Entry,
        BitNet158.FirstUpload,
        BitNet.Entry,
        Llama.Entry,
        Qwen3.Entry,
        Gemma3.Entry,
    ];
}
