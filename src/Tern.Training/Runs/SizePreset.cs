namespace Tern.Training.Runs;

/// <summary>Dimensions that go well together, by the number of weights they come to with a vocabulary of 4096.</summary>
/// <param name="Name">What <c>--size</c> takes.</param>
/// <param name="Layers">Blocks.</param>
/// <param name="Hidden">Width; a multiple of 128, as is the feed-forward width, so that the model can be written as I2_S.</param>
/// <param name="Heads">Heads of queries, and of keys and values.</param>
/// <param name="FeedForward">Width inside the feed-forward block.</param>
/// <param name="LearningRate">First peak of the learning rate.</param>
internal sealed record SizePreset(string Name, int Layers, int Hidden, int Heads, int FeedForward, float LearningRate)
{
    /// <summary>All presets, by size.</summary>
    public static IReadOnlyList<SizePreset> All { get; } =
    [
        new("tiny", 2, 128, 2, 256, 4e-3f),
        new("1m", 3, 128, 4, 384, 4e-3f),
        new("5m", 5, 256, 4, 768, 3e-3f),
        new("10m", 5, 384, 6, 1024, 2.5e-3f),
        new("16m", 8, 384, 6, 1024, 2e-3f),
    ];

    /// <summary>The preset of a name.</summary>
    public static SizePreset Find(string name) => All.First(preset => preset.Name == name);
}
