using System.Runtime.InteropServices;

namespace Tern.Training.Vocabulary;

/// <summary>
/// How often every pair of neighbouring symbols occurs, the words it occurs in, and the most frequent pair: the state of byte-pair training.
/// The heap is lazy: a count that falls leaves its entry behind, which is put back in its right place when it surfaces; a count that rises
/// gets a new entry.
/// <code>
/// pair → entry:  count | node ─→ (word, node) ─→ (word, none)      some of the words may have lost the pair since
/// heap:          (count as it once was, pair), highest count first, then the smaller pair
/// </code>
/// </summary>
internal sealed class PairCounts
{
    private const int None = -1;

    private readonly Dictionary<ulong, int> _entryOf = [];
    private readonly List<long> _counts = [];
    private readonly List<int> _firstNode = [];
    private readonly List<(int Word, int Next)> _nodes = [];
    private readonly PriorityQueue<ulong, (long Count, ulong Pair)> _heap = new(MostFrequentFirst.Instance);

    /// <summary>Changes how often a pair occurs.</summary>
    /// <param name="left">First symbol.</param>
    /// <param name="right">Second symbol.</param>
    /// <param name="change">Occurrences that are new, or with a minus sign gone.</param>
    /// <param name="newIn">The word that did not have the pair before, or -1.</param>
    public void Change(int left, int right, long change, int newIn)
    {
        ref int entry = ref CollectionsMarshal.GetValueRefOrAddDefault(_entryOf, Pair(left, right), out bool exists);
        if (!exists)
        {
            entry = _counts.Count;
            _counts.Add(0);
            _firstNode.Add(None);
        }

        _counts[entry] += change;
        int first = _firstNode[entry];
        if (newIn != None && (first == None || _nodes[first].Word != newIn))
        {
            _nodes.Add((newIn, first));
            _firstNode[entry] = _nodes.Count - 1;
        }
    }

    /// <summary>Puts all pairs on the heap, after the first counting.</summary>
    public void Start()
    {
        foreach ((ulong pair, int entry) in _entryOf)
            _heap.Enqueue(pair, (_counts[entry], pair));
    }

    /// <summary>Tells the heap that a pair became more frequent.</summary>
    public void Raised(int left, int right)
    {
        ulong pair = Pair(left, right);
        long count = _counts[_entryOf[pair]];
        if (count > 0)
            _heap.Enqueue(pair, (count, pair));
    }

    /// <summary>Takes the most frequent pair off the heap; of equally frequent ones the pair with the smaller left, then the smaller right symbol.</summary>
    /// <returns>False when no pair is left.</returns>
    public bool TryTake(out int left, out int right, out long count)
    {
        while (_heap.TryDequeue(out ulong pair, out (long Count, ulong Pair) key))
        {
            count = _counts[_entryOf[pair]];
            if (count == key.Count && count > 0)
            {
                (left, right) = ((int)(pair >> 32), (int)(uint)pair);
                return true;
            }

            if (count > 0 && count < key.Count)
                _heap.Enqueue(pair, (count, pair));
        }

        (left, right, count) = (0, 0, 0);
        return false;
    }

    /// <summary>The words that have, or once had, a pair. Ends the list: the pair is about to be merged wherever it is.</summary>
    public List<int> TakeWords(int left, int right)
    {
        int entry = _entryOf[Pair(left, right)];
        var words = new List<int>();
        for (int node = _firstNode[entry]; node != None; node = _nodes[node].Next)
            words.Add(_nodes[node].Word);
        _firstNode[entry] = None;
        return words;
    }

    private static ulong Pair(int left, int right) => ((ulong)(uint)left << 32) | (uint)right;

    private sealed class MostFrequentFirst : IComparer<(long Count, ulong Pair)>
    {
        public static readonly MostFrequentFirst Instance = new();

        public int Compare((long Count, ulong Pair) x, (long Count, ulong Pair) y) =>
            x.Count != y.Count ? y.Count.CompareTo(x.Count) : x.Pair.CompareTo(y.Pair);
    }
}
