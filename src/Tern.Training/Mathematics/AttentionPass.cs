using System.Runtime.Intrinsics;
using Tern.Machine;

namespace Tern.Training.Mathematics;

/// <summary>
/// Causal attention with grouped key heads and rotary positions, forward and back. The unit of work is one key head of one sequence; scores exist
/// for 48 query rows at a time and are computed again on the way back from the saved logarithm of their sum.
/// <code>
///   forward    s = c q kᵀ,  p = exp(s - lse),  o = p v                    c = 1 / sqrt(headDim)
///   back       dp = do vᵀ,  ds = p (dp - Σ do · o),  dq = c ds k,  dk = c dsᵀ q,  dv = pᵀ do
/// </code>
/// </summary>
internal unsafe struct AttentionPass
{
    /// <summary>Queries, keys, values side by side, before rotation.</summary>
    public required Panels QueryKeyValue { get; init; }

    /// <summary>What the heads give, side by side.</summary>
    public required Panels Context { get; init; }

    /// <summary>[heads][rows] ln Σ exp(s).</summary>
    public required float* LogSums { get; init; }

    public required int Sequences { get; init; }

    public required int Length { get; init; }

    /// <summary>On the way back: the gradient of <see cref="Context"/>.</summary>
    public Panels ContextGradient { get; init; }

    /// <summary>On the way back: the gradient of <see cref="QueryKeyValue"/>, times <see cref="Factors"/>.</summary>
    public Panels Gradient { get; init; }

    /// <summary>[rows] or null, which is 1.</summary>
    public float* Factors { get; init; }

    public void Forward(WorkerPool pool, AttentionShape shape) => Run(pool, shape, isBack: false);

    public void Back(WorkerPool pool, AttentionShape shape) => Run(pool, shape, isBack: true);

    private void Run(WorkerPool pool, AttentionShape shape, bool isBack)
    {
        var work = new AttentionWork(this, shape, isBack);
        work.Run(pool);
    }

    /// <summary>Row <paramref name="i"/> of the scores becomes unnormalised probabilities of positions 0 to <paramref name="last"/>.</summary>
    /// <returns>The largest score, and the sum.</returns>
    public static (float Max, float Sum) Exponentials(Panels scores, int i, int last, int panels)
    {
        float* row = (float*)scores.Data + (i * Panels.Columns);
        Mask(scores, i, last, panels, float.NegativeInfinity);
        int used = (last / Panels.Columns) + 1;
        Vector512<float> maxima = Vector512.Create(float.NegativeInfinity);
        float* at = row;
        for (int p = 0; p < used; p++, at += scores.PanelFloats)
            maxima = Vector512.MaxNative(maxima, Vector512.MaxNative(Vector512.Load(at), Vector512.Load(at + 16)));
        float max = float.NegativeInfinity;
        for (int lane = 0; lane < 16; lane++)
            max = MathF.Max(max, maxima[lane]);

        maxima = Vector512.Create(max);
        Vector512<float> sums = default;
        at = row;
        for (int p = 0; p < used; p++, at += scores.PanelFloats)
        {
            Vector512<float> e0 = WideFunctions.Exp(Vector512.Load(at) - maxima), e1 = WideFunctions.Exp(Vector512.Load(at + 16) - maxima);
            e0.Store(at);
            e1.Store(at + 16);
            sums += e0 + e1;
        }

        Mask(scores, i, last, panels, 0);
        return (max, Vector512.Sum(sums));
    }

    /// <summary>Row <paramref name="i"/> of the scores becomes probabilities, and the row of dp the gradient of the scores.</summary>
    public static void ScoreGradient(Panels scores, Panels gradient, int i, int last, int panels, float logSum, float product)
    {
        Vector512<float> logSums = Vector512.Create(logSum), products = Vector512.Create(product);
        nint row = (nint)i * Panels.Columns;
        for (int p = 0; p <= last / Panels.Columns; p++)
        {
            float* at = scores.Panel(p) + row, d = gradient.Panel(p) + row;
            for (int half = 0; half < Panels.Columns; half += 16)
            {
                Vector512<float> probability = WideFunctions.Exp(Vector512.Load(at + half) - logSums);
                probability.Store(at + half);
                (probability * (Vector512.Load(d + half) - products)).Store(d + half);
            }
        }

        Mask(scores, i, last, panels, 0);
        Mask(gradient, i, last, panels, 0);
    }

    /// <summary>Columns after <paramref name="last"/> get a value.</summary>
    private static void Mask(Panels scores, int i, int last, int panels, float value)
    {
        nint row = (nint)i * Panels.Columns;
        int panel = last / Panels.Columns;
        float* at = scores.Panel(panel) + row;
        for (int column = (last % Panels.Columns) + 1; column < Panels.Columns; column++)
            at[column] = value;
        for (panel++; panel < panels; panel++)
        {
            at = scores.Panel(panel) + row;
            Vector512.Create(value).Store(at);
            Vector512.Create(value).Store(at + 16);
        }
    }
}
