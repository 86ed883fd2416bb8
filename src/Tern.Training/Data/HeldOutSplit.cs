using Tern.Generation.Sampling;

namespace Tern.Training.Data;

/// <summary>Which documents are only measured.</summary>
/// <param name="Share">Share of the text to hold out, in [0, 0.5]; ignored when names or files are given.</param>
/// <param name="Names">Documents to hold out, such as <c>tales.txt#3</c>.</param>
/// <param name="Seed">The same seed chooses the same documents.</param>
internal sealed record HeldOutOptions(double Share, IReadOnlyList<string> Names, ulong Seed);

/// <summary>
/// Splits a corpus by whole documents, so that nothing that is measured was ever seen: a page of a book that stands in the training text tells of the next.
/// </summary>
/// <param name="Train">Documents to train on, by their index.</param>
/// <param name="HeldOut">Documents to measure, by their index.</param>
internal sealed record HeldOutSplit(int[] Train, int[] HeldOut)
{
    /// <summary>Chosen documents may overshoot the wanted share by this factor.</summary>
    private const double ShareSlack = 1.25;

    /// <summary>Splits.</summary>
    /// <exception cref="TernException">A name is unknown, or nothing is left on one of the sides.</exception>
    public static HeldOutSplit Of(IReadOnlyList<CachedDocument> documents, HeldOutOptions options)
    {
        var heldOut = new HashSet<int>(Enumerable.Range(0, documents.Count).Where(i => documents[i].HeldOut));
        foreach (string name in options.Names)
        {
            List<int> named = [.. Enumerable.Range(0, documents.Count).Where(i => documents[i].Name == name)];
            if (named.Count == 0)
                throw new TernException(ErrorKind.Request, $"the held-out document '{name}' is not in the corpus; documents are called by file and number, from '{documents[0].Name}' to '{documents[^1].Name}'");
            heldOut.UnionWith(named);
        }

        if (heldOut.Count == 0 && options.Share > 0)
            Choose(documents, options, heldOut);

        int[] train = [.. Enumerable.Range(0, documents.Count).Where(i => !heldOut.Contains(i) && documents[i].Tokens > 0)];
        if (train.Length == 0)
            throw new TernException(ErrorKind.Request, "all documents are held out, and none is left to train on; hold out fewer");
        return new HeldOutSplit(train, [.. heldOut.Order()]);
    }

    /// <summary>Takes documents in a random order as long as they fit into the share, and at least the first.</summary>
    private static void Choose(IReadOnlyList<CachedDocument> documents, HeldOutOptions options, HashSet<int> heldOut)
    {
        if (documents.Count < 2)
        {
            throw new TernException(
                ErrorKind.Request,
                "the corpus is a single document, so none can be held out; say where documents end with --separator, name a file with --held-out, or take --held-out-share 0");
        }

        int[] order = [.. Enumerable.Range(0, documents.Count)];
        Shuffle.Apply(order, new SeededRandom(options.Seed));
        double wanted = documents.Sum(document => document.TextBytes) * options.Share;
        long bytes = 0;
        foreach (int index in order)
        {
            if (bytes >= wanted)
                break;
            if (heldOut.Count > 0 && bytes + documents[index].TextBytes > wanted * ShareSlack)
                continue;
            heldOut.Add(index);
            bytes += documents[index].TextBytes;
        }
    }
}
