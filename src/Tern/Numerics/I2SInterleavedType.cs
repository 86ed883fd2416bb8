using System.Numerics;
using System.Runtime.Intrinsics;

namespace Tern.Numerics;

/// <summary>
/// I2_S with interleaved groups: the flat sequence of weights, row after row, in groups of G weights in G/4 bytes.
/// <code>
///   group 128 (canonical), byte p in 0..31:   7 6 = w[p]   5 4 = w[32 + p]   3 2 = w[64 + p]   1 0 = w[96 + p]
///   group 64 (ARM builds), byte p in 0..15:   7 6 = w[p]   5 4 = w[16 + p]   3 2 = w[32 + p]   1 0 = w[48 + p]
/// </code>
/// Groups count from the start of the tensor: where columns are no multiple of G, a group holds the end of one row and the start of the next.
/// <code>
///   columns = 192, G = 128    [ group 0      ][ group 1      ][ group 2      ]
///                             [ row 0               ][ row 1                ]
/// </code>
/// </summary>
internal sealed class I2SInterleavedType(string name, int group) : I2SType
{
    public override string Name => name;

    public override int BlockSize => group;

    public override int BlockBytes => group / 4;

    public override bool FitsShape(UInt128 columns, UInt128 rows) => columns * rows % (UInt128)group == 0;

    public override void DecodeCodes(Tensor tensor, long row, Span<sbyte> codes)
    {
        Span<sbyte> whole = stackalloc sbyte[group];
        long start = row * tensor.Columns, end = start + tensor.Columns;
        for (long first = start - (start % group); first < end; first += group)
        {
            ReadOnlySpan<byte> bytes = tensor.Bytes(first / 4, BlockBytes);
            if (first >= start && first + group <= end)
            {
                DecodeGroup(bytes, codes.Slice((int)(first - start), group));
                continue;
            }

            DecodeGroup(bytes, whole);
            long from = Math.Max(first, start), to = Math.Min(first + group, end);
            whole[(int)(from - first)..(int)(to - first)].CopyTo(codes[(int)(from - start)..]);
        }
    }

    /// <summary>Groups end with a row at least every G rows.</summary>
    public override long RowsPerPiece(long columns) => group / (long)BigInteger.GreatestCommonDivisor(group, columns);

    public override void Pack(ReadOnlySpan<sbyte> codes, ReadOnlySpan<float> scales, long columns, Span<byte> destination)
    {
        int quarter = BlockBytes;
        for (int first = 0; first < destination.Length; first += quarter)
        {
            ReadOnlySpan<sbyte> weights = codes.Slice(4 * first, group);
            for (int p = 0; p < quarter; p += Vector128<sbyte>.Count)
            {
                Vector128<byte> packed = Vector128<byte>.Zero;
                for (int i = p; i < group; i += quarter)
                    packed = (packed << 2) | (Vector128.Create(weights[i..]) + Vector128<sbyte>.One).AsByte();
                packed.CopyTo(destination[(first + p)..]);
            }
        }
    }

    private static void DecodeGroup(ReadOnlySpan<byte> bytes, Span<sbyte> codes)
    {
        if (bytes.Length == Vector256<byte>.Count)
        {
            // Shifted as words: what comes in from the neighbouring byte is masked off with the rest.
            Vector256<ushort> packed = Vector256.Create(bytes).AsUInt16();
            for (int quarter = 0; quarter < 4; quarter++)
                (((packed >> (6 - (2 * quarter))).AsByte() & Vector256.Create((byte)3)).AsSByte() - Vector256<sbyte>.One).CopyTo(codes[(quarter * bytes.Length)..]);
            return;
        }

        for (int p = 0; p < bytes.Length; p += 16)
        {
            Vector128<byte> packed = Vector128.Create(bytes[p..]);
            for (int quarter = 0; quarter < 4; quarter++)
            {
                Vector128<byte> code = (packed >> (6 - (2 * quarter))) & Vector128.Create((byte)3);
                (code.AsSByte() - Vector128<sbyte>.One).CopyTo(codes[((quarter * bytes.Length) + p)..]);
            }
        }
    }
}
