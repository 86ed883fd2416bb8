using System.Globalization;

namespace Tern.Files;

/// <summary>
/// Where a tensor begins and ends. This is the only place in the room that multiplies dimensions or adds offsets of a file; it does so
/// in 128 bits and bounds every factor before the multiplication, so that no product or sum of hostile numbers can wrap.
/// <code>
/// data start        Offset                  End         Padded
///     |----- gap ----|====== ByteCount ======|··padding··|
/// </code>
/// </summary>
/// <param name="Columns">The innermost dimension.</param>
/// <param name="Rows">The product of all other dimensions.</param>
internal readonly record struct TensorExtent(UInt128 Columns, UInt128 Rows)
{
    /// <summary>No type of the field packs more than eight weights into a byte, so a file of n bytes cannot hold more than 8n weights.</summary>
    private const int WeightsPerByteMax = 8;

    /// <summary>Folds dimensions into columns and rows.</summary>
    /// <param name="dimensions">One to four, each at least 1; innermost first.</param>
    /// <param name="fileBytes">Length of the file, which bounds the number of weights.</param>
    /// <param name="extent">The result.</param>
    /// <returns>False when the product is more than the file can hold.</returns>
    public static bool TryFold(ReadOnlySpan<long> dimensions, long fileBytes, out TensorExtent extent)
    {
        extent = default;
        UInt128 weightsMax = (UInt128)fileBytes * WeightsPerByteMax;
        UInt128 weights = 1;
        UInt128 rows = 1;
        for (int i = 0; i < dimensions.Length; i++)
        {
            var dimension = (UInt128)dimensions[i];
            if (dimension > weightsMax / weights)
                return false;
            weights *= dimension;
            if (i > 0)
                rows *= dimension;
        }

        extent = new TensorExtent((UInt128)dimensions[0], rows);
        return true;
    }

    /// <summary>Bytes of a tensor in whole blocks.</summary>
    public UInt128 ByteCount(int blockWeights, int blockBytes) => checked(Columns / (UInt128)blockWeights * Rows * (UInt128)blockBytes);

    /// <summary>Bytes of a tensor whose elements lie without padding; elements of less than a byte fill whole bytes at the end.</summary>
    /// <param name="dimensions">Any number, each at least 0; none is one element.</param>
    /// <param name="elementBits">Bits of an element, at least 1.</param>
    /// <param name="fileBytes">Bytes of data in the file, which bound the product.</param>
    /// <param name="byteCount">The result.</param>
    /// <returns>False when that is more than the file holds.</returns>
    public static bool TryByteCount(ReadOnlySpan<long> dimensions, int elementBits, long fileBytes, out UInt128 byteCount)
    {
        byteCount = 0;
        if (dimensions.Contains(0))
            return true;

        UInt128 bitsMax = (UInt128)fileBytes * 8;
        var bits = (UInt128)elementBits;
        foreach (long dimension in dimensions)
        {
            if ((UInt128)dimension > bitsMax / bits)
                return false;
            bits *= (UInt128)dimension;
        }

        byteCount = (bits + 7) / 8;
        return bits <= bitsMax;
    }

    /// <summary>The next multiple of an alignment that is a power of two.</summary>
    public static UInt128 Align(UInt128 value, uint alignment) => checked(value + alignment - 1) & ~((UInt128)alignment - 1);

    /// <summary>Dimensions as messages write them: <c>[256, 512]</c>.</summary>
    public static string Describe(IReadOnlyList<long> dimensions) =>
        "[" + string.Join(", ", dimensions.Select(d => d.ToString(CultureInfo.InvariantCulture))) + "]";
}
