using Tern.Machine;
using Tern.Training.Mathematics;
using Tern.Training.Weights;

namespace Tern.Training;

/// <summary>Finds where a NaN or an infinity first stood.</summary>
internal static unsafe class NonFinite
{
    /// <summary>
    /// Looks at weights, then at what the forward pass left (its order), then at gradients (against that order, as they were computed).
    /// </summary>
    /// <param name="parameters">The tensors.</param>
    /// <param name="weights">Flat.</param>
    /// <param name="space">Of the micro batch that failed.</param>
    /// <param name="rows">Its rows; 0 when the fault is in gradients of an earlier one.</param>
    /// <param name="gradients">Flat.</param>
    public static string Find(ParameterSet parameters, NativeBuffer<float> weights, Workspace space, int rows, NativeBuffer<float> gradients)
    {
        foreach (Parameter parameter in parameters.All)
            if (!IsFinite(weights.Pointer + parameter.Offset, parameter.Count))
                return parameter.Name;

        for (int i = 0; i < space.Layers.Length; i++)
        {
            LayerSpace layer = space.Layers[i];
            if (!IsFinite(layer.QueryKeyValue, rows))
                return $"blk.{i}.attn_qkv";
            if (!IsFinite(layer.Context, rows))
                return $"blk.{i}.attention";
            if (!IsFinite(layer.Middle, rows))
                return $"blk.{i}.attn_output";
            if (!IsFinite(layer.GateUp, rows))
                return $"blk.{i}.ffn_gate_up";
            Panels result = i + 1 < space.Layers.Length ? space.Layers[i + 1].Input : space.Final;
            if (!IsFinite(result, rows))
                return $"blk.{i}.ffn_down";
        }

        if (rows > 0)
            return "output";
        foreach (Parameter parameter in parameters.All.Reverse())
            if (!IsFinite(gradients.Pointer + parameter.Offset, parameter.Count))
                return parameter.Name;
        return "gradient norm";
    }

    private static bool IsFinite(Panels panels, int rows)
    {
        for (int p = 0; p < panels.Count; p++)
            if (!IsFinite(panels.Panel(p), (long)rows * Panels.Columns))
                return false;
        return true;
    }

    private static bool IsFinite(float* values, long count)
    {
        for (long i = 0; i < count; i++)
            if (!float.IsFinite(values[i]))
                return false;
        return true;
    }
}
