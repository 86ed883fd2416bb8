using System.Globalization;
using Tern.Cli.Terminal;
using Tern.Files;
using Tern.Measure;
using Tern.Models;
using Tern.Numerics;

namespace Tern.Cli.Conversion;

/// <summary>Which arrangement of I2_S a file has, found by trial where there is something to find.</summary>
/// <param name="Scores">Of all arrangements, the best first.</param>
internal sealed record ArrangementTrial(IReadOnlyList<LayoutScore> Scores)
{
    /// <summary>The arrangement that is clearly right, or null.</summary>
    public I2sLayout? Winner => LayoutTrial.Winner(Scores);

    /// <summary>Tries a file; null where it holds no I2_S or no language model.</summary>
    public static ArrangementTrial? Run(string path, ModelOptions options, Interrupt interrupt)
    {
        using (ModelSource source = Model.Open(path, options))
        {
            if (source is not GgufFile || !source.TensorsInOrder.Any(t => t.Type is I2SType) || Model.ReadSpec(source, _ => { }).IsEmbedding)
                return null;
        }

        return new ArrangementTrial(Work.Measure("trying arrangements of I2_S", progress => LayoutTrial.Run(path, options, progress, interrupt.Token)));
    }

    /// <summary>A name for people.</summary>
    public static string Name(I2sLayout layout) => layout switch
    {
        I2sLayout.Arm => "the arrangement of ARM builds",
        I2sLayout.FourRow => "four rows per byte",
        _ => "the canonical arrangement",
    };

    public string Describe() => string.Join(", ", Scores.Select(s => string.Create(CultureInfo.InvariantCulture, $"{Name(s.Layout)}: perplexity {s.Perplexity:0.0}")));
}
