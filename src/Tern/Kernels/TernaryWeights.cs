using System.Numerics;
using System.Runtime.InteropServices;
using Tern.Machine;
using Tern.Numerics;

namespace Tern.Kernels;

/// <summary>
/// Brings a tensor of any ternary type to the layout of the kernel row that will run it. Canonical I2_S whose rows are whole blocks already is
/// the layout of two bits and is used in place; everything else is decoded row by row and packed. Both ways look at every code: code 3 is
/// refused before a kernel can see it.
/// </summary>
internal sealed unsafe class TernaryWeights
{
    private const int BlockColumns = 128;
    private const int BlockBytes = 32;

    /// <summary>Bytes that one step of the search for code 3 reads.</summary>
    private const int ScanBytes = 1 << 18;

    private TernaryWeights(KernelRow kernel, NativeBuffer<byte>? packed, NativeBuffer<float> scales, int scaleColumns) =>
        (Kernel, Packed, Scales, ScaleColumns) = (kernel, packed, scales, scaleColumns);

    /// <summary>The row that runs them.</summary>
    public KernelRow Kernel { get; }

    /// <summary>The codes in the layout of <see cref="Kernel"/>, or null when they are used in place.</summary>
    public NativeBuffer<byte>? Packed { get; }

    /// <summary>[rows, groups of <see cref="ScaleColumns"/> columns].</summary>
    public NativeBuffer<float> Scales { get; }

    /// <summary>Columns that share a scale: all of a row wherever that says the same.</summary>
    public int ScaleColumns { get; }

    /// <summary>Bytes of a packed row.</summary>
    public static long RowBytes(long columns) => (columns + BlockColumns - 1) / BlockColumns * BlockBytes;

    /// <summary>Chooses a row, checks codes and scales and brings them to the row's layout, sharing the work on <paramref name="pool"/>.</summary>
    /// <param name="tensor">Of any ternary type.</param>
    /// <param name="pick">The row that will run, told whether scales differ inside a row.</param>
    /// <param name="pool">Workers.</param>
    /// <param name="arena">Where repacked codes go; null for a buffer of their own.</param>
    /// <exception cref="TernException">Code 3, or a scale that is not finite.</exception>
    public static TernaryWeights Prepare(Tensor tensor, Func<bool, KernelRow> pick, WorkerPool pool, WeightArena? arena = null)
    {
        var type = (TernaryType)tensor.Type;
        long scaleColumns = Math.Min(type.ScaleColumns(tensor), tensor.Columns);
        NativeBuffer<float> scales = ReadScales(tensor, type, scaleColumns);
        NativeBuffer<float>? merged = scaleColumns < tensor.Columns ? TryMergeGroups(scales, tensor.Rows) : null;
        NativeBuffer<byte>? packed = null;
        try
        {
            bool isGrouped = scaleColumns < tensor.Columns && merged is null;
            if (isGrouped && scaleColumns % BlockColumns != 0)
                throw tensor.Error(ErrorKind.Unsupported, 0, $"scales that differ every {scaleColumns} columns of a row; Tern runs groups of whole {BlockColumns}s");

            KernelRow kernel = pick(isGrouped);
            bool isWords = kernel.Layout == WeightLayout.TernaryWords;
            if (!isWords && IsInPlace(tensor))
                RefuseCode3(tensor, pool);
            else
                packed = Pack(tensor, isWords, scales, scaleColumns, pool, arena);
            return merged is null
                ? new TernaryWeights(kernel, packed, scales, (int)scaleColumns)
                : new TernaryWeights(kernel, packed, merged, (int)tensor.Columns);
        }
        catch (TernException)
        {
            packed?.Dispose();
            merged?.Dispose();
            merged = null;
            scales.Dispose();
            throw;
        }
        finally
        {
            if (merged is not null)
                scales.Dispose();
        }
    }

    private static bool IsInPlace(Tensor tensor) => tensor.Type.Name == "I2_S" && tensor.Columns % BlockColumns == 0;

