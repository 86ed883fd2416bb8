using System.Globalization;
using Tern.Training.Runs;

namespace Tern.Training.Reports;

/// <summary>
/// The shares of -1, 0 and +1 as a table in Markdown, a line per block:
/// <code>
/// | block | attn_q                | attn_k                | …
/// | blk.0 | 0.331 / 0.340 / 0.329 | 0.352 / 0.297 / 0.351 | …
/// </code>
/// </summary>
internal static class SharesTable
{
    /// <summary>Appends an empty line, the table, and a sentence about its extremes.</summary>
    public static void Append(MarkdownText text, LayerShares shares)
    {
        string[] kinds = [.. shares.Layers.Select(layer => Part(layer, 1)).Distinct()];
        text.Line($"");
        text.Line($"| block | {string.Join(" | ", kinds)} |");
        text.Line($"|---|{string.Concat(Enumerable.Repeat("---|", kinds.Length))}");
        foreach (IGrouping<string, CodeShares> block in shares.Layers.GroupBy(layer => Part(layer, 0)))
            text.Line($"| {block.Key} | {string.Join(" | ", kinds.Select(kind => Cell(block, kind)))} |");
        text.Line($"");
        text.Line($"All layers together: {Text(shares.Mean)}. Fewest zeros: {shares.FewestZeros.Zero:0.000} in {shares.FewestZeros.Name}; most: {shares.MostZeros.Zero:0.000} in {shares.MostZeros.Name}.");
    }

    private static string Cell(IEnumerable<CodeShares> block, string kind)
    {
        CodeShares[] found = [.. block.Where(layer => Part(layer, 1) == kind)];
        return found.Length == 0 ? "" : Text(found[0]);
    }

    /// <summary>The part of a layer's name in front of its last point, or the one behind it.</summary>
    private static string Part(CodeShares layer, int index)
    {
        int point = layer.Name.LastIndexOf('.');
        return index == 0 ? layer.Name[..Math.Max(point, 0)] : layer.Name[(point + 1)..];
    }

    private static string Text(CodeShares shares) => string.Create(CultureInfo.InvariantCulture, $"{shares.Minus:0.000} / {shares.Zero:0.000} / {shares.Plus:0.000}");
}
