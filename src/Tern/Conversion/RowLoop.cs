using System.Runtime.ExceptionServices;
using Tern.Files;
using Tern.Numerics;

namespace Tern.Conversion;

/// <summary>
/// Runs over the rows of one tensor at a time in pieces that several threads share, in memory that does not grow with the tensor:
/// <code>
///   rows      [ piece 0 ][ piece 1 ][ piece 2 ][ piece 3 ][ piece 4 ]…
///   batches   |        slots 0, 1   |        slots 2, 3   |  slots 0, 1 …      (two halves: one is worked on while the other is written)
/// </code>
/// What lies behind is taken out of the map of the file every now and then, so that a model larger than the memory can be read.
/// </summary>
/// <param name="source">Whose tensors they are.</param>
/// <param name="threads">How many share the pieces.</param>
/// <param name="cancellation">Looked at between batches.</param>
internal sealed class RowLoop(ModelSource source, int threads, CancellationToken cancellation)
{
    private const int WeightsPerPiece = 1 << 19;
    private const long DropEvery = 64L << 20;

    private readonly ParallelOptions _parallel = new() { MaxDegreeOfParallelism = threads, CancellationToken = cancellation };

    public ModelSource Source => source;

    /// <summary>Pieces of a batch.</summary>
    public int SlotsPerBatch { get; } = 2 * threads;

    /// <summary>Ends the work when it was cancelled.</summary>
    public void ThrowIfCancelled() => cancellation.ThrowIfCancellationRequested();

    /// <summary>Rows of a piece: about half a million weights, and a multiple of what the type to be written asks for.</summary>
    public static int PieceRows(long columns, long multiple) =>
        checked((int)(Math.Max(1, WeightsPerPiece / columns / multiple) * multiple));

    /// <summary>Runs over all rows of a tensor.</summary>
    public void Run(Tensor tensor, int pieceRows, Action<long, int, int> body) => Run(tensor, tensor.Rows, pieceRows, body, null);

    /// <summary>Runs over rows.</summary>
    /// <param name="tensor">What is read.</param>
    /// <param name="rows">How many rows there are to work on.</param>
    /// <param name="pieceRows">Rows of a piece.</param>
    /// <param name="body">(first row, rows, slot in [0, 2 · <see cref="SlotsPerBatch"/>)): the work on a piece, on any thread.</param>
    /// <param name="batchDone">(first slot, pieces): called in the order of the rows on this thread, before the next batch begins.</param>
    public void Run(Tensor tensor, long rows, int pieceRows, Action<long, int, int> body, Action<int, int>? batchDone)
    {
        long pieces = (rows + pieceRows - 1) / pieceRows;
        double bytesPerPiece = (double)tensor.ByteCount / pieces, sinceDrop = 0;
        int firstSlot = 0;
        for (long piece = 0; piece < pieces; piece += SlotsPerBatch)
        {
            cancellation.ThrowIfCancellationRequested();
            int count = (int)Math.Min(SlotsPerBatch, pieces - piece);
            long firstPiece = piece;
            int slot = firstSlot;
            Share(count, i =>
            {
                long first = (firstPiece + i) * pieceRows;
                body(first, (int)Math.Min(pieceRows, rows - first), slot + i);
            });
            batchDone?.Invoke(firstSlot, count);
            firstSlot = firstSlot == 0 ? SlotsPerBatch : 0;
            sinceDrop += bytesPerPiece * count;
            if (sinceDrop >= DropEvery)
            {
                source.Drop(tensor);
                sinceDrop = 0;
            }
        }

        source.Drop(tensor);
    }

    /// <summary>The first error of any piece is thrown as itself.</summary>
    private void Share(int count, Action<int> body)
    {
        try
        {
            Parallel.For(0, count, _parallel, body);
        }
        catch (AggregateException e)
        {
            ExceptionDispatchInfo.Throw(e.InnerExceptions[0]);
        }
    }
}
