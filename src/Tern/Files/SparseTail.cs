using System.Globalization;

namespace Tern.Files;

/// <summary>
/// Notices a download that reserved its space and did not finish: the size is right, the end is zeros. The lengths in a GGUF file cannot
/// show that, but what the zeros would mean in the last tensor can.
/// <code>
///   | row | row | row | row |
///   |xxxxxxxxxxxxx0000000000|    zeros begin inside a row: a hole
///   |00000000000000000000000|    all zeros: a hole
///   |xxxxxxxxxxx|00000|00000|    whole rows of zeros: perhaps padding of the vocabulary; a warning
///   |xxxx0|xxxx0|xxxx0|xxxx0|    every row ends in zeros: padding of the width; a warning
/// </code>
/// Ternary and other types whose zero weight is not a zero byte never end in 4 KiB of zero bytes. Biases may honestly be zero and are
/// passed over. A hole that ends before the last tensor is not seen; only a recorded SHA-256 finds that one.
/// </summary>
internal static class SparseTail
{
    /// <summary>The unit in which file systems leave holes.</summary>
    private const int PageBytes = 4096;

    /// <summary>More zeros than this are not read: no vocabulary is padded by so much.</summary>
    private const long ScanBytesMax = 16 << 20;

    /// <summary>Zero weights that a row may end with by chance: one block's worth.</summary>
    private const int RowSlackBytes = 32;

    /// <summary>Ids of the types in which a block of zero weights is a block of zero bytes: F32, F16, BF16, Q4_1, Q8_0, Q4_K, Q6_K.</summary>
    private static readonly int[] s_zeroIsZero = [0, 1, 30, 3, 8, 12, 14];

    /// <summary>Looks at the end of the last tensor that is not a bias.</summary>
    /// <returns>A warning, or null.</returns>
    /// <exception cref="TernException">The end of the data is a hole.</exception>
    public static string? Check(FileCursor cursor, IReadOnlyList<PlacedTensor> tensors)
    {
        PlacedTensor? last = null;
        foreach (PlacedTensor tensor in tensors)
        {
            if (!tensor.Name.EndsWith(".bias", StringComparison.Ordinal) && (last is null || tensor.Offset > last.Value.Offset))
                last = tensor;
        }

        if (last is not { } t)
            return null;

        long zeros = TrailingZeros(cursor, t);
        if (zeros < PageBytes && zeros < t.ByteCount)
            return null;

        if (zeros < Math.Min(t.ByteCount, ScanBytesMax) && s_zeroIsZero.Contains(t.Type.GgufId) && IsPadding(cursor, t, zeros))
        {
            return string.Create(
                CultureInfo.InvariantCulture,
                $"{cursor.Path}: the last {zeros} bytes of tensor {FileError.Quote(t.Name)} are zero, as padding is; if the model has none, the download did not finish");
        }

        throw FileError.At(
            ErrorKind.Format,
            cursor.Path,
            t.Offset + t.ByteCount - zeros,
            $"data of tensor {FileError.Quote(t.Name)}",
            string.Create(CultureInfo.InvariantCulture, $"the last {zeros} of {t.ByteCount} bytes are zero, which {t.Type.Name} weights are not"),
            "the download reserved its space and did not finish: download the file again");
    }

    /// <summary>Whether the zeros begin with a row, or where they begin in the row before as well.</summary>
    private static bool IsPadding(FileCursor cursor, PlacedTensor tensor, long zeros)
    {
        long rowBytes = (long)((UInt128)tensor.ByteCount / tensor.Extent.Rows);
        long start = tensor.ByteCount - zeros;
        long column = start % rowBytes;
        if (column == 0 || column >= rowBytes - RowSlackBytes)
            return true;
        if (start < rowBytes)
            return false;

        Span<byte> above = stackalloc byte[(int)Math.Min(PageBytes, rowBytes - column)];
        int read = cursor.FillAt(above, tensor.Offset + start - rowBytes, "tensor data");
        return !above[..read].ContainsAnyExcept((byte)0);
    }

    /// <summary>Zero bytes at the end of a tensor, counted up to <see cref="ScanBytesMax"/>.</summary>
    private static long TrailingZeros(FileCursor cursor, PlacedTensor tensor)
    {
        byte[] buffer = new byte[PageBytes];
        long zeros = 0;
        while (zeros < Math.Min(tensor.ByteCount, ScanBytesMax))
        {
            int count = (int)Math.Min(buffer.Length, tensor.ByteCount - zeros);
            Span<byte> bytes = buffer.AsSpan(0, count);
            int read = cursor.FillAt(bytes, tensor.Offset + tensor.ByteCount - zeros - count, "tensor data");
            int last = bytes[..read].LastIndexOfAnyExcept((byte)0);
            zeros += count - 1 - last;
            if (last >= 0)
                break;
            if (zeros == PageBytes)
                buffer = new byte[16 * PageBytes];
        }

        return zeros;
    }
}
