using Tern.Numerics;

namespace Tern.Conversion;

/// <summary>The work on some rows: their bytes in the file.</summary>
/// <param name="first">The first row.</param>
/// <param name="rows">How many.</param>
/// <param name="destination">As long as the writer was told.</param>
internal delegate void PieceEncoder(long first, int rows, Span<byte> destination);

/// <summary>Encodes pieces of a tensor on all threads, and writes the half of the slots that is ready while the other half is filled.</summary>
/// <param name="loop">Shares the rows.</param>
/// <param name="advance">Receives bytes of the source that are done.</param>
internal sealed class PieceWriter(RowLoop loop, Action<long> advance)
{
    private readonly byte[][] _slots = [.. Enumerable.Repeat(Array.Empty<byte>(), 2 * loop.SlotsPerBatch)];
    private readonly int[] _lengths = new int[2 * loop.SlotsPerBatch];

    /// <summary>Writes rows in order.</summary>
    /// <param name="tensor">What is read.</param>
    /// <param name="rows">Rows to write; a row that is written may come of several that are read.</param>
    /// <param name="pieceRows">Rows of a piece.</param>
    /// <param name="stream">Receives the bytes.</param>
    /// <param name="byteCount">Bytes of so many rows.</param>
    /// <param name="encode">The work.</param>
    public void Write(Tensor tensor, long rows, int pieceRows, Stream stream, Func<long, long> byteCount, PieceEncoder encode)
    {
        Task writing = Task.CompletedTask;
        long bytesPerPiece = tensor.ByteCount * pieceRows / rows;
        try
        {
            loop.Run(
                tensor,
                rows,
                pieceRows,
                (first, count, slot) =>
                {
                    int bytes = checked((int)byteCount(count));
                    if (_slots[slot].Length < bytes)
                        _slots[slot] = new byte[bytes];
                    _lengths[slot] = bytes;
                    encode(first, count, _slots[slot].AsSpan(0, bytes));
                },
                (firstSlot, pieces) =>
                {
                    writing.GetAwaiter().GetResult();
                    writing = Task.Run(() =>
                    {
                        for (int slot = firstSlot; slot < firstSlot + pieces; slot++)
                            stream.Write(_slots[slot], 0, _lengths[slot]);
                    });
                    advance(bytesPerPiece * pieces);
                });
        }
        finally
        {
            // Nobody else may touch the stream while a half is still on its way.
            Task.WaitAny(writing);
        }

        writing.GetAwaiter().GetResult();
    }
}
