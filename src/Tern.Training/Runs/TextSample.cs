using Tern.Generation.Sampling;
using Tern.Text;
using TokenTable = Tern.Generation.TokenTable;

namespace Tern.Training.Runs;

/// <summary>A little text out of a model in training, to see what figures do not say. The same seed each time, so that samples can be compared.</summary>
internal static class TextSample
{
    private static readonly GenerationOptions s_options = new() { Temperature = 0.7f, TopK = 40 };

    /// <summary>Continues a prompt.</summary>
    /// <param name="trainer">The model.</param>
    /// <param name="tokenizer">Its tokenizer.</param>
    /// <param name="prompt">The text to go on with.</param>
    /// <param name="tokensMax">Most tokens to write.</param>
    public static string Write(Trainer trainer, Tokenizer tokenizer, string prompt, int tokensMax)
    {
        List<int> history = [.. tokenizer.Encode(prompt)];
        if (history.Count == 0)
            history.Add(Math.Max(0, tokenizer.Eos));
        int context = trainer.Shape.Context;
        Sampler sampler = Sampler.From(s_options, seed: 1, TokenTable.From(tokenizer, tokenizer.Count), context);
        var candidates = new Candidates(tokenizer.Count);
        var logits = new float[trainer.Shape.Vocabulary];
        for (int i = 0; i < tokensMax && history.Count < context; i++)
        {
            trainer.LastLogits(history.ToArray(), logits);
            if (logits.AsSpan().ContainsAnyExceptInRange(float.MinValue, float.MaxValue))
                break; // a model that ran away writes nothing more; its loss tells
            int next = sampler.Next(logits.AsSpan(0, tokenizer.Count), history.ToArray(), candidates);
            if (tokenizer.StopIds.Contains(next))
                break;
            history.Add(next);
        }

        return tokenizer.Decode(history.ToArray());
    }
}
