using System.Buffers;
using System.Globalization;
using System.Runtime.Intrinsics;
using Tern.Numerics;

namespace Tern.Conversion;

/// <summary>Writes the bytes of planned tensors, front to back, while the next piece is being computed.</summary>
/// <param name="loop">Shares the rows.</param>
/// <param name="options">How to make weights ternary that are not.</param>
/// <param name="advance">Receives bytes of the source that are done.</param>
internal sealed class TensorRecoder(RowLoop loop, ConversionOptions options, Action<long> advance)
{
    private const int CopyPiece = 1 << 20;
    private const float LargestHalf = 65504;
    private const int OldGroupBytes = 34, ScaleBytes = 2, HalfGroupCodes = 16;

    private readonly PieceWriter _pieces = new(loop, advance);

    /// <summary>The largest relative change of a scale that the target type had to round.</summary>
    public double LargestScaleError { get; private set; }

    /// <summary>Writes one tensor.</summary>
    /// <exception cref="TernException">Its contents cannot be what its type says, or do not fit the type to be written.</exception>
    public void Write(TensorPlan plan, Stream stream)
    {
        switch (plan.Recoding)
        {
            case Recoding.Copy:
                Copy(plan.Source, CopyPiece, stream.Write);
                break;
            case Recoding.Regroup:
                Copy(plan.Source, OldGroupBytes << 14, bytes => Regroup(bytes, stream));
                break;
            case Recoding.Codes:
                WriteCodes(plan, (TernaryType)plan.Type, stream);
                break;
            default:
                WriteFloats(plan, stream);
                break;
        }
    }

    private void Copy(Tensor tensor, int piece, Action<ReadOnlySpan<byte>> write)
    {
        const long dropEvery = 64L << 20;
        for (long done = 0, dropped = 0; done < tensor.ByteCount; done += piece)
        {
            loop.ThrowIfCancelled();
            int count = (int)Math.Min(piece, tensor.ByteCount - done);
            write(tensor.Bytes(done, count));
            advance(count);
            if (done - dropped < dropEvery)
                continue;
            loop.Source.Drop(tensor);
            dropped = done;
        }

        loop.Source.Drop(tensor);
    }

    /// <summary>[d][32 B of codes] becomes [d][16 B][d][16 B]: codes lie four to a byte in order, so each half is a group of its own.</summary>
    private static void Regroup(ReadOnlySpan<byte> old, Stream stream)
    {
        for (int at = 0; at < old.Length; at += OldGroupBytes)
        {
            ReadOnlySpan<byte> group = old.Slice(at, OldGroupBytes), scale = group[..ScaleBytes];
            stream.Write(scale);
            stream.Write(group.Slice(ScaleBytes, HalfGroupCodes));
            stream.Write(scale);
            stream.Write(group[(ScaleBytes + HalfGroupCodes)..]);
        }
    }

    private void WriteCodes(TensorPlan plan, TernaryType type, Stream stream)
    {
        Tensor tensor = plan.Source;
        TernarySource source = plan.Exact ?? Source(plan);
        bool perTensor = type.Tail(0).Length > 0;
        if (perTensor && source.CommonScale is null)
            throw tensor.Error(ErrorKind.Unsupported, 0, $"has several scales, and {type.Name} has room for one per tensor: write it as tq2_0 (scales per 256 weights) or iq2_bn (scales per row)");
        if (!perTensor && type is TernaryRowType && HasSeveralScalesInARow(source))
            throw tensor.Error(ErrorKind.Unsupported, 0, $"has several scales in a row, and {type.Name} has room for one: write it as tq1_0 or tq2_0");

        int columns = (int)tensor.Columns;
        _pieces.Write(tensor, tensor.Rows, RowLoop.PieceRows(columns, type.RowsPerPiece(columns)), stream, rows => type.CodeBytes(columns, rows), (first, rows, destination) =>
        {
            sbyte[] codes = ArrayPool<sbyte>.Shared.Rent(rows * columns);
            for (int row = 0; row < rows; row++)
                source.Codes(first + row, codes.AsSpan(row * columns, columns));
            type.Pack(codes.AsSpan(0, rows * columns), source.Scales(first, rows), columns, destination);
            ArrayPool<sbyte>.Shared.Return(codes);
        });
        stream.Write(type.Tail(source.CommonScale ?? 0));
        NoteScales(source, type);
    }

