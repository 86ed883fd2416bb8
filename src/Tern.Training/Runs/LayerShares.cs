namespace Tern.Training.Runs;

/// <summary>How the codes -1, 0 and +1 are distributed in the linear layers of a ternary model. A third each is what training should come to.</summary>
/// <param name="Layers">At least one, in the order of the model.</param>
internal sealed record LayerShares(IReadOnlyList<CodeShares> Layers)
{
    /// <summary>The mean of all layers.</summary>
    public CodeShares Mean { get; } = new("all", Layers.Average(layer => layer.Minus), Layers.Average(layer => layer.Zero), Layers.Average(layer => layer.Plus));

    /// <summary>The layer with the smallest share of zeros.</summary>
    public CodeShares FewestZeros { get; } = Layers.MinBy(layer => layer.Zero);

    /// <summary>The layer with the largest share of zeros.</summary>
    public CodeShares MostZeros { get; } = Layers.MaxBy(layer => layer.Zero);
}
