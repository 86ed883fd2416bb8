using Tern.Kernels;
using Tern.Models;
using Tern.Text;

namespace Tern.Measure;

/// <summary>How well a model predicts a text.</summary>
/// <param name="Value">exp of the mean negative log-likelihood of the scored tokens.</param>
/// <param name="StandardError">One standard error of <paramref name="Value"/>.</param>
/// <param name="Tokens">Scored tokens.</param>
/// <param name="Chunks">Windows.</param>
/// <param name="BitsPerByte">Negative log-likelihood of the scored tokens in bits, over their bytes: comparable between vocabularies.</param>
internal sealed record PerplexityReport(double Value, double StandardError, int Tokens, int Chunks, double BitsPerByte);

/// <summary>
/// Perplexity by the rule that llama.cpp's figures follow, so that numbers can be compared:
/// <code>
/// tokens of the whole text   |  window 0  |  window 1  | …  | rest, dropped |      windows of n tokens, no overlap
/// one window                 | 0 … n/2-1: context only | n/2 … n-2: each predicts its successor |
/// </code>
/// The first token of every window is replaced by BOS in models that want one.
/// </summary>
internal static class Perplexity
{
    /// <summary>Measures a text.</summary>
    /// <param name="model">A model with logits.</param>
    /// <param name="text">The text.</param>
    /// <param name="context">Tokens per window.</param>
    /// <param name="kvType">How keys and values are kept.</param>
    /// <param name="progress">Receives the part that is done, in [0, 1], and the perplexity so far.</param>
    /// <param name="cancellation">Ends the work within one chunk.</param>
    /// <exception cref="TernException">The text is too short for the rule, or the model has no logits.</exception>
    public static PerplexityReport Measure(
        Model model, string text, int context, KvType kvType, Action<double> progress, CancellationToken cancellation)
    {
        if (model.Spec.IsEmbedding)
            throw new TernException(ErrorKind.Request, $"{model.Metadata.Path}: an embedding model has no perplexity");

        Tokenizer tokenizer = model.Tokenizer;
        int[] tokens = tokenizer.Encode(text, addSpecial: true);
        if (tokens.Length < 2 * context)
            throw new TernException(ErrorKind.Request, $"the text has {tokens.Length} tokens, perplexity at a context of {context} needs at least {2 * context}; use a longer text or a smaller --context");

        bool addBos = tokenizer.Bos >= 0 && tokens[0] == tokenizer.Bos;
        int windows = tokens.Length / context;
        using var runner = new SequenceRunner(model, context, 0, kvType);
        var sums = new Sums();
        for (int window = 0; window < windows; window++)
        {
            Span<int> slice = tokens.AsSpan(window * context, context);
            if (addBos)
                slice[0] = tokenizer.Bos;
            Score(runner, tokenizer, slice, ref sums, cancellation);
            progress((window + 1.0) / windows);
        }

        return sums.Report(windows);
    }

    private static void Score(SequenceRunner runner, Tokenizer tokenizer, ReadOnlySpan<int> window, ref Sums sums, CancellationToken cancellation)
    {
        int first = window.Length / 2;
        for (int start = 0; start < first; start += runner.Chunk)
        {
            cancellation.ThrowIfCancellationRequested();
            runner.Forward(window[start..Math.Min(start + runner.Chunk, first)], start, LogitRows.None);
        }

        int end = window.Length - 1;
        int rows = Math.Min(runner.Chunk, runner.RowsMax);
        for (int start = first; start < end; start += rows)
        {
            cancellation.ThrowIfCancellationRequested();
            int count = Math.Min(rows, end - start);
            runner.Forward(window.Slice(start, count), start, LogitRows.All);
            for (int row = 0; row < count; row++)
            {
                int target = window[start + row + 1];
                sums.Add(-LogProbability.Of(runner.Row(row), target), tokenizer.Bytes(target).Length);
            }
        }
    }

    private struct Sums
    {
        private double _nll;
        private double _nllSquared;
        private int _count;
        private long _bytes;

        public void Add(double nll, int bytes)
        {
            _nll += nll;
            _nllSquared += nll * nll;
            _count++;
            _bytes += bytes;
        }

        public readonly PerplexityReport Report(int windows)
        {
            double mean = _nll / _count;
            double variance = Math.Max(0, _nllSquared / _count - mean * mean);
            double value = Math.Exp(mean);
            double standardError = _count > 1 ? Math.Sqrt(variance / (_count - 1)) * value : 0;
            return new PerplexityReport(value, standardError, _count, windows, _nll / Math.Log(2) / _bytes);
        }
    }
}
