namespace Tern.Models;

/// <summary>
/// What a reader of logits will look at, and the answer. The rows that can matter are those among the <see cref="Count"/> largest that are
/// within <see cref="Distance"/> of the largest one, and the forced ones, which are left out of both comparisons because the reader will
/// change them. The forward pass may answer with a list (<see cref="IsListed"/>): <see cref="Ids"/> in ascending order, all rows that can
/// matter and maybe some that cannot, and their logits in front of the row of output. Otherwise that row holds all logits.
/// Made once per reader; asking allocates nothing.
/// </summary>
internal sealed class LogitDemand
{
    /// <summary>Most ids of a list.</summary>
    public const int IdsMax = 2048;

    private const int ForcedMax = 1024;

    /// <summary>More than these are better served by all logits.</summary>
    private const int CountMax = 512;

    private readonly int[] _forced = new int[ForcedMax];
    private readonly int[] _ids = new int[IdsMax];
    private int _forcedCount, _idCount;

    private LogitDemand(int count, float distance) => (Count, Distance) = (count, distance);

    public int Count { get; }

    /// <summary>At most 0; negative infinity where only the count matters.</summary>
    public float Distance { get; }

    /// <summary>Rows that the list must hold in any case; may repeat.</summary>
    public ReadOnlySpan<int> Forced => _forced.AsSpan(0, _forcedCount);

    /// <summary>More rows were forced than a list can hold: ask for all logits.</summary>
    public bool IsOverfull { get; private set; }

    /// <summary>Whether the last forward pass answered with a list.</summary>
    public bool IsListed => _idCount > 0;

    /// <summary>The rows of the list, in ascending order.</summary>
    public ReadOnlySpan<int> Ids => _ids.AsSpan(0, _idCount);

    /// <summary>The largest logits; null when there are so many that all logits serve better.</summary>
    public static LogitDemand? Largest(int count, float distance = float.NegativeInfinity) => count <= CountMax ? new(count, distance) : null;

    /// <summary>The logits within a distance of the largest one.</summary>
    public static LogitDemand Within(float distance) => new(int.MaxValue, distance);

    /// <summary>Starts over: nothing forced, nothing answered.</summary>
    public void Clear() => (_forcedCount, _idCount, IsOverfull) = (0, 0, false);

    /// <summary>Asks for a row in any case.</summary>
    public void Force(int id)
    {
        if (_forcedCount == _forced.Length)
            IsOverfull = true;
        else
            _forced[_forcedCount++] = id;
    }

    /// <summary>Where an answer writes the ids of its list.</summary>
    public Span<int> Room => _ids;

    /// <summary>Says how long the answer's list is; 0: all logits are there.</summary>
    public void Answer(int count) => _idCount = count;
}
