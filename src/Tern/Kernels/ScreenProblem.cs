namespace Tern.Kernels;

/// <summary>One screening as its kernels see it; <see cref="HeadScreen"/> has checked every length.</summary>
internal unsafe struct ScreenProblem
{
    /// <summary>The high plane, [blocks, groups, HeadPlanes.GroupBytes].</summary>
    public byte* High;

    /// <summary>The low plane, [rows, LowRowBytes].</summary>
    public byte* Low;

    public long LowRowBytes;

    /// <summary>Groups of 32 columns.</summary>
    public int Groups;

    /// <summary>Groups rounded up to whole lanes: numbers per token in what has one per group.</summary>
    public int GroupStride;

    /// <summary>Tokens.</summary>
    public int Tokens;

    /// <summary>[tokens, GroupStride · 32] int8 codes of the hidden states.</summary>
    public sbyte* Codes;

    /// <summary>[tokens, GroupStride] value of one of those codes, q_g.</summary>
    public float* HiddenSteps;

    /// <summary>[tokens, GroupStride] 7.5 · Σ codes of the group.</summary>
    public float* Middles;

    /// <summary>[tokens, GroupStride, 8] 7.5 · Σ of four codes each.</summary>
    public float* LaneMiddles;

    /// <summary>[tokens, GroupStride] B_g of <see cref="ScreenBound"/>.</summary>
    public float* HighTerms;

    /// <summary>[tokens, GroupStride] C_g of <see cref="ScreenBound"/>.</summary>
    public float* LowTerms;

    /// <summary>κ² of the high plane.</summary>
    public float HighBound;

    /// <summary>κ² of both planes.</summary>
    public float LowBound;

    /// <summary>[tokens, RowStride] estimates of the scores.</summary>
    public float* Estimates;

    /// <summary>[tokens, RowStride] κ² V: the square of the most that an estimate can be wrong.</summary>
    public float* Squares;

    /// <summary>Rows rounded up to whole blocks.</summary>
    public int RowStride;

    /// <summary>Low plane: the rows to tighten, for the first token alone.</summary>
    public int* Rows;
}
