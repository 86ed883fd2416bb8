using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Tern.Numerics;

namespace Tern.Conversion;

/// <summary>
/// Random contents for a tensor, fast enough for files of tens of gigabytes: 2-bit and base-3 types are drawn byte by byte from the bytes that
/// are valid, everything else is encoded from uniform floats. The same seed gives the same bytes.
/// </summary>
internal sealed class RandomWeights(ulong seed)
{
    private const int RowsAtOnce = 64;

    private static readonly byte[] s_fourTrits = Patterns(digits => digits[0] | digits[1] << 2 | digits[2] << 4 | digits[3] << 6, 4);
    private static readonly byte[] s_fiveTritsBase3 = Patterns(digits => (Horner(digits) * 256 + 242) / 243, 5);
    private static readonly byte[] s_fourTritsBase3 = Patterns(digits => (Horner(digits) * 3 * 256 + 242) / 243, 4);

    private readonly Random _random = new(unchecked((int)(seed ^ seed >> 32)));

    /// <summary>Writes [rows, columns] of a type whose values have about the given root mean square.</summary>
    public void Write(Stream stream, TensorType type, long columns, long rows, float scale)
    {
        if (type == TensorType.I2S)
            WriteI2S(stream, columns * rows, scale);
        else if (type == TensorType.TQ1_0)
            WriteBlocks(stream, columns * rows / 256, 54, 52, 48, scale);
        else if (type == TensorType.TQ2_0)
            WriteBlocks(stream, columns * rows / 256, 66, 64, 64, scale);
        else
            Encode(stream, type, columns, rows, scale);
    }

    private static byte[] Patterns(Func<int[], int> pack, int trits)
    {
        int count = (int)Math.Pow(3, trits);
        var bytes = new byte[count];
        for (int i = 0; i < count; i++)
        {
            var digits = new int[trits];
            for (int d = 0, rest = i; d < trits; d++, rest /= 3)
                digits[d] = rest % 3;
            bytes[i] = (byte)pack(digits);
        }

        return bytes;
    }

    private static int Horner(int[] digits) => digits.Aggregate(0, (value, digit) => value * 3 + digit);

    private void WriteI2S(Stream stream, long count, float scale)
    {
        var chunk = new byte[1 << 20];
        for (long left = count / 4; left > 0; left -= chunk.Length)
        {
            Span<byte> part = chunk.AsSpan(0, (int)Math.Min(left, chunk.Length));
            Fill(part, s_fourTrits);
            stream.Write(part);
        }

        Span<byte> tail = stackalloc byte[32];
        tail.Clear();
        BinaryPrimitives.WriteSingleLittleEndian(tail, scale);
        stream.Write(tail);
    }

    /// <summary>Blocks of 256 ternary weights: base-3 bytes (TQ1_0: 48 of five trits, then 4 of four) or 2-bit codes (TQ2_0), then the scale.</summary>
    private void WriteBlocks(Stream stream, long blocks, int blockBytes, int scaleOffset, int leadBytes, float scale)
    {
        const int blocksAtOnce = 4096;
        var chunk = new byte[blocksAtOnce * blockBytes];
        bool base3 = leadBytes < scaleOffset;
        for (long left = blocks; left > 0; left -= blocksAtOnce)
        {
            int count = (int)Math.Min(left, blocksAtOnce);
            for (int b = 0; b < count; b++)
            {
                Span<byte> block = chunk.AsSpan(b * blockBytes, blockBytes);
                Fill(block[..leadBytes], base3 ? s_fiveTritsBase3 : s_fourTrits);
                Fill(block[leadBytes..scaleOffset], s_fourTritsBase3);
                BinaryPrimitives.WriteHalfLittleEndian(block[scaleOffset..], (Half)scale);
            }

            stream.Write(chunk.AsSpan(0, count * blockBytes));
        }
    }

    private void Fill(Span<byte> bytes, byte[] patterns)
    {
        _random.NextBytes(bytes);
        for (int i = 0; i < bytes.Length; i++)
            bytes[i] = patterns[bytes[i] * patterns.Length >> 8];
    }

    private void Encode(Stream stream, TensorType type, long columns, long rows, float scale)
    {
        // A uniform distribution over ±√3 has root mean square 1.
        float step = scale * MathF.Sqrt(3) / 32768;
        for (long row = 0; row < rows; row += RowsAtOnce)
        {
            int count = (int)Math.Min(RowsAtOnce, rows - row);
            var integers = new short[count * columns];
            _random.NextBytes(MemoryMarshal.AsBytes(integers.AsSpan()));
            var floats = new float[integers.Length];
            for (int i = 0; i < floats.Length; i++)
                floats[i] = integers[i] * step;
            var encoded = new byte[checked((int)(ulong)type.ByteCount((ulong)columns, (ulong)count))];
            type.Encode(floats, columns, encoded);
            stream.Write(encoded);
        }
    }
}