    private void WriteFloats(TensorPlan plan, Stream stream)
    {
        Tensor tensor = plan.Source;
        int columns = (int)tensor.Columns;

        // Weights that become -d, 0, +d are brought to those values first, and codes of ternary types are checked on the way.
        bool hasCodes = tensor.Type.IsTernary || plan.Type == TensorType.Q2_0;
        TernarySource? ternary = hasCodes ? plan.Exact ?? Source(plan) : null;
        _pieces.Write(tensor, tensor.Rows, RowLoop.PieceRows(columns, 1), stream, rows => checked((long)plan.Type.ByteCount((UInt128)columns, (UInt128)rows)), (first, rows, destination) =>
        {
            float[] floats = ArrayPool<float>.Shared.Rent(rows * columns);
            for (int row = 0; row < rows; row++)
            {
                Span<float> weights = floats.AsSpan(row * columns, columns);
                if (ternary is null)
                    tensor.DecodeRow(first + row, weights);
                else
                    Expand(ternary, first + row, weights);
                Check(tensor, first + row, weights, plan.Type);
            }

            plan.Type.Encode(floats.AsSpan(0, rows * columns), columns, destination);
            ArrayPool<float>.Shared.Return(floats);
        });
    }

    /// <summary>Refuses what the type would write as infinite or not a number: the file would be broken, and nobody would know.</summary>
    private static void Check(Tensor tensor, long row, ReadOnlySpan<float> weights, TensorType type)
    {
        bool isWide = type == TensorType.F32 || type == TensorType.BF16;
        float limit = isWide ? float.MaxValue : LargestHalf;
        int i = 0;
        var limits = Vector256.Create(limit);
        while (i <= weights.Length - Vector256<float>.Count && Vector256.LessThanOrEqualAll(Vector256.Abs(Vector256.Create(weights[i..])), limits))
            i += Vector256<float>.Count;
        while (i < weights.Length && MathF.Abs(weights[i]) <= limit)
            i++;
        if (i == weights.Length)
            return;
        string place = string.Create(CultureInfo.InvariantCulture, $"row {row}, column {i} is {weights[i]}");
        throw tensor.Error(ErrorKind.Semantic, 0, float.IsFinite(weights[i])
            ? $"{place}, and {type.Name} holds magnitudes up to {LargestHalf}: write it as bf16 or f32"
            : $"{place}: the file is damaged, take it from another source");
    }

    private static void Expand(TernarySource source, long row, Span<float> weights)
    {
        sbyte[] codes = ArrayPool<sbyte>.Shared.Rent(weights.Length);
        source.Codes(row, codes);
        ReadOnlySpan<float> scales = source.Scales(row, 1);
        int width = weights.Length / scales.Length;
        for (int i = 0; i < weights.Length; i++)
            weights[i] = codes[i] * scales[i / width];
        ArrayPool<sbyte>.Shared.Return(codes);
    }

    private TernarySource Source(TensorPlan plan) =>
        plan.Source.Type.IsTernary ? TernarySource.Of(plan.Source)
        : options.Ptq == Ternarisation.Twn ? TernarySource.Twn(plan.Source, loop, perRow: plan.Type != TensorType.I2S)
        : TernarySource.AbsMean(plan.Source, loop);

    private static bool HasSeveralScalesInARow(TernarySource source)
    {
        ReadOnlySpan<float> scales = source.AllScales;
        for (int i = 0; i < scales.Length; i++)
            if (scales[i] != scales[i - (i % source.Groups)])
                return true;
        return false;
    }

    private void NoteScales(TernarySource source, TernaryType type)
    {
        bool halves = type is TernaryBlockType or IQ1_BNType;
        if (!halves)
            return;
        foreach (float scale in source.AllScales)
        {
            float rounded = Halves.ToSingle(Halves.FromSingle(scale));
            if (scale != 0)
                LargestScaleError = Math.Max(LargestScaleError, Math.Abs(((double)rounded - scale) / scale));
        }
    }
}
