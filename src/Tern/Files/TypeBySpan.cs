using System.Globalization;
using Tern.Numerics;

namespace Tern.Files;

/// <summary>A tensor info as the file states it, before its type is settled.</summary>
/// <param name="Name">The tensor's name.</param>
/// <param name="Shape">Dimensions, innermost first.</param>
/// <param name="Extent">The same, folded.</param>
/// <param name="TypeId">The type id, which may mean several types.</param>
/// <param name="TypeOffset">Where the type id stands in the file; the data offset follows it.</param>
/// <param name="DataOffset">Where the data begins, counted from the start of the file.</param>
internal sealed record TensorInfo(string Name, long[] Shape, TensorExtent Extent, int TypeId, long TypeOffset, long DataOffset);

/// <summary>
/// Settles what a tensor's type id means. Programs gave the same id to different types, so the id alone decides nothing: each meaning of
/// the id, Tern's own and the refused ones, says how many bytes the tensor would have, and the distance to the next tensor tells which
/// one it is.
/// <code>
/// tensor.DataOffset          the next tensor, or the end of the file
///     |----------- span -----------|
///     |== bytes ==|··padding··|         exact: bytes ≤ span ≤ align(bytes)
///     |== bytes ==|··padding··|--gap--| fits:  bytes ≤ span
/// </code>
/// An exact meaning wins. Without one, a gap is accepted only where a single meaning fits. Two that fit are refused, never guessed.
/// </summary>
internal sealed class TypeBySpan(string path, uint alignment, I2sLayout layout)
{
    /// <summary>The type and the unpadded bytes of a tensor.</summary>
    /// <param name="tensor">The tensor.</param>
    /// <param name="span">Bytes from its start to the next tensor's, or to the end of the file.</param>
    /// <param name="next">The next tensor in the order of the data, or null before the end of the file.</param>
    /// <exception cref="TernException">The id is unknown or ambiguous, means a refused type, or the tensor does not fit.</exception>
    public (TensorType Type, long ByteCount) Settle(TensorInfo tensor, long span, TensorInfo? next)
    {
        TensorExtent extent = tensor.Extent;
        List<TensorType> ours = [.. Meanings(tensor.TypeId)];
        List<RefusedType> refused = [.. RefusedTypes.All.Where(r => r.Id == tensor.TypeId)];
        if (ours.Count == 0)
            throw Refused(tensor, span, refused);

        List<TensorType> shaped = [.. ours.Where(t => t.FitsShape(extent.Columns, extent.Rows))];
        if (shaped.Count == 0)
            throw Misshapen(tensor, ours[0]);

        List<TensorType> exact = [.. shaped.Where(t => IsExact(t.ByteCount(extent.Columns, extent.Rows), span))];
        List<RefusedType> exactRefused = [.. refused.Where(r => r.ByteCount(extent) is { } bytes && IsExact(bytes, span))];
        if (exact.Count == 1 && exactRefused.Count == 0)
            return (exact[0], (long)exact[0].ByteCount(extent.Columns, extent.Rows));
        if (exact.Count == 0 && exactRefused.Count > 0)
            throw Refused(tensor, span, exactRefused);
        if (exact.Count > 0)
            throw Ambiguous(tensor, span, exact, exactRefused);

        List<TensorType> fitting = [.. shaped.Where(t => t.ByteCount(extent.Columns, extent.Rows) <= (UInt128)span)];
        List<RefusedType> fittingRefused = [.. refused.Where(r => r.ByteCount(extent) is { } bytes && bytes <= (UInt128)span)];
        if (fitting.Count == 0)
            throw TooLong(tensor, span, next, shaped);
        if (fitting.Count > 1 || fittingRefused.Count > 0)
            throw Ambiguous(tensor, span, fitting, fittingRefused);
        return (fitting[0], (long)fitting[0].ByteCount(extent.Columns, extent.Rows));
    }

    /// <summary>Whether any program is known to write this id.</summary>
    public bool IsKnown(int id) => Meanings(id).Any() || RefusedTypes.All.Any(r => r.Id == id);