    private static NativeBuffer<float> ReadScales(Tensor tensor, TernaryType type, long scaleColumns)
    {
        long groups = (tensor.Columns + scaleColumns - 1) / scaleColumns;
        var scales = new NativeBuffer<float>(tensor.Rows * groups);
        type.ReadScales(tensor, scales.Span);
        for (long i = 0; i < scales.Count; i++)
        {
            if (float.IsFinite(scales.Pointer[i]))
                continue;

            (long row, long group) = (i / groups, i % groups);
            float found = scales.Pointer[i];
            scales.Dispose();
            throw tensor.Error(ErrorKind.Semantic, type.OffsetOf(tensor, row, 0), $"the scale of row {row}, group {group} is {found}; scales are finite numbers");
        }

        return scales;
    }

    /// <summary>
    /// One scale per row, if that is what the groups of every row say. A group with scale 0 agrees with every other: what it holds is 0
    /// whatever its codes are, and <see cref="ReadRow"/> reads it as zeros.
    /// </summary>
    private static NativeBuffer<float>? TryMergeGroups(NativeBuffer<float> scales, long rows)
    {
        long groups = scales.Count / rows;
        var merged = new NativeBuffer<float>(rows);
        for (long i = 0; i < scales.Count; i++)
        {
            float scale = scales.Pointer[i];
            float* ofRow = merged.Pointer + i / groups;
            if (*ofRow == 0)
                *ofRow = scale;
            if (scale == 0 || scale == *ofRow)
                continue;

            merged.Dispose();
            return null;
        }

        return merged;
    }

    private static void RefuseCode3(Tensor tensor, WorkerPool pool)
    {
        var scan = new Scan { Data = tensor.Data, ByteCount = tensor.Rows * RowBytes(tensor.Columns), FirstBad = long.MaxValue };
        pool.Run(&ScanBody, &scan, checked((int)((scan.ByteCount + ScanBytes - 1) / ScanBytes)), 1);
        if (scan.FirstBad != long.MaxValue)
            throw Code3(tensor, scan.FirstBad, $"byte 0x{tensor.Data[scan.FirstBad]:x2} holds code 3");
    }

    private static NativeBuffer<byte> Pack(Tensor tensor, bool isWords, NativeBuffer<float> scales, long scaleColumns, WorkerPool pool, WeightArena? arena)
    {
        int blockRows = isWords ? TernaryWords.BlockRows : 1;
        int codeStride = isWords ? TernaryWords.CodeStride(tensor.Columns) : (int)tensor.Columns;
        NativeBuffer<byte> packed = WeightArena.Take(arena, isWords ? TernaryWords.ByteCount(tensor.Rows, tensor.Columns) : tensor.Rows * RowBytes(tensor.Columns));
        using var codes = new NativeBuffer<sbyte>((long)codeStride * blockRows * pool.Threads);
        var handle = GCHandle.Alloc(tensor);
        try
        {
            var packing = new Packing
            {
                Tensor = GCHandle.ToIntPtr(handle),
                Packed = packed.Pointer,
                Codes = codes.Pointer,
                CodeStride = codeStride,
                BlockRows = blockRows,
                Scales = scales.Pointer,
                ScaleColumns = scaleColumns,
                FirstBad = long.MaxValue,
            };
            int blocks = (int)((tensor.Rows + blockRows - 1) / blockRows);
            pool.Run(&PackBody, &packing, blocks, isWords ? 1 : 4);
            if (packing.FirstBad == long.MaxValue)
                return packed;

            (long row, long column) = (packing.FirstBad / tensor.Columns, packing.FirstBad % tensor.Columns);
            packed.Dispose();
            if (IsInPlace(tensor))
                RefuseCode3(tensor, pool); // knows the byte
            throw Code3(tensor, ((TernaryType)tensor.Type).OffsetOf(tensor, row, column), $"row {row} holds code 3 at column {column}");
        }
        finally
        {
            handle.Free();
        }
    }

    private static TernException Code3(Tensor tensor, long offset, string what) =>
        tensor.Error(ErrorKind.Semantic, offset, $"{what}; ternary weights have codes 0, 1 and 2, so the file is damaged or of another type than it says");

