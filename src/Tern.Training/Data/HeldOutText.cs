using Tern.Text;

namespace Tern.Training.Data;

/// <summary>How well held-out text is predicted.</summary>
/// <param name="Loss">Nats per token.</param>
/// <param name="BitsPerByte">Bits per byte of text: comparable between vocabularies.</param>
/// <param name="Tokens">Tokens that were scored.</param>
internal readonly record struct HeldOutScore(double Loss, double BitsPerByte, long Tokens)
{
    /// <summary>exp of the loss: depends on the vocabulary.</summary>
    public double Perplexity => Math.Exp(Loss);
}

/// <summary>
/// Held-out documents as sequences in which every token is scored exactly once.
/// <code>
/// tokens       |a a a a|b b b b|c c c c|d d d d|      parts of half a context
/// sequence 0   B a a a b b b b                        scores a and b
/// sequence 1           B b b b c c c c                scores c, having seen b
/// sequence 2                   B c c c d d d d        scores d, having seen c
/// </code>
/// So all but the first tokens of a document are predicted from at least half a context.
/// </summary>
internal sealed class HeldOutText
{
    private readonly TokenCache _cache;
    private readonly Tokenizer _tokenizer;
    private readonly int _context;
    private readonly List<(long Start, long End, long ScoredFrom)> _sequences = []; // places among all tokens

    /// <summary>Held-out documents.</summary>
    /// <param name="cache">Tokens.</param>
    /// <param name="documents">Which documents, by index.</param>
    /// <param name="context">Tokens of a sequence, at least 2.</param>
    /// <param name="tokenizer">Tells how many bytes a token stands for.</param>
    public HeldOutText(TokenCache cache, int[] documents, int context, Tokenizer tokenizer)
    {
        (_cache, _context, _tokenizer) = (cache, context, tokenizer);
        foreach (int index in documents)
            AddDocument(cache.Documents[index]);
    }

    /// <summary>Sequences of all documents together.</summary>
    public int Sequences => _sequences.Count;

    /// <summary>Scores a model.</summary>
    /// <param name="loss">Cross-entropy of a batch.</param>
    /// <param name="sequencesMax">Score so many sequences, evenly spread over the text, instead of all; always the same ones.</param>
    /// <param name="batchSequences">Sequences per batch.</param>
    public HeldOutScore Score(Func<TokenBatch, LossSum> loss, int sequencesMax, int batchSequences)
    {
        int count = Math.Min(sequencesMax, _sequences.Count);
        var sum = new LossSum(0, 0);
        long bytes = 0;
        for (int first = 0; first < count; first += batchSequences)
        {
            int rows = Math.Min(batchSequences, count - first);
            var batch = new TokenBatch(rows, _context, rows);
            for (int row = 0; row < rows; row++)
            {
                int sequence = (int)((long)(first + row) * _sequences.Count / count);
                bytes += Fill(sequence, batch.Inputs.AsSpan(row * _context, _context), batch.Targets.AsSpan(row * _context, _context));
            }

            sum += loss(batch);
        }

        return new HeldOutScore(sum.Mean, sum.NegativeLogLikelihood / Math.Log(2) / bytes, sum.Targets);
    }

    /// <summary>Fills one row; returns the bytes of text that its targets stand for. What is behind the end of the document is begin tokens without loss.</summary>
    private long Fill(int sequence, Span<int> inputs, Span<int> targets)
    {
        (long start, long end, long scoredFrom) = _sequences[sequence];
        int begin = _tokenizer.Bos;
        var ids = new int[(int)Math.Min(_context + 1, end - start)];
        var learned = new bool[ids.Length];
        _cache.Read(start, ids, learned);
        int skip = BeginsAt(ids[0]) ? 1 : 0;
        ReadOnlySpan<int> line = ids.AsSpan(skip);
        ReadOnlySpan<bool> lineLearned = learned.AsSpan(skip);
        int count = Math.Min(_context, line.Length);

        inputs.Fill(Math.Max(begin, 0));
        inputs[0] = skip == 1 ? ids[0] : begin;
        line[..Math.Min(count, _context - 1)].CopyTo(inputs[1..]);
        targets.Fill(TokenBatch.NoLoss);
        long bytes = 0;
        for (int i = (int)Math.Max(0, scoredFrom - start - skip); i < count; i++)
        {
            if (!lineLearned[i] || line[i] == begin)
                continue;
            targets[i] = line[i];
            bytes += _tokenizer.Bytes(line[i]).Length;
        }

        return bytes;
    }

    private void AddDocument(CachedDocument document)
    {
        if (document.Tokens < 2)
            return;
        var first = new int[1];
        _cache.Read(document.Start, first, new bool[1]);
        long start = document.Start, end = start + document.Tokens, scored = start;
        while (scored < end)
        {
            bool begins = start == document.Start ? BeginsAt(first[0]) : _tokenizer.Bos < 0;
            long covered = start + _context + (begins ? 1 : 0);
            if (covered > scored)
                _sequences.Add((start, end, scored));
            scored = Math.Max(scored, covered);
            start += Math.Max(1, _context / 2);
        }
    }

    /// <summary>Whether a sequence that starts with this token needs no begin token in front of it.</summary>
    private bool BeginsAt(int id) => _tokenizer.Bos < 0 || id == _tokenizer.Bos;
}
