using Tern.Machine;
using Tern.Numerics;

namespace Tern.Kernels;

/// <summary>
/// One kernel row with weights and activations of chosen sizes, ready to be timed. The weights only have to be valid, and as various as real
/// ones for rows that look results up by them.
/// </summary>
internal sealed unsafe class KernelTrial : IDisposable
{
    private const int ProbeRows = 8;

    private readonly WorkerPool _pool;
    private readonly NativeBuffer<byte> _bytes;
    private readonly NativeBuffer<float> _output; // [tokens, rows]
    private readonly WeightMatrix _weights;
    private readonly Activations _activations;

    private KernelTrial(KernelRow row, TensorType type, int rows, int columns, int tokens, WorkerPool pool, Action<NativeBuffer<byte>> fill)
    {
        _pool = pool;
        _bytes = new NativeBuffer<byte>((long)type.ByteCount((UInt128)columns, (UInt128)rows));
        fill(_bytes);
        var tensor = new Tensor
        {
            Name = row.Name,
            Type = type,
            Shape = [columns, rows],
            Data = _bytes.Pointer,
            ByteCount = _bytes.Count,
            Path = "trial",
            FileOffset = 0,
        };
        _weights = MatMul.Prepare(tensor, new KernelChoice(Cpu.Available, row.Name), pool);
        _output = new NativeBuffer<float>((long)tokens * rows);
        _activations = new Activations(tokens, columns);
        _activations.Begin(tokens, columns);
        for (int token = 0; token < tokens; token++)
            new Span<float>(_activations.Floats + (long)token * _activations.Stride, columns).Fill(1);
    }

    /// <summary>Bytes of weights that one run reads.</summary>
    public long WeightBytes => _weights.ByteCount;

    /// <summary>A type whose weights the row computes, or null when no such file could be.</summary>
    public static TensorType? TypeOf(KernelRow row, int columns, WorkerPool pool)
    {
        IEnumerable<TensorType> types = row.Layout.Native is { } native ? [native] : TensorType.All;
        foreach (TensorType type in types.Where(t => t.FitsShape((UInt128)columns, ProbeRows)))
        {
            using var trial = new KernelTrial(row, type, ProbeRows, columns, 1, pool, FillWithTwoScales);
            if (trial._weights.Kernel == row)
                return type;
        }

        return null;
    }

    /// <summary>A trial of about the given bytes of weights in the file.</summary>
    public static KernelTrial Create(KernelRow row, TensorType type, long weightBytes, int columns, int tokens, WorkerPool pool)
    {
        long rowBytes = Math.Max(1, (long)type.ByteCount((UInt128)columns, ProbeRows) / ProbeRows);
        int rows = (int)Math.Clamp(weightBytes / rowBytes, ProbeRows, 1 << 20) / ProbeRows * ProbeRows;
        return new KernelTrial(row, type, rows, columns, tokens, pool, FillWithTwoScales);
    }

    /// <summary>A trial with random weights, those of ternary types with one scale; or null when the row does not compute such a matrix.</summary>
    /// <param name="row">The row.</param>
    /// <param name="weights">What the file would hold.</param>
    /// <param name="tokens">Tokens of a run.</param>
    /// <param name="pool">Workers.</param>
    public static KernelTrial? Of(KernelRow row, TrialWeights weights, int tokens, WorkerPool pool)
    {
        var trial = new KernelTrial(row, weights.Type, weights.Rows, weights.Columns, tokens, pool, weights.Fill);
        if (trial._weights.Kernel == row)
            return trial;

        trial.Dispose();
        return null;
    }

    /// <summary>Multiplications and additions of one run.</summary>
    public double Operations => 2.0 * _weights.Rows * _weights.Columns * _activations.TokensMax;

    /// <summary>One matmul; the first quantizes the activations, too.</summary>
    public void Run() => MatMul.Run(_pool, _weights, _activations, _output.Pointer, _weights.Rows);

    public void Dispose()
    {
        _weights.Dispose();
        _activations.Dispose();
        _output.Dispose();
        _bytes.Dispose();
    }

    /// <summary>Every byte is 0x11 or 0x12: no forbidden ternary code, no scale that is not finite, and scales that differ inside a row.</summary>
    private static void FillWithTwoScales(NativeBuffer<byte> bytes)
    {
        for (long start = 0; start < bytes.Count; start += 64)
            new Span<byte>(bytes.Pointer + start, (int)Math.Min(64, bytes.Count - start)).Fill((byte)(0x11 + (start >> 6 & 1)));
    }
}
