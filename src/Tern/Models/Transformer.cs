using Tern.Kernels;

namespace Tern.Models;

/// <summary>Memory for the keys and values of <see cref="PageCount"/> pages in all layers.</summary>
internal sealed class KvCache : IDisposable
{
    public KvCache(ModelSpec spec, KvType type, int pageCount) => (Spec, Type, PageCount) = (spec, type, pageCount);

    public ModelSpec Spec { get; }

    public KvType Type { get; }

    public int PageCount { get; }

    /// <summary>Bytes of one page in all layers.</summary>
    public static long PageBytes(ModelSpec spec, KvType type) => throw new NotSupportedException();

    public void Dispose()
    {
    }
}

/// <summary>The forward pass. One thread calls it; results do not depend on how tokens are batched.</summary>
internal sealed class Transformer : IDisposable
{
    /// <param name="model">Weights.</param>
    /// <param name="cache">Keys and values; positions are addressed through the pages in each slice.</param>
    /// <param name="tokensMax">Most tokens in a batch.</param>
    /// <param name="logitRowsMax">Most rows of logits in a batch.</param>
    /// <param name="contextMax">Most positions of one sequence.</param>
    public Transformer(Model model, KvCache cache, int tokensMax, int logitRowsMax, int contextMax) => throw new NotSupportedException();

    /// <summary>Runs a batch and writes [batch.LogitRowCount, vocabulary] logits (embedding models: [.., hidden] states after the final norm).</summary>
    public void Forward(Batch batch, Span<float> output) => throw new NotSupportedException();

    public void Dispose()
    {
    }
}