    /// <summary>Tern's types with an id. I2_S has three arrangements of one size, of which the caller chose one.</summary>
    private IEnumerable<TensorType> Meanings(int id)
    {
        if (id != TensorType.I2S.GgufId)
            return TensorType.All.Where(t => t.GgufId == id);
        return
        [
            layout switch
            {
                I2sLayout.Arm => TensorType.I2SArm,
                I2sLayout.FourRow => TensorType.I2SFourRow,
                _ => TensorType.I2S,
            },
        ];
    }

    private bool IsExact(UInt128 bytes, long span) => bytes <= (UInt128)span && (UInt128)span <= TensorExtent.Align(bytes, alignment);

    private TernException Refused(TensorInfo tensor, long span, List<RefusedType> meanings)
    {
        // Of several refused meanings the span may single one out (MXFP4 against TL2); otherwise all are named.
        List<RefusedType> exact = [.. meanings.Where(m => m.ByteCount(tensor.Extent) is { } bytes && IsExact(bytes, span))];
        if (exact.Count == 0)
            exact = meanings.Any(m => m.BlockWeights == 0) ? [.. meanings.Where(m => m.BlockWeights == 0)] : meanings;
        string names = string.Join(" or ", exact.Select(m => m.Name));
        return Error(ErrorKind.Unsupported, tensor, $"{Facts(tensor, span)} means {names}, which Tern does not run", string.Join("; ", exact.Select(m => exact.Count > 1 ? $"{m.Name}: {m.Advice}" : m.Advice).Distinct()));
    }

    private TernException Ambiguous(TensorInfo tensor, long span, List<TensorType> ours, List<RefusedType> refused)
    {
        IEnumerable<string> meanings =
        [
            .. ours.Select(t => Meaning(t.Name, t.ByteCount(tensor.Extent.Columns, tensor.Extent.Rows))),
            .. refused.Select(r => Meaning(r.Name, r.ByteCount(tensor.Extent) ?? 0)),
        ];
        return Error(
            ErrorKind.Unsupported,
            tensor,
            $"{Facts(tensor, span)} may mean {string.Join(" or ", meanings)}, and the span does not tell which",
            "Tern does not guess: make a file of the original checkpoint with `tern convert`, or write the file again without gaps between its tensors");

        static string Meaning(string name, UInt128 bytes) => string.Create(CultureInfo.InvariantCulture, $"{name} ({bytes} bytes)");
    }

    private TernException TooLong(TensorInfo tensor, long span, TensorInfo? next, List<TensorType> shaped)
    {
        UInt128 bytes = shaped.Min(t => t.ByteCount(tensor.Extent.Columns, tensor.Extent.Rows));
        string what = string.Create(CultureInfo.InvariantCulture, $"{TensorExtent.Describe(tensor.Shape)} of {shaped[0].Name} at {tensor.DataOffset} needs {bytes} bytes, but ");
        (string reason, string remedy) = next is null
            ? (FormattableString.Invariant($"the file ends after {span}"), "the file is cut off: download it again")
            : (FormattableString.Invariant($"tensor {FileError.Quote(next.Name)} begins after {span}: they overlap"), "the file is damaged: download or convert it again");
        return FileError.At(ErrorKind.Format, path, tensor.TypeOffset + sizeof(int), $"data offset of tensor {FileError.Quote(tensor.Name)}", what + reason, remedy);
    }

    private TernException Misshapen(TensorInfo tensor, TensorType type) =>
        Error(
            ErrorKind.Format,
            tensor,
            string.Create(CultureInfo.InvariantCulture, $"{TensorExtent.Describe(tensor.Shape)} cannot be {type.Name}, which comes in blocks of {type.BlockSize} weights"),
            "the file is damaged or its converter wrong: download or convert it again");

    private static string Facts(TensorInfo tensor, long span) =>
        string.Create(CultureInfo.InvariantCulture, $"type id {tensor.TypeId} with {TensorExtent.Describe(tensor.Shape)} in a span of {span} bytes");

    private TernException Error(ErrorKind kind, TensorInfo tensor, string what, string remedy) =>
        FileError.At(kind, path, tensor.TypeOffset, $"type of tensor {FileError.Quote(tensor.Name)}", what, remedy);
}
