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
        Compute.Normalize(embedding);
        return embedding;
    }

    public void Dispose() => _runner.Dispose();
}
