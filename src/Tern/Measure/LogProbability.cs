using Tern.Kernels;

namespace Tern.Measure;

/// <summary>Natural logarithms of probabilities out of logits.</summary>
internal static class LogProbability
{
    /// <summary>ln softmax(logits)[id].</summary>
    public static double Of(ReadOnlySpan<float> logits, int id)
    {
        (float max, double sumExp) = Compute.LogSumExp(logits);
        return logits[id] - max - PortableMath.Log(sumExp);
    }
}