    private static void ScanBody(void* state, int start, int end, int worker)
    {
        var scan = (Scan*)state;
        for (long offset = (long)start * ScanBytes; offset < Math.Min((long)end * ScanBytes, scan->ByteCount); offset += ScanBytes)
        {
            byte* data = scan->Data + offset;
            long count = Math.Min(ScanBytes, scan->ByteCount - offset);
            if (!HasCode3(data, count))
                continue;

            long bad = 0;
            while ((data[bad] & data[bad] >> 1 & 0x55) == 0)
                bad++;
            LowerTo(ref scan->FirstBad, offset + bad);
        }
    }

    /// <summary>Whether any pair of bits is 11; <paramref name="count"/> is a multiple of 32.</summary>
    private static bool HasCode3(byte* data, long count)
    {
        var lowBits = new Vector<ulong>(0x5555_5555_5555_5555);
        Vector<ulong> found = Vector<ulong>.Zero;
        long done = 0;
        for (; done <= count - Vector<byte>.Count; done += Vector<byte>.Count)
        {
            Vector<ulong> codes = Vector.Load((ulong*)(data + done));
            found |= codes & (codes >>> 1) & lowBits;
        }

        bool any = found != Vector<ulong>.Zero;
        for (; done < count; done++)
            any |= (data[done] & data[done] >> 1 & 0x55) != 0;
        return any;
    }

    private static void PackBody(void* state, int start, int end, int worker)
    {
        var packing = (Packing*)state;
        var tensor = (Tensor)GCHandle.FromIntPtr(packing->Tensor).Target!;
        sbyte* codes = packing->Codes + ((long)worker * packing->BlockRows * packing->CodeStride);
        for (int block = start; block < end; block++)
        {
            long first = (long)block * packing->BlockRows;
            int rows = (int)Math.Min(packing->BlockRows, tensor.Rows - first);
            for (int row = 0; row < rows; row++)
                ReadRow(packing, tensor, first + row, new Span<sbyte>(codes + ((long)row * packing->CodeStride), (int)tensor.Columns));

            if (packing->BlockRows == 1)
            {
                PackRow(new ReadOnlySpan<sbyte>(codes, (int)tensor.Columns), packing->Packed + (first * RowBytes(tensor.Columns)));
                continue;
            }

            int words = TernaryWords.WordsOf(tensor.Columns);
            TernaryWords.PackBlock(codes, rows, words, TernaryWords.Row(packing->Packed, words, (int)first));
        }
    }

    /// <summary>The codes of a row; zeros where the scale is 0, and in a row with code 3, whose place is noted.</summary>
    private static void ReadRow(Packing* packing, Tensor tensor, long row, Span<sbyte> codes)
    {
        tensor.Type.DecodeCodes(tensor, row, codes);
        int bad = codes.IndexOfAnyExceptInRange((sbyte)-1, (sbyte)1);
        if (bad >= 0)
        {
            LowerTo(ref packing->FirstBad, (row * tensor.Columns) + bad);
            codes.Clear();
        }

        long groups = (tensor.Columns + packing->ScaleColumns - 1) / packing->ScaleColumns;
        for (long group = 0; groups > 1 && group < groups; group++)
            if (packing->Scales[(row * groups) + group] == 0)
                codes[(int)(group * packing->ScaleColumns)..(int)Math.Min((group + 1) * packing->ScaleColumns, tensor.Columns)].Clear();
    }

    private static void PackRow(ReadOnlySpan<sbyte> codes, byte* packed)
    {
        long size = RowBytes(codes.Length);
        for (long i = 0; i < size; i++)
        {
            int first = (int)(i / BlockBytes * BlockColumns + i % BlockBytes);
            int value = 0;
            for (int column = first; column < first + BlockColumns; column += BlockBytes)
                value = value << 2 | (column < codes.Length ? codes[column] + 1 : 1);
            packed[i] = (byte)value;
        }
    }

    private static void LowerTo(ref long target, long value)
    {
        for (long seen = Volatile.Read(ref target); value < seen;)
        {
            long found = Interlocked.CompareExchange(ref target, value, seen);
            if (found == seen)
                return;
            seen = found;
        }
    }

    private struct Scan
    {
        public byte* Data;
        public long ByteCount;
        public long FirstBad;
    }

    private struct Packing
    {
        public nint Tensor;
        public byte* Packed;
        public sbyte* Codes;
        public int CodeStride;
        public int BlockRows;
        public float* Scales;
        public long ScaleColumns;
        public long FirstBad;
    }
}
