using Tern.Kernels;

namespace Tern.Measure;

/// <summary>Natural logarithms of probabilities out of logits, summed in double precision with our own exp: the same digits on every machine.</summary>
internal static class LogProbability
{
    /// <summary>ln softmax(logits)[id].</summary>
    public static double Of(ReadOnlySpan<float> logits, int id)
    {
        double max = Max(logits);
        double sum = 0;
        foreach (float logit in logits)
            sum += PortableMath.Exp(logit - max);
        return logits[id] - max - PortableMath.Log(sum);
    }

    private static float Max(ReadOnlySpan<float> values)
    {
        float max = float.NegativeInfinity;
        foreach (float value in values)
            max = Math.Max(max, value);
        return max;
    }
}
