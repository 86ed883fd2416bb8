using Tern.Kernels;
using Tern.Models;

namespace Tern.Measure;

/// <summary>How well a model predicts English under one arrangement of its I2_S tensors.</summary>
/// <param name="Layout">The arrangement.</param>
/// <param name="Perplexity">Of the built-in text; infinite when the file cannot be read so.</param>
internal sealed record LayoutScore(I2sLayout Layout, double Perplexity);

/// <summary>
/// Tells which of the three arrangements of I2_S a file has by trying all of them on a short English text: nothing in the file says it, but
/// under a wrong one the weights are shuffled and the model predicts no better than chance.
/// </summary>
internal static class LayoutTrial
{
    /// <summary>Tokens of a window of <see cref="Text"/>.</summary>
    public const int Context = 64;

    /// <summary>The right arrangement is better than the others by at least this factor; a wrong one never is.</summary>
    private const double ClearFactor = 3;

    /// <summary>A short English text, written for this.</summary>
    public const string Text =
        "It was a bright morning in spring, and the old man walked slowly down the road to the village. The birds were singing in the trees, and the "
        + "children had already gone to school. He stopped at the bridge and looked at the water for a long time. When he was a boy, he had come here "
        + "every day with his sister, and they had thrown little stones into the river and watched the rings grow wide. Now she lived in a great city "
        + "by the sea, and she wrote him a letter once a month. He took the last one from his pocket and read it again. She said that she was well, "
        + "that the house was quiet since her son had gone away, and that she would come home before the summer was over. The old man smiled. He put "
        + "the letter back and went on, for there was a great deal to do before she came, and the garden would not wait.";

    /// <summary>Tries all arrangements.</summary>
    /// <param name="path">The model.</param>
    /// <param name="options">How to load it.</param>
    /// <param name="progress">Receives the share that is done, in [0, 1].</param>
    /// <param name="cancellation">Ends the work between passes.</param>
    /// <returns>Their scores, the best first.</returns>
    public static IReadOnlyList<LayoutScore> Run(string path, ModelOptions options, Action<double> progress, CancellationToken cancellation)
    {
        I2sLayout[] layouts = Enum.GetValues<I2sLayout>();
        var scores = new List<LayoutScore>(layouts.Length);
        foreach (I2sLayout layout in layouts)
        {
            scores.Add(new LayoutScore(layout, Score(path, options with { I2sLayout = layout, Tune = false, Head = HeadMode.Full }, cancellation)));
            progress((double)scores.Count / layouts.Length);
        }

        return [.. scores.OrderBy(s => s.Perplexity)];
    }

    /// <summary>The arrangement that is clearly the best; null when none is.</summary>
    public static I2sLayout? Winner(IReadOnlyList<LayoutScore> scores) =>
        scores[0].Perplexity * ClearFactor < scores[1].Perplexity ? scores[0].Layout : null;

    private static double Score(string path, ModelOptions options, CancellationToken cancellation)
    {
        try
        {
            using Model model = Model.Load(path, options);
            int context = Math.Min(Context, model.Spec.ContextLength);
            return Perplexity.Measure(model, Text, context, KvType.F32, _ => { }, cancellation).Value;
        }
        catch (TernException e) when (e.Kind is ErrorKind.Semantic or ErrorKind.Format)
        {
            // Rows that cannot be arranged so, or codes that are none.
            return double.PositiveInfinity;
        }
    }
}
