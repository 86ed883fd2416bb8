using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;

namespace Tern.Kernels;

/// <summary>
/// Matmul with float weights and float activations. Definition of every output: lane i mod 16 accumulates fma(w_i, x_i) over ascending i,
/// then the tree. Tiles only decide which outputs are computed together, and tiles at the edge repeat the last row or token, which writes
/// the same number again. Activations are zero behind the last column up to a multiple of 16; weights are not read behind it.
/// </summary>
[SkipLocalsInit]
internal static unsafe class FloatMatMul<TLanes, TWeights>
    where TLanes : unmanaged, ILanes<TLanes>
    where TWeights : unmanaged, IFloatWeights
{
    /// <summary>Rows whose weights are expanded to float32 together.</summary>
    private const int TileRows = 4;

    /// <summary>Tokens that share the expanded weights; their activations should stay in the second-level cache while the rows pass by.</summary>
    private const int BlockTokens = 32;

    /// <summary>Columns that are expanded at once, so that the expanded weights stay in the first-level cache.</summary>
    private const int ChunkColumns = 512;

    /// <summary>Room for sixteen weights of any type.</summary>
    private const int TailBytes = Lanes.Count * sizeof(float);

    /// <summary>Computes rows [start, end) for all tokens.</summary>
    public static void Run(MatMulProblem* problem, int start, int end)
    {
        if (problem->Tokens == 1)
        {
            for (int row = start; row < end; row += TileRows)
                OneToken(problem, row, end - 1);
            return;
        }

        for (int token = 0; token < problem->Tokens; token += BlockTokens)
            for (int row = start; row < end; row += TileRows)
                ManyTokens(problem, row, end - 1, token, Math.Min(BlockTokens, problem->Tokens - token));
    }

    /// <summary>Four rows for the only token, straight from the weights.</summary>
    private static void OneToken(MatMulProblem* problem, int row, int lastRow)
    {
        int row1 = Math.Min(row + 1, lastRow), row2 = Math.Min(row + 2, lastRow), row3 = Math.Min(row + 3, lastRow);
        byte* w0 = Row(problem, row), w1 = Row(problem, row1), w2 = Row(problem, row2), w3 = Row(problem, row3);
        float* x = problem->Floats;
        int remaining = problem->Columns % Lanes.Count;
        int whole = problem->Columns - remaining;

        // Copied before the accumulators live: a call between their loop and their sum would cost a store in every turn of the loop.
        byte* tail = stackalloc byte[TileRows * TailBytes];
        byte* tail1 = tail + TailBytes, tail2 = tail1 + TailBytes, tail3 = tail2 + TailBytes;
        if (remaining > 0)
        {
            CopyTail(w0, whole, remaining, tail);
            CopyTail(w1, whole, remaining, tail1);
            CopyTail(w2, whole, remaining, tail2);
            CopyTail(w3, whole, remaining, tail3);
        }

        // The processor fetches ahead within a page only; asking for the same place of the next four rows made reading 1.25 times as fast.
        long nextRows = TileRows * problem->RowBytes;
        TLanes a = TLanes.Broadcast(0f), b = a, c = a, d = a;
        for (int i = 0; i < whole; i += Lanes.Count)
        {
            TLanes v = TLanes.Load(x + i);
            if (Sse.IsSupported)
            {
                long ahead = nextRows + (i * TWeights.WeightBytes);
                Sse.Prefetch0(w0 + ahead);
                Sse.Prefetch0(w1 + ahead);
                Sse.Prefetch0(w2 + ahead);
                Sse.Prefetch0(w3 + ahead);
            }

            a = TLanes.FusedMultiplyAdd(TWeights.Load<TLanes>(w0, i), v, a);
            b = TLanes.FusedMultiplyAdd(TWeights.Load<TLanes>(w1, i), v, b);
            c = TLanes.FusedMultiplyAdd(TWeights.Load<TLanes>(w2, i), v, c);
            d = TLanes.FusedMultiplyAdd(TWeights.Load<TLanes>(w3, i), v, d);
        }

        if (remaining > 0)
        {
            TLanes v = TLanes.Load(x + whole);
            a = TLanes.FusedMultiplyAdd(TWeights.Load<TLanes>(tail, 0), v, a);
            b = TLanes.FusedMultiplyAdd(TWeights.Load<TLanes>(tail1, 0), v, b);
            c = TLanes.FusedMultiplyAdd(TWeights.Load<TLanes>(tail2, 0), v, c);
            d = TLanes.FusedMultiplyAdd(TWeights.Load<TLanes>(tail3, 0), v, d);
        }

        float* y = problem->Output;
        (y[row], y[row1], y[row2], y[row3]) = (TLanes.TreeSum(a), TLanes.TreeSum(b), TLanes.TreeSum(c), TLanes.TreeSum(d));
    }

    /// <summary>Four rows for up to <see cref="BlockTokens"/> tokens, chunk by chunk; the lanes' sums wait in memory between chunks.</summary>
    private static void ManyTokens(MatMulProblem* problem, int row, int lastRow, int firstToken, int tokens)
    {
        float* weights = stackalloc float[TileRows * ChunkColumns];                 // [TileRows][ChunkColumns]
        float* sums = stackalloc float[TileRows * BlockTokens * Lanes.Count];       // [TileRows][BlockTokens][16]
        new Span<float>(sums, TileRows * BlockTokens * Lanes.Count).Clear();

        int rows = Math.Min(TileRows, lastRow - row + 1);
        for (int start = 0; start < problem->Columns; start += ChunkColumns)
        {
            int columns = Math.Min(ChunkColumns, problem->Columns - start);
            for (int r = 0; r < rows; r++)
                Expand(Row(problem, row + r), start, columns, weights + (r * ChunkColumns));

            float* x = problem->Floats + ((long)firstToken * problem->FloatStride) + start;
            if (TLanes.IsWide)
                Chunk4x4(weights, rows, x, problem->FloatStride, tokens, columns, sums);
            else
                Chunk2x2(weights, rows, x, problem->FloatStride, tokens, columns, sums);
        }

        for (int r = 0; r < rows; r++)
            for (int t = 0; t < tokens; t++)
                problem->Output[((firstToken + t) * problem->OutputStride) + row + r] =
                    TLanes.TreeSum(TLanes.Load(sums + (((r * BlockTokens) + t) * Lanes.Count)));
    }

    private static void Chunk4x4(float* weights, int rows, float* x, long stride, int tokens, int columns, float* sums)
    {
        int r1 = Math.Min(1, rows - 1), r2 = Math.Min(2, rows - 1), r3 = Math.Min(3, rows - 1);
        float* w1 = weights + (r1 * ChunkColumns), w2 = weights + (r2 * ChunkColumns), w3 = weights + (r3 * ChunkColumns);
        float* b = SumsOf(sums, r1), c = SumsOf(sums, r2), d = SumsOf(sums, r3);
        for (int t = 0; t < tokens; t += 4)
        {
            int t1 = Math.Min(t + 1, tokens - 1), t2 = Math.Min(t + 2, tokens - 1), t3 = Math.Min(t + 3, tokens - 1);
            Tile4x4(
                weights, w1, w2, w3, x + (t * stride), x + (t1 * stride), x + (t2 * stride), x + (t3 * stride), columns,
                sums, b, c, d, t * Lanes.Count, t1 * Lanes.Count, t2 * Lanes.Count, t3 * Lanes.Count);
        }
    }

    private static void Chunk2x2(float* weights, int rows, float* x, long stride, int tokens, int columns, float* sums)
    {
        for (int r = 0; r < rows; r += 2)
        {
            int r1 = Math.Min(r + 1, rows - 1);
            for (int t = 0; t < tokens; t += 2)
            {
                int t1 = Math.Min(t + 1, tokens - 1);
                Tile2x2(
                    weights + (r * ChunkColumns), weights + (r1 * ChunkColumns), x + (t * stride), x + (t1 * stride), columns,
                    SumsOf(sums, r), SumsOf(sums, r1), t * Lanes.Count, t1 * Lanes.Count);
            }
        }
    }

    /// <summary>sums[row, token] += the products of a chunk, for 4 rows and 4 tokens.</summary>
    private static void Tile4x4(float* w0, float* w1, float* w2, float* w3, float* x0, float* x1, float* x2, float* x3, int count,
        float* a, float* b, float* c, float* d, int t0, int t1, int t2, int t3)
    {
        TLanes a0 = TLanes.Load(a + t0), a1 = TLanes.Load(a + t1), a2 = TLanes.Load(a + t2), a3 = TLanes.Load(a + t3);
        TLanes b0 = TLanes.Load(b + t0), b1 = TLanes.Load(b + t1), b2 = TLanes.Load(b + t2), b3 = TLanes.Load(b + t3);
        TLanes c0 = TLanes.Load(c + t0), c1 = TLanes.Load(c + t1), c2 = TLanes.Load(c + t2), c3 = TLanes.Load(c + t3);
        TLanes d0 = TLanes.Load(d + t0), d1 = TLanes.Load(d + t1), d2 = TLanes.Load(d + t2), d3 = TLanes.Load(d + t3);
        for (int i = 0; i < count; i += Lanes.Count)
        {
            TLanes v0 = TLanes.Load(x0 + i);
            TLanes v1 = TLanes.Load(x1 + i);
            TLanes v2 = TLanes.Load(x2 + i);
            TLanes v3 = TLanes.Load(x3 + i);
            TLanes w = TLanes.Load(w0 + i);
            a0 = TLanes.FusedMultiplyAdd(w, v0, a0);
            a1 = TLanes.FusedMultiplyAdd(w, v1, a1);
            a2 = TLanes.FusedMultiplyAdd(w, v2, a2);
            a3 = TLanes.FusedMultiplyAdd(w, v3, a3);
            w = TLanes.Load(w1 + i);
            b0 = TLanes.FusedMultiplyAdd(w, v0, b0);
            b1 = TLanes.FusedMultiplyAdd(w, v1, b1);
            b2 = TLanes.FusedMultiplyAdd(w, v2, b2);
            b3 = TLanes.FusedMultiplyAdd(w, v3, b3);
            w = TLanes.Load(w2 + i);
            c0 = TLanes.FusedMultiplyAdd(w, v0, c0);
            c1 = TLanes.FusedMultiplyAdd(w, v1, c1);
            c2 = TLanes.FusedMultiplyAdd(w, v2, c2);
            c3 = TLanes.FusedMultiplyAdd(w, v3, c3);
            w = TLanes.Load(w3 + i);
            d0 = TLanes.FusedMultiplyAdd(w, v0, d0);
            d1 = TLanes.FusedMultiplyAdd(w, v1, d1);
            d2 = TLanes.FusedMultiplyAdd(w, v2, d2);
            d3 = TLanes.FusedMultiplyAdd(w, v3, d3);
        }

        TLanes.Store(a0, a + t0);
        TLanes.Store(a1, a + t1);
        TLanes.Store(a2, a + t2);
        TLanes.Store(a3, a + t3);
        TLanes.Store(b0, b + t0);
        TLanes.Store(b1, b + t1);
        TLanes.Store(b2, b + t2);
        TLanes.Store(b3, b + t3);
        TLanes.Store(c0, c + t0);
        TLanes.Store(c1, c + t1);
        TLanes.Store(c2, c + t2);
        TLanes.Store(c3, c + t3);
        TLanes.Store(d0, d + t0);
        TLanes.Store(d1, d + t1);
        TLanes.Store(d2, d + t2);
        TLanes.Store(d3, d + t3);
    }

    /// <summary>sums[row, token] += the products of a chunk, for 2 rows and 2 tokens.</summary>
    private static void Tile2x2(float* w0, float* w1, float* x0, float* x1, int count,
        float* a, float* b, int t0, int t1)
    {
        TLanes a0 = TLanes.Load(a + t0), a1 = TLanes.Load(a + t1);
        TLanes b0 = TLanes.Load(b + t0), b1 = TLanes.Load(b + t1);
        for (int i = 0; i < count; i += Lanes.Count)
        {
            TLanes v0 = TLanes.Load(x0 + i);
            TLanes v1 = TLanes.Load(x1 + i);
            TLanes w = TLanes.Load(w0 + i);
            a0 = TLanes.FusedMultiplyAdd(w, v0, a0);
            a1 = TLanes.FusedMultiplyAdd(w, v1, a1);
            w = TLanes.Load(w1 + i);
            b0 = TLanes.FusedMultiplyAdd(w, v0, b0);
            b1 = TLanes.FusedMultiplyAdd(w, v1, b1);
        }

        TLanes.Store(a0, a + t0);
        TLanes.Store(a1, a + t1);
        TLanes.Store(b0, b + t0);
        TLanes.Store(b1, b + t1);
    }

    /// <summary>Weights [start, start + columns) of a row as float32, then zeros to a multiple of 16.</summary>
    private static void Expand(byte* row, int start, int columns, float* destination)
    {
        int remaining = columns % Lanes.Count;
        int whole = columns - remaining;
        for (int i = 0; i < whole; i += Lanes.Count)
            TLanes.Store(TWeights.Load<TLanes>(row, start + i), destination + i);
        if (remaining > 0)
        {
            byte* last = stackalloc byte[TailBytes];
            CopyTail(row, start + whole, remaining, last);
            TLanes.Store(TWeights.Load<TLanes>(last, 0), destination + whole);
        }
    }

    /// <summary>The last weights of a row, then zeros, as sixteen weights of their own.</summary>
    private static void CopyTail(byte* row, int start, int count, byte* destination)
    {
        new Span<byte>(destination, TailBytes).Clear();
        new ReadOnlySpan<byte>(row + ((long)start * TWeights.WeightBytes), count * TWeights.WeightBytes)
            .CopyTo(new Span<byte>(destination, TailBytes));
    }

    private static float* SumsOf(float* sums, int row) => sums + (row * BlockTokens * Lanes.Count);

    private static byte* Row(MatMulProblem* problem, int row) => problem->Weights + (row * problem->RowBytes);
}
