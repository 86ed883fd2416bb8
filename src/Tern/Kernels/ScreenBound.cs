namespace Tern.Kernels;

/// <summary>
/// How far an estimate of <see cref="HeadScreen"/> can be from the score that the full head computes. Groups g of 32 columns, s_g the
/// weights' step, q_g the hidden state's, A_g = Σ over the group of max(⌊y⌋², ⌈y⌉²) · q_g² with y = h / q_g:
/// <code>
/// estimate − score  =  Σ w_i e_i  +  Σ d_i x_i          e: error of the rounded hidden state x = h + e,  d: error of the weights
///
/// |estimate − score|²  ≤  κ² · V     V = Σ s_g² · B_g         B_g = A_g + 1800 q_g²              high plane
///                                    V = Σ s_g² · C_g         C_g = (2/15)² A_g + 1800 q_g²      both planes
/// </code>
/// Both e and d are independent, have mean 0, and e_i lies within q_g, d_i within s_g (2/15 s_g): revealed one after the other, the terms
/// are martingale differences with ranges of at most |w_i| q_g (and Σ w_i² ≤ 32 · 7.5² s_g² = 1800 s_g² in a group) and s_g |x_i|, so by
/// Azuma and Hoeffding κ = √(ln(2/p) / 2) but for what the rest of this file adds: the bias of random numbers of 16 bits, and the float
/// rounding of the estimate and of the full head's own sum, each as a multiple of √V by Cauchy-Schwarz.
/// </summary>
internal static class ScreenBound
{
    /// <summary>The probability that any bound of one token fails.</summary>
    public const double FailureProbability = 1e-15;

    /// <summary>32 · 7.5²: the largest Σ w² of a group, in steps.</summary>
    public const float GroupSquares = 1800;

    /// <summary>The step of the low plane in steps of the high one.</summary>
    public const float LowStep = 2 / 15f;

    private const double Rounding = 1.0 / (1 << 24);
    private const double HighBias = 1.0 / (1 << 16);
    private const double LowBias = 1.0 / (1 << 15);
    private const double HiddenBias = 1.0 / (1 << 14);

    /// <summary>Float operations one after the other, besides those that the sizes give.</summary>
    private const int OtherRoundings = 96;

    /// <summary>Covers the rounding of V and of κ themselves.</summary>
    private const double Slack = 1.001;

    /// <summary>κ² of the high plane's estimate.</summary>
    public static float HighSquared(int rows, int columns, int groups) => Squared(rows, columns, groups, HighBias, 1);

    /// <summary>κ² of the estimate from both planes; the estimate of the high plane, 7.5 times as coarse, is part of it.</summary>
    public static float LowSquared(int rows, int columns, int groups) => Squared(rows, columns, groups, LowBias, HeadPlanes.Middle);

    private static float Squared(int rows, int columns, int groups, double bias, double coarser)
    {
        // Two estimates of every row share the failures of a token.
        double hoeffding = Math.Sqrt(Math.Log(2 * 2.0 * rows / FailureProbability) / 2);
        double biases = (bias * Math.Sqrt(HeadPlanes.GroupColumns * groups)) + (HiddenBias * Math.Sqrt(HeadPlanes.GroupColumns * groups));

        // Every sum is of 16 lanes or of 32 columns at a time; |w| |h| ≤ √(1800 groups) · √V.
        double roundings = (2.0 * groups) + (columns / 16.0) + OtherRoundings;
        double rounding = Rounding * roundings * coarser * Math.Sqrt(GroupSquares * groups);
        double kappa = (hoeffding + biases + rounding) * Slack;
        return (float)(kappa * kappa * Slack);
    }
}
