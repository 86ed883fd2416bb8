namespace Tern.Kernels;

/// <summary>The ternary matmul over <see cref="TernaryWords"/>, digit by digit: what its fast rows are compared with.</summary>
internal static unsafe class TernaryWordsScalar
{
    public static void Run(MatMulProblem* problem, int start, int end)
    {
        int words = TernaryWords.WordsOf(problem->Columns);
        for (int token = 0; token < problem->Tokens; token++)
        {
            sbyte* x = problem->Codes + ((long)token * problem->CodeStride);
            float* y = problem->Output + (token * problem->OutputStride);
            for (int row = start; row < end; row++)
            {
                int sum = Dot(TernaryWords.Row(problem->Weights, words, row), words, x, problem->Columns);
                y[row] = sum / problem->Scales[token] * problem->RowScales[row];
            }
        }
    }

    private static int Dot(ushort* row, int words, sbyte* x, int columns)
    {
        int sum = 0;
        for (int word = 0; word < words; word++, row += TernaryWords.BlockRows)
        {
            uint rest = *row;
            for (int column = word; column < columns; column += words)
            {
                rest *= 3;
                sum += ((int)(rest >> 16) - 1) * x[column];
                rest &= 0xFFFF;
            }
        }

        return sum;
    }
}
