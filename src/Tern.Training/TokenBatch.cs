namespace Tern.Training;

/// <summary>
/// The tokens of one optimizer step: sequences of one length, computed in micro batches whose gradients add up.
/// <code>
///   Inputs, Targets [Sequences, Length]     row s = sequence s; Targets[s, t] is what should follow Inputs[s, 0..t], or NoLoss
/// </code>
/// </summary>
internal sealed class TokenBatch
{
    /// <summary>A target that counts for nothing.</summary>
    public const int NoLoss = -1;

    /// <summary>A batch with room for the given tokens, all targets <see cref="NoLoss"/>.</summary>
    /// <param name="sequences">Sequences of the optimizer step.</param>
    /// <param name="length">Tokens of each.</param>
    /// <param name="microSequences">Sequences computed at a time; bounds the memory of a step.</param>
    /// <exception cref="TernException">There are more tokens than an array holds.</exception>
    public TokenBatch(int sequences, int length, int microSequences)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(sequences, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(length, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(microSequences, 1);
        (Sequences, Length, MicroSequences) = (sequences, length, Math.Min(microSequences, sequences));
        Inputs = new int[Count(sequences, length)];
        Targets = new int[Inputs.Length];
        Array.Fill(Targets, NoLoss);
    }

    /// <summary>Tokens of so many sequences.</summary>
    /// <exception cref="TernException">More than an array holds.</exception>
    public static int Count(int sequences, int length) => (long)sequences * length <= Array.MaxLength
        ? sequences * length
        : throw new TernException(ErrorKind.Limit, $"{sequences} sequences of {length} tokens at a time need more memory than can be counted; a smaller --batch, --micro-batch or --context needs less");

    public int Sequences { get; }

    public int Length { get; }

    public int MicroSequences { get; }

    /// <summary>Passes over the model in one step; the last may be smaller.</summary>
    public int MicroBatches => (Sequences + MicroSequences - 1) / MicroSequences;

    /// <summary>[Sequences, Length] token ids in [0, vocabulary).</summary>
    public int[] Inputs { get; }

    /// <summary>[Sequences, Length] the next ids, or <see cref="NoLoss"/>.</summary>
    public int[] Targets { get; }
}
