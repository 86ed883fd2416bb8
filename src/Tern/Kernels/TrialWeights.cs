using Tern.Machine;
using Tern.Numerics;

namespace Tern.Kernels;

/// <summary>
/// A matrix of random weights as a file would hold it: the first rows are drawn and encoded, the others repeat them.
/// <code>
///   bytes   [ drawn rows ][ drawn rows ][ drawn rows ] … [ tail of the type, if it has one ]
/// </code>
/// </summary>
internal sealed unsafe class TrialWeights
{
    /// <summary>A multiple of the rows that any type interleaves.</summary>
    private const int DrawnRows = 8;

    private const int Seed = 20240227;

    private readonly byte[] _drawn; // [DrawnRows] rows, then the tail
    private readonly int _rowsBytes;

    /// <param name="type">A type that can be encoded.</param>
    /// <param name="byteCount">About how many bytes; eight rows at least.</param>
    /// <param name="columns">Columns, a size that fits the type.</param>
    public TrialWeights(TensorType type, long byteCount, int columns)
    {
        Type = type;
        Columns = columns;

        // A tail belongs to the whole tensor: what twice the rows add is the rows alone.
        long once = (long)type.ByteCount((UInt128)columns, DrawnRows), twice = (long)type.ByteCount((UInt128)columns, 2 * DrawnRows);
        _rowsBytes = checked((int)(twice - once));
        Rows = checked((int)Math.Max(1, byteCount / _rowsBytes) * DrawnRows);
        _drawn = new byte[once];
        var random = new Random(Seed);
        float[] weights = new float[DrawnRows * columns];
        for (int i = 0; i < weights.Length; i++)
            weights[i] = type.IsTernary ? random.Next(3) - 1 : (2 * random.NextSingle()) - 1;
        type.Encode(weights, columns, _drawn);
    }

    public TensorType Type { get; }

    public int Rows { get; }

    public int Columns { get; }

    /// <summary>Writes the whole matrix.</summary>
    public void Fill(NativeBuffer<byte> bytes)
    {
        ReadOnlySpan<byte> rows = _drawn.AsSpan(0, _rowsBytes), tail = _drawn.AsSpan(_rowsBytes);
        long end = bytes.Count - tail.Length;
        for (long start = 0; start < end; start += rows.Length)
            rows.CopyTo(new Span<byte>(bytes.Pointer + start, rows.Length));
        tail.CopyTo(new Span<byte>(bytes.Pointer + end, tail.Length));
    }
}
