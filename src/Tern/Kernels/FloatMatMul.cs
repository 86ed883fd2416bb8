using System.Runtime.CompilerServices;

namespace Tern.Kernels;

/// <summary>
/// Matmul with float weights and float activations. Definition of every output: lane i mod 16 accumulates fma(w_i, x_i) over ascending i,
/// then the tree. Tiles only decide which outputs are computed together: four rows for one token, four by four for many (one row by four
/// where sixteen lanes take several registers). Tiles at the edge repeat the last row or token, which writes the same number again.
/// </summary>
[SkipLocalsInit]
internal static unsafe class FloatMatMul<TLanes, TWeights>
    where TLanes : unmanaged, ILanes<TLanes>
    where TWeights : unmanaged, IFloatWeights
{
    /// <summary>Tokens whose activations should stay in the second-level cache while the rows pass by.</summary>
    private const int TokenBlock = 32;

    /// <summary>Room for sixteen float32.</summary>
    private const int TailBytes = Lanes.Count * sizeof(float);

    /// <summary>Computes rows [start, end) for all tokens.</summary>
    public static void Run(MatMulProblem* problem, int start, int end)
    {
        if (problem->Tokens == 1)
        {
            for (int row = start; row < end; row += 4)
                Rows4(problem, row, end - 1, 0);
            return;
        }

        for (int block = 0; block < problem->Tokens; block += TokenBlock)
        {
            int last = Math.Min(block + TokenBlock, problem->Tokens) - 1;
            if (TLanes.IsWide)
            {
                for (int row = start; row < end; row += 4)
                    for (int token = block; token <= last; token += 4)
                        Rows4Tokens4(problem, row, end - 1, token, last);
            }
            else
            {
                for (int row = start; row < end; row++)
                    for (int token = block; token <= last; token += 4)
                        Tokens4(problem, row, token, last);
            }
        }
    }

    /// <summary>Rows row..row + 3 for one token.</summary>
    private static void Rows4(MatMulProblem* problem, int row, int lastRow, int token)
    {
        int row1 = Math.Min(row + 1, lastRow), row2 = Math.Min(row + 2, lastRow), row3 = Math.Min(row + 3, lastRow);
        byte* w0 = Row(problem, row), w1 = Row(problem, row1), w2 = Row(problem, row2), w3 = Row(problem, row3);
        float* x0 = Token(problem, token);
        int remaining = problem->Columns % Lanes.Count;
        int end = problem->Columns - remaining;
        byte* tail = stackalloc byte[5 * TailBytes];
        if (remaining > 0)
        {
            CopyTail(w0 + (end * TWeights.WeightBytes), remaining * TWeights.WeightBytes, tail);
            CopyTail(w1 + (end * TWeights.WeightBytes), remaining * TWeights.WeightBytes, tail + TailBytes);
            CopyTail(w2 + (end * TWeights.WeightBytes), remaining * TWeights.WeightBytes, tail + (2 * TailBytes));
            CopyTail(w3 + (end * TWeights.WeightBytes), remaining * TWeights.WeightBytes, tail + (3 * TailBytes));
            CopyTail((byte*)(x0 + end), remaining * sizeof(float), tail + (4 * TailBytes));
        }

        TLanes a = TLanes.Broadcast(0f), b = a, c = a, d = a;
        while (true)
        {
            for (int i = 0; i < end; i += Lanes.Count)
            {
                TLanes v = TLanes.Load(x0 + i);
                a = TLanes.FusedMultiplyAdd(TWeights.Load<TLanes>(w0, i), v, a);
                b = TLanes.FusedMultiplyAdd(TWeights.Load<TLanes>(w1, i), v, b);
                c = TLanes.FusedMultiplyAdd(TWeights.Load<TLanes>(w2, i), v, c);
                d = TLanes.FusedMultiplyAdd(TWeights.Load<TLanes>(w3, i), v, d);
            }

            if (remaining == 0)
                break;

            (remaining, end) = (0, Lanes.Count);
            w0 = tail;
            w1 = tail + TailBytes;
            w2 = tail + (2 * TailBytes);
            w3 = tail + (3 * TailBytes);
            x0 = (float*)(tail + (4 * TailBytes));
        }

        float* y0 = Output(problem, token);
        (y0[row], y0[row1], y0[row2], y0[row3]) = (TLanes.TreeSum(a), TLanes.TreeSum(b), TLanes.TreeSum(c), TLanes.TreeSum(d));
    }

    /// <summary>One row for tokens token..token + 3.</summary>
    private static void Tokens4(MatMulProblem* problem, int row, int token, int lastToken)
    {
        int token1 = Math.Min(token + 1, lastToken), token2 = Math.Min(token + 2, lastToken), token3 = Math.Min(token + 3, lastToken);
        byte* w0 = Row(problem, row);
        float* x0 = Token(problem, token), x1 = Token(problem, token1), x2 = Token(problem, token2), x3 = Token(problem, token3);
        int remaining = problem->Columns % Lanes.Count;
        int end = problem->Columns - remaining;
        byte* tail = stackalloc byte[5 * TailBytes];
        if (remaining > 0)
        {
            CopyTail(w0 + (end * TWeights.WeightBytes), remaining * TWeights.WeightBytes, tail);
            CopyTail((byte*)(x0 + end), remaining * sizeof(float), tail + TailBytes);
            CopyTail((byte*)(x1 + end), remaining * sizeof(float), tail + (2 * TailBytes));
            CopyTail((byte*)(x2 + end), remaining * sizeof(float), tail + (3 * TailBytes));
            CopyTail((byte*)(x3 + end), remaining * sizeof(float), tail + (4 * TailBytes));
        }

        TLanes a0 = TLanes.Broadcast(0f), a1 = a0, a2 = a0, a3 = a0;
        while (true)
        {
            for (int i = 0; i < end; i += Lanes.Count)
            {
                TLanes v0 = TLanes.Load(x0 + i);
                TLanes v1 = TLanes.Load(x1 + i);
                TLanes v2 = TLanes.Load(x2 + i);
                TLanes v3 = TLanes.Load(x3 + i);
                TLanes w = TWeights.Load<TLanes>(w0, i);
                a0 = TLanes.FusedMultiplyAdd(w, v0, a0);
                a1 = TLanes.FusedMultiplyAdd(w, v1, a1);
                a2 = TLanes.FusedMultiplyAdd(w, v2, a2);
                a3 = TLanes.FusedMultiplyAdd(w, v3, a3);
            }

            if (remaining == 0)
                break;

            (remaining, end) = (0, Lanes.Count);
            w0 = tail;
            x0 = (float*)(tail + TailBytes);
            x1 = (float*)(tail + (2 * TailBytes));
            x2 = (float*)(tail + (3 * TailBytes));
            x3 = (float*)(tail + (4 * TailBytes));
        }

        float* y0 = Output(problem, token);
        float* y1 = Output(problem, token1);
        float* y2 = Output(problem, token2);
        float* y3 = Output(problem, token3);
        y0[row] = TLanes.TreeSum(a0);
        y1[row] = TLanes.TreeSum(a1);
        y2[row] = TLanes.TreeSum(a2);
        y3[row] = TLanes.TreeSum(a3);
    }

    /// <summary>Rows row..row + 3 for tokens token..token + 3: sixteen accumulators.</summary>
    private static void Rows4Tokens4(MatMulProblem* problem, int row, int lastRow, int token, int lastToken)
    {
        int row1 = Math.Min(row + 1, lastRow), row2 = Math.Min(row + 2, lastRow), row3 = Math.Min(row + 3, lastRow);
        int token1 = Math.Min(token + 1, lastToken), token2 = Math.Min(token + 2, lastToken), token3 = Math.Min(token + 3, lastToken);
        byte* w0 = Row(problem, row), w1 = Row(problem, row1), w2 = Row(problem, row2), w3 = Row(problem, row3);
        float* x0 = Token(problem, token), x1 = Token(problem, token1), x2 = Token(problem, token2), x3 = Token(problem, token3);
        int remaining = problem->Columns % Lanes.Count;
        int end = problem->Columns - remaining;
        byte* tail = stackalloc byte[8 * TailBytes];
        if (remaining > 0)
        {
            CopyTail(w0 + (end * TWeights.WeightBytes), remaining * TWeights.WeightBytes, tail);
            CopyTail(w1 + (end * TWeights.WeightBytes), remaining * TWeights.WeightBytes, tail + TailBytes);
            CopyTail(w2 + (end * TWeights.WeightBytes), remaining * TWeights.WeightBytes, tail + (2 * TailBytes));
            CopyTail(w3 + (end * TWeights.WeightBytes), remaining * TWeights.WeightBytes, tail + (3 * TailBytes));
            CopyTail((byte*)(x0 + end), remaining * sizeof(float), tail + (4 * TailBytes));
            CopyTail((byte*)(x1 + end), remaining * sizeof(float), tail + (5 * TailBytes));
            CopyTail((byte*)(x2 + end), remaining * sizeof(float), tail + (6 * TailBytes));
            CopyTail((byte*)(x3 + end), remaining * sizeof(float), tail + (7 * TailBytes));
        }

        TLanes a0 = TLanes.Broadcast(0f), a1 = a0, a2 = a0, a3 = a0;
        TLanes b0 = a0, b1 = a0, b2 = a0, b3 = a0;
        TLanes c0 = a0, c1 = a0, c2 = a0, c3 = a0;
        TLanes d0 = a0, d1 = a0, d2 = a0, d3 = a0;
        while (true)
        {
            for (int i = 0; i < end; i += Lanes.Count)
            {
                TLanes v0 = TLanes.Load(x0 + i);
                TLanes v1 = TLanes.Load(x1 + i);
                TLanes v2 = TLanes.Load(x2 + i);
                TLanes v3 = TLanes.Load(x3 + i);
                TLanes w = TWeights.Load<TLanes>(w0, i);
                a0 = TLanes.FusedMultiplyAdd(w, v0, a0);
                a1 = TLanes.FusedMultiplyAdd(w, v1, a1);
                a2 = TLanes.FusedMultiplyAdd(w, v2, a2);
                a3 = TLanes.FusedMultiplyAdd(w, v3, a3);
                w = TWeights.Load<TLanes>(w1, i);
                b0 = TLanes.FusedMultiplyAdd(w, v0, b0);
                b1 = TLanes.FusedMultiplyAdd(w, v1, b1);
                b2 = TLanes.FusedMultiplyAdd(w, v2, b2);
                b3 = TLanes.FusedMultiplyAdd(w, v3, b3);
                w = TWeights.Load<TLanes>(w2, i);
                c0 = TLanes.FusedMultiplyAdd(w, v0, c0);
                c1 = TLanes.FusedMultiplyAdd(w, v1, c1);
                c2 = TLanes.FusedMultiplyAdd(w, v2, c2);
                c3 = TLanes.FusedMultiplyAdd(w, v3, c3);
                w = TWeights.Load<TLanes>(w3, i);
                d0 = TLanes.FusedMultiplyAdd(w, v0, d0);
                d1 = TLanes.FusedMultiplyAdd(w, v1, d1);
                d2 = TLanes.FusedMultiplyAdd(w, v2, d2);
                d3 = TLanes.FusedMultiplyAdd(w, v3, d3);
            }

            if (remaining == 0)
                break;

            (remaining, end) = (0, Lanes.Count);
            w0 = tail;
            w1 = tail + TailBytes;
            w2 = tail + (2 * TailBytes);
            w3 = tail + (3 * TailBytes);
            x0 = (float*)(tail + (4 * TailBytes));
            x1 = (float*)(tail + (5 * TailBytes));
            x2 = (float*)(tail + (6 * TailBytes));
            x3 = (float*)(tail + (7 * TailBytes));
        }

        float* y0 = Output(problem, token);
        float* y1 = Output(problem, token1);
        float* y2 = Output(problem, token2);
        float* y3 = Output(problem, token3);
        (y0[row], y0[row1], y0[row2], y0[row3]) = (TLanes.TreeSum(a0), TLanes.TreeSum(b0), TLanes.TreeSum(c0), TLanes.TreeSum(d0));
        (y1[row], y1[row1], y1[row2], y1[row3]) = (TLanes.TreeSum(a1), TLanes.TreeSum(b1), TLanes.TreeSum(c1), TLanes.TreeSum(d1));
        (y2[row], y2[row1], y2[row2], y2[row3]) = (TLanes.TreeSum(a2), TLanes.TreeSum(b2), TLanes.TreeSum(c2), TLanes.TreeSum(d2));
        (y3[row], y3[row1], y3[row2], y3[row3]) = (TLanes.TreeSum(a3), TLanes.TreeSum(b3), TLanes.TreeSum(c3), TLanes.TreeSum(d3));
    }

    private static byte* Row(MatMulProblem* problem, int row) => problem->Weights + (row * problem->RowBytes);

    private static float* Token(MatMulProblem* problem, int token) => problem->Floats + ((long)token * problem->FloatStride);

    private static float* Output(MatMulProblem* problem, int token) => problem->Output + (token * problem->OutputStride);

    /// <summary>
    /// The last columns of a row, then zeros, as sixteen columns of their own. Copied before the accumulators are alive: a call between
    /// their loop and their sum would cost a store in every turn of the loop.
    /// </summary>
    private static void CopyTail(byte* source, int count, byte* destination)
    {
        new Span<byte>(destination, TailBytes).Clear();
        new ReadOnlySpan<byte>(source, count).CopyTo(new Span<byte>(destination, count));
    }
}
