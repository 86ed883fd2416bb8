using System.Runtime.InteropServices;
using Tern.Machine;
using Tern.Numerics;

namespace Tern.Kernels;

/// <summary>
/// The matmul of every type that has no row of its own: decode a weight row to floats, then the plain dot product in the engine's one
/// definition. Lane i % 16 of 16 accumulators takes product i by fused multiply-add in the order of i; then 16 lanes fold to 8, 4, 2, 1.
/// </summary>
internal static unsafe class DecodeKernel
{
    private const int Lanes = 16;

    public static KernelRow Row { get; } = new()
    {
        Name = "decode-row",
        Needs = Isa.None,
        Layout = WeightLayout.Decoded,
        Form = ActivationForm.Float32,
        Run = &Run,
        ScratchBytes = &RowBytes,
    };

    private static long RowBytes(int columns, int tokens) => (long)columns * sizeof(float);

    private static void Run(MatMulProblem* problem, int start, int end)
    {
        var tensor = (Tensor)GCHandle.FromIntPtr(problem->Tensor).Target!;
        for (int row = start; row < end; row++)
        {
            float* weights = (float*)problem->Scratch;
            tensor.DecodeRow(row, new Span<float>(weights, problem->Columns));
            for (int token = 0; token < problem->Tokens; token++)
            {
                float* x = problem->Floats + (long)token * problem->FloatStride;
                problem->Output[token * problem->OutputStride + row] = Dot(weights, x, problem->Columns);
            }
        }
    }

    private static float Dot(float* weights, float* x, int count)
    {
        float* lanes = stackalloc float[Lanes];
        new Span<float>(lanes, Lanes).Clear();
        for (int i = 0; i < count; i++)
            lanes[i % Lanes] = MathF.FusedMultiplyAdd(weights[i], x[i], lanes[i % Lanes]);

        for (int half = Lanes / 2; half > 0; half /= 2)
            for (int lane = 0; lane < half; lane++)
                lanes[lane] += lanes[lane + half];
        return lanes[0];
    }
}
