using Tern.Kernels;
using Tern.Models;

namespace Tern.Measure;

/// <summary>Embeddings of token lists, one after the other: the hidden state of the last token, L2 normalised.</summary>
internal sealed class EmbeddingProbe : IDisposable
{
    private readonly SequenceRunner _runner;

    /// <param name="model">An embedding model; stays alive as long as the probe.</param>
    /// <param name="positionsMax">Most tokens of a list.</param>
    /// <exception cref="TernException">The model has no embeddings.</exception>
    public EmbeddingProbe(Model model, int positionsMax)
    {
        if (!model.Spec.IsEmbedding)
            throw new TernException(ErrorKind.Request, $"{model.Metadata.Path}: not an embedding model; models with a pooling type are");
        _runner = new SequenceRunner(model, positionsMax, 0, KvType.F32);
    }

    /// <summary>[hidden]</summary>
    public float[] Run(ReadOnlySpan<int> ids, CancellationToken cancellation)
    {
        _runner.Prefill(ids, 0, cancellation);
        float[] embedding = _runner.Row(0).ToArray();
        Normalize(embedding);
        return embedding;
    }

    public void Dispose() => _runner.Dispose();

    private static void Normalize(Span<float> x)
    {
        double sum = 0;
        foreach (float v in x)
            sum += (double)v * v;
        double factor = sum > 0 ? 1 / Math.Sqrt(sum) : 0;
        for (int i = 0; i < x.Length; i++)
            x[i] = (float)(x[i] * factor);
    }
}
