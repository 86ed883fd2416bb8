using Tern.Kernels;
using Tern.Models;

namespace Tern.Measure;

/// <summary>
/// What a token of a test costs at least, whatever the engine: bytes that have to come from memory, and 8-bit multiplications and additions
/// of the linear layers. Attention's own arithmetic is not in it.
/// </summary>
/// <param name="Bytes">
/// Per token. A step of generation reads the layers' weights and the output matrix (of a screened one the high plane) once, for all its
/// sequences together, and the keys and values of each. A prompt reads the weights once per chunk, the output matrix once, and the keys and values before each chunk.
/// </param>
/// <param name="Operations">Per token, a multiplication and an addition counted as two. A prompt runs the output matrix once.</param>
internal sealed record TokenCost(double Bytes, double Operations)
{
    public static TokenCost Of(Model model, KvType kv, BenchmarkTest test)
    {
        WeightMatrix[] layers = [.. model.Weights.Layers.SelectMany(l => l.Linears).Select(l => l.Matrix)];
        double layerBytes = layers.Sum(m => (double)m.ByteCount), layerOperations = layers.Sum(OperationsOf);
        double fullHeadBytes = model.Weights.Head?.Matrix.ByteCount ?? 0;
        double headOperations = model.Weights.Head is { } head ? OperationsOf(head.Matrix) : 0;
        if (!test.IsPrompt)
        {
            // The middle step of the test stands for all.
            double headBytes = model.Weights.HeadPlanes?.HighBytes ?? fullHeadBytes;
            double keysAndValues = KeyValueBytes(model.Spec, kv, test.Depth + ((test.Count - 1) / 2));
            return new TokenCost(((layerBytes + headBytes) / test.Sequences) + keysAndValues, layerOperations + headOperations);
        }

        double bytes = fullHeadBytes;
        for (int start = 0; start < test.Count; start += SequenceRunner.ChunkMax)
            bytes += layerBytes + KeyValueBytes(model.Spec, kv, test.Depth + start);
        return new TokenCost(bytes / test.Count, layerOperations + (headOperations / test.Count));
    }

    /// <summary>Keys and values that a token at a position looks at.</summary>
    public static double KeyValueBytes(ModelSpec spec, KvType kv, int position)
    {
        double perLayer = (double)KvCache.PageBytes(spec, kv) / KvPages.PageTokens / spec.Layers;
        double seen = 0;
        for (int layer = 0; layer < spec.Layers; layer++)
            seen += spec.IsLocal(layer) ? Math.Min(position, spec.SlidingWindow) : position;
        return seen * perLayer;
    }

    private static double OperationsOf(WeightMatrix matrix) => 2.0 * matrix.Rows * matrix.Columns;
}
