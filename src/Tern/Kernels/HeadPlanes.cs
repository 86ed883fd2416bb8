using System.Runtime.InteropServices;
using Tern.Machine;
using Tern.Numerics;

namespace Tern.Kernels;

/// <summary>
/// The output matrix in two planes of 4 bits, from which <see cref="HeadScreen"/> tells which rows can matter to a token. A group is 32
/// columns of a row; its step s is a bfloat16, just above max|w| / 7.5; what does not fill 32 rows or 32 columns is zero. Both codes are rounded at
/// random with the right expectation, see <see cref="PlaneDither"/>.
/// <code>
/// w  ≈  s · (high − 7.5)  +  2s/15 · (low − 7.5)              high, low in 0 … 15
///
/// high plane, for all rows: blocks of 32 rows, so that lanes are rows and a block is read from end to end
///   block       [ group 0 | group 1 | … ]
///   group       [ columns 0-7 | 8-15 | 16-23 | 24-31 | 32 steps s ]            4 · 128 + 64 bytes
///   columns     [ rows 0-15 | rows 16-31 ], of each row 4 bytes: byte i = column i (low half), column i + 4 (high half)
///
/// low plane, for rows one by one
///   row         [ codes of group 0 | group 1 | … | steps s of all groups ]    16 bytes each, then bfloat16; padded to 64 bytes
///   codes       byte i = column i (low half), column i + 16 (high half)
/// </code>
/// </summary>
internal sealed unsafe class HeadPlanes : IDisposable
{
    /// <summary>Columns that share a step.</summary>
    public const int GroupColumns = 32;

    /// <summary>Rows that are read together.</summary>
    public const int BlockRows = 32;

    /// <summary>Bytes of the codes of a group in the high plane; its steps follow.</summary>
    public const int GroupCodeBytes = BlockRows * GroupColumns / 2;

    /// <summary>Bytes of a group in the high plane.</summary>
    public const int GroupBytes = GroupCodeBytes + (BlockRows * sizeof(ushort));

    /// <summary>Bytes of the codes of a group in the low plane.</summary>
    public const int LowGroupBytes = GroupColumns / 2;

    /// <summary>Half the steps from one end of a group to the other: code c stands for c − 7.5 steps.</summary>
    public const float Middle = 7.5f;

    private const int CacheLine = 64;

    private readonly NativeBuffer<byte> _high; // [blocks, Groups, GroupBytes]
    private readonly NativeBuffer<byte> _low;  // [rows, LowRowBytes]

    private HeadPlanes(int rows, int columns)
    {
        (Rows, Columns) = (rows, columns);
        Groups = (columns + GroupColumns - 1) / GroupColumns;
        GroupStride = (Groups + Lanes.Count - 1) / Lanes.Count * Lanes.Count;
        Blocks = (rows + BlockRows - 1) / BlockRows;
        LowRowBytes = ((Groups * LowGroupBytes) + (GroupStride * sizeof(ushort)) + CacheLine - 1) / CacheLine * CacheLine;
        _high = new NativeBuffer<byte>(HighBytes);
        _low = new NativeBuffer<byte>((long)rows * LowRowBytes);
    }

    public int Rows { get; }

    public int Columns { get; }

    /// <summary>Groups of a row.</summary>
    public int Groups { get; }

    /// <summary>Groups of a row, rounded up to whole lanes.</summary>
    public int GroupStride { get; }

    /// <summary>Blocks of 32 rows.</summary>
    public int Blocks { get; }

    /// <summary>Bytes that screening all rows reads.</summary>
    public long HighBytes => (long)Blocks * Groups * GroupBytes;

    /// <summary>Bytes that tightening one row reads.</summary>
    public int LowRowBytes { get; }

    public byte* High => _high.Pointer;

    public byte* Low => _low.Pointer;

    /// <summary>
    /// Whether planes of a tensor can be bounded and be worth their memory: types of 6 and more bits whose kernels compute each product of a
    /// weight and an activation, without an offset that cancels later.
    /// </summary>
    public static bool Suit(TensorType type) =>
        type == TensorType.F32 || type == TensorType.F16 || type == TensorType.BF16 || type == TensorType.Q8_0 || type == TensorType.Q6_K;

    /// <summary>Rounds a matrix into planes; the same planes on every machine, with any number of threads.</summary>
    public static HeadPlanes Build(Tensor tensor, WorkerPool pool)
    {
        var planes = new HeadPlanes((int)tensor.Rows, (int)tensor.Columns);
        var handle = GCHandle.Alloc((tensor, planes));
        try
        {
            pool.ReserveScratch((long)planes.Groups * GroupColumns * sizeof(float));
            var job = new BuildJob { Handle = GCHandle.ToIntPtr(handle), Scratch = pool.Scratch, ScratchBytes = pool.ScratchBytes };
            pool.Run(&BuildBlocks, &job, planes.Blocks, 4);
        }
        catch
        {
            planes.Dispose();
            throw;
        }
        finally
        {
            handle.Free();
        }

        return planes;
    }

    public void Dispose()
    {
        _high.Dispose();
        _low.Dispose();
    }

    private static void BuildBlocks(void* state, int start, int end, int worker)
    {
        var job = (BuildJob*)state;
        (Tensor tensor, HeadPlanes planes) = ((Tensor, HeadPlanes))GCHandle.FromIntPtr(job->Handle).Target!;
        var weights = new Span<float>(job->Scratch + (worker * job->ScratchBytes), planes.Groups * GroupColumns);
        weights[planes.Columns..].Clear();
        int last = Math.Min(end * BlockRows, planes.Rows);
        for (int row = start * BlockRows; row < last; row++)
        {
            tensor.DecodeRow(row, weights[..planes.Columns]);
            planes.BuildRow(row, weights);
        }
    }

    private void BuildRow(int row, ReadOnlySpan<float> weights)
    {
        byte* high = High + ((long)(row / BlockRows) * Groups * GroupBytes);
        byte* low = Low + ((long)row * LowRowBytes);
        var lowSteps = (ushort*)(low + (Groups * LowGroupBytes));
        int lane = row % BlockRows;
        uint seed = PlaneDither.SeedOf(row);
        bool bounded = true;
        for (int group = 0; group < Groups; group++)
        {
            byte* to = high + ((long)group * GroupBytes);
            ReadOnlySpan<float> columns = weights.Slice(group * GroupColumns, GroupColumns);
            bounded &= PlaneDither.TryStep(columns, out ushort step);
            lowSteps[group] = ((ushort*)(to + GroupCodeBytes))[lane] = step;
            PlaneDither.Encode(columns, step, seed, (uint)(group * GroupColumns), to + (lane * sizeof(uint)), low + (group * LowGroupBytes));
        }

        // A row that cannot be bounded is always read in the original: an infinite step makes its bound infinite or NaN.
        if (!bounded)
            lowSteps[0] = ((ushort*)(high + GroupCodeBytes))[lane] = PlaneDither.InfiniteStep;
    }

    private struct BuildJob
    {
        public nint Handle;
        public byte* Scratch;
        public long ScratchBytes;
    }
}
