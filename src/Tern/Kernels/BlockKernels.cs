using Tern.Machine;
using Tern.Numerics;

namespace Tern.Kernels;

/// <summary>
/// The kernel rows of the block types with int8 activations in blocks of 32: one line for each type, one row for each instruction set.
/// A new format is its <see cref="IBlockFormat"/> and a line here.
/// </summary>
internal static unsafe class BlockKernels
{
    /// <summary>The rows in order of preference for each type.</summary>
    public static IEnumerable<KernelRow> Rows { get; } =
    [
        .. Of<Q1_0Blocks>(TensorType.Q1_0),
        .. Of<Q2_0Blocks>(TensorType.Q2_0),
        .. Of<Q2_0G128Blocks>(TensorType.Q2_0_G128),
        .. Of<Q8_0Blocks>(TensorType.Q8_0),
        .. Of<Q4_0Blocks>(TensorType.Q4_0),
        .. Of<Q4_1Blocks>(TensorType.Q4_1),
        .. Of<Q5_0Blocks>(TensorType.Q5_0),
        .. Of<Q4_KBlocks>(TensorType.Q4_K),
        .. Of<Q6_KBlocks>(TensorType.Q6_K),
    ];

    private static KernelRow[] Of<TFormat>(TensorType type)
        where TFormat : struct, IBlockFormat
    {
        WeightLayout layout = WeightLayout.Of(type);
        KernelRow avxVnni = Row("avx-vnni", Isa.AvxVnni | Isa.Avx2, &BlockMatMul<TFormat, BlockAvx2<BlockDotAvxVnni>>.Run);
        KernelRow avx2 = Row("avx2", Isa.Avx2, &BlockMatMul<TFormat, BlockAvx2<BlockDotAvx2>>.Run);
        return
        [
            Row("avx512", Isa.Avx512, &BlockMatMul<TFormat, BlockAvx512>.Run),

            // VPMADDWD multiplies by sub-scales on its way; after VPDPBUSD they cost a slow 32-bit product.
            .. TFormat.HasSubScales ? (KernelRow[])[avx2, avxVnni] : [avxVnni, avx2],
            Row("arm", Isa.AdvSimd | Isa.Dp, &BlockMatMul<TFormat, Block128<BlockDotArm>>.Run),
            Row("neon", Isa.AdvSimd, &BlockMatMul<TFormat, Block128<BlockDotNeon>>.Run),
            Row("scalar", Isa.None, &BlockScalar<TFormat>.Run),
        ];

        KernelRow Row(string isa, Isa needs, delegate*<MatMulProblem*, int, int, void> run) => new()
        {
            Name = $"{type.Name.ToLowerInvariant()}-{isa}",
            Needs = needs,
            Layout = layout,
            Form = ActivationForm.Int8PerBlock,
            Run = run,
        };
    }
}
