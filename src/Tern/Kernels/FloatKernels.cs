using Tern.Machine;
using Tern.Numerics;

namespace Tern.Kernels;

/// <summary>The kernel rows of F32, F16 and BF16 weights, each type from the widest lanes to the definition.</summary>
internal static unsafe class FloatKernels
{
    /// <summary>Rows in order of preference within each type.</summary>
    public static IEnumerable<KernelRow> Rows { get; } =
    [
        .. Of<Float32Weights>("f32", TensorType.F32),
        .. Of<HalfWeights>("f16", TensorType.F16),
        .. Of<BFloatWeights>("bf16", TensorType.BF16),
    ];

    private static KernelRow[] Of<TWeights>(string name, TensorType type)
        where TWeights : unmanaged, IFloatWeights
    {
        WeightLayout layout = WeightLayout.Of(type);
        return
        [
            Row(name + "-avx512", Isa.Avx2 | Isa.Avx512, layout, &FloatMatMul<Lanes512, TWeights>.Run),
            Row(name + "-avx2", Isa.Avx2, layout, &FloatMatMul<Lanes256, TWeights>.Run),
            Row(name + "-arm", Isa.AdvSimd, layout, &FloatMatMul<Lanes128, TWeights>.Run),
            Row(name + "-scalar", Isa.None, layout, &FloatMatMul<LanesScalar, TWeights>.Run),
        ];
    }

    private static KernelRow Row(string name, Isa needs, WeightLayout layout, delegate*<MatMulProblem*, int, int, void> run) => new()
    {
        Name = name,
        Needs = needs,
        Layout = layout,
        Form = ActivationForm.Float32,
        Run = run,
    };
}
