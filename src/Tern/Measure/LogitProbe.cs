using Tern.Kernels;
using Tern.Models;

namespace Tern.Measure;

/// <summary>The largest logits of one position, largest first; of equal ones the lower id comes first.</summary>
internal sealed record TopLogits(int[] Ids, float[] Logits)
{
    public const int Count = 5;

    public static TopLogits Of(ReadOnlySpan<float> logits)
    {
        int count = Math.Min(Count, logits.Length);
        var top = new TopLogits(new int[count], new float[count]);
        int filled = 0;
        for (int id = 0; id < logits.Length; id++)
        {
            float logit = logits[id];
            int place = filled;
            while (place > 0 && logit > top.Logits[place - 1])
                place--;
            if (place == count)
                continue;

            filled = Math.Min(filled + 1, count);
            for (int i = filled - 1; i > place; i--)
                (top.Ids[i], top.Logits[i]) = (top.Ids[i - 1], top.Logits[i - 1]);
            (top.Ids[place], top.Logits[place]) = (id, logit);
        }

        return top;
    }
}

/// <summary>What a model says of one prompt.</summary>
/// <param name="Logits">All logits at the last position.</param>
/// <param name="Top">The largest logits of every position.</param>
/// <param name="LogLikelihood">Σ ln p(token i + 1 | tokens 0 … i).</param>
/// <param name="Greedy">The most likely continuation, token by token.</param>
internal sealed record LogitReport(float[] Logits, IReadOnlyList<TopLogits> Top, double LogLikelihood, int[] Greedy);

/// <summary>Computes the numbers by which two implementations of one model are compared.</summary>
internal sealed class LogitProbe : IDisposable
{
    private readonly SequenceRunner _runner;

    /// <param name="model">Stays alive as long as the probe.</param>
    /// <param name="positionsMax">Most positions of a prompt with its greedy tokens.</param>
    /// <param name="chunk">Tokens per forward pass; 0 is as many as the limits allow.</param>
    /// <param name="kvType">How keys and values are kept.</param>
    /// <exception cref="TernException">An embedding model has no logits.</exception>
    public LogitProbe(Model model, int positionsMax, int chunk, KvType kvType)
    {
        if (model.Spec.IsEmbedding)
            throw new TernException(ErrorKind.Request, $"{model.Metadata.Path}: an embedding model has no logits; use 'tern embed'");
        _runner = new SequenceRunner(model, positionsMax, chunk, kvType);
    }

    /// <summary>Runs one prompt of at least one token.</summary>
    public LogitReport Run(ReadOnlySpan<int> prompt, int greedy, CancellationToken cancellation)
    {
        var top = new List<TopLogits>(prompt.Length);
        double logLikelihood = 0;
        float[] last = [];
        int chunk = Math.Min(_runner.Chunk, _runner.RowsMax);
        for (int start = 0; start < prompt.Length; start += chunk)
        {
            cancellation.ThrowIfCancellationRequested();
            int count = Math.Min(chunk, prompt.Length - start);
            _runner.Forward(prompt.Slice(start, count), start, LogitRows.All);
            for (int row = 0; row < count; row++)
            {
                ReadOnlySpan<float> logits = _runner.Row(row);
                top.Add(TopLogits.Of(logits));
                if (start + row + 1 < prompt.Length)
                    logLikelihood += LogProbability.Of(logits, prompt[start + row + 1]);
                else
                    last = logits.ToArray();
            }
        }

        return new LogitReport(last, top, logLikelihood, Continue(top[^1].Ids[0], prompt.Length, greedy, cancellation));
    }

    public void Dispose() => _runner.Dispose();

    private int[] Continue(int next, int position, int count, CancellationToken cancellation)
    {
        int[] tokens = new int[count];
        for (int i = 0; i < count; i++)
        {
            tokens[i] = next;
            if (i + 1 == count)
                break;

            cancellation.ThrowIfCancellationRequested();
            next = _runner.Next(next, position + i);
        }

        return tokens;
    }
}
