using Tern.Machine;
using Tern.Numerics;

namespace Tern.Kernels;

/// <summary>
/// The kernel rows of the block types with int8 activations in blocks of 32: one line for each type, one row for each instruction set.
/// A new format is its <see cref="IBlockFormat"/>, how its codes are packed, and a line here.
/// </summary>
internal static unsafe class BlockKernels
{
    /// <summary>The rows in order of preference for each type.</summary>
    public static IEnumerable<KernelRow> Rows { get; } =
    [
        Signs(),
        .. Of<Q1_0Blocks, BitCodes>(TensorType.Q1_0),
        .. Of<Q2_0Blocks, CrumbCodes>(TensorType.Q2_0),
        .. Of<Q2_0G128Blocks, CrumbCodes>(TensorType.Q2_0_G128),
        .. Of<Q8_0Blocks, ByteCodes>(TensorType.Q8_0),
        .. Of<Q4_0Blocks, NibbleCodes>(TensorType.Q4_0),
        .. Of<Q4_1Blocks, NibbleCodes>(TensorType.Q4_1),
        .. Of<Q5_0Blocks, FifthCodes>(TensorType.Q5_0),
        .. Of<Q4_KBlocks, NibbleCodes>(TensorType.Q4_K),
        .. Of<Q6_KBlocks, SixthCodes>(TensorType.Q6_K),
    ];

    private static KernelRow Signs() => new()
    {
        Name = "q1_0-avx512",
        Needs = Isa.Avx512 | Isa.Avx2,
        Layout = WeightLayout.Packed("Q1_0 in 32 rows", TensorType.Q1_0, BlockSigns.Pack),
        Form = ActivationForm.Int8PerBlock,
        Run = &BlockSigns.Run,
        RowMultiple = BlockSigns.Rows,
        ScratchBytes = &BlockSigns.ScratchBytes,
        Prepare = &BlockSigns.Prepare,
        Split = &BlockSigns.Split,
    };

    private static IEnumerable<KernelRow> Of<TFormat, TCodes>(TensorType type)
        where TFormat : struct, IBlockFormat
        where TCodes : struct, IBlockCodes
    {
        WeightLayout file = WeightLayout.Of(type);
        WeightLayout packed = WeightLayout.Packed($"{type.Name} in {BlockLanes.Rows} rows", type, BlockLanes<TFormat, TCodes>.Pack);
        KernelRow avx512 = Packed(
            "avx512", Isa.Avx512 | Isa.Avx2, &BlockLanesAvx512<TFormat, TCodes>.Run, &BlockLanes<TFormat, TCodes>.Prepare<BlockOffsets16>);
        KernelRow avxVnni = Packed(
            "avx-vnni", Isa.AvxVnni | Isa.Avx2, &BlockLanesAvx2<TFormat, TCodes, BlockDotAvxVnni>.Run, &BlockLanes<TFormat, TCodes>.Prepare<BlockOffsets32>);
        KernelRow avx2 = Packed(
            "avx2", Isa.Avx2, &BlockLanesAvx2<TFormat, TCodes, BlockDotAvx2>.Run, &BlockLanes<TFormat, TCodes>.Prepare<BlockOffsets16>);
        IEnumerable<KernelRow> rows =
        [
            // Whole bytes saturate VPMADDUBSW and have to be taken apart, which VPDPBUSD does without.
            .. TCodes.IsWide ? (KernelRow[])[avxVnni, avx512, avx2] : [avx512, avxVnni, avx2],
            Row("arm", Isa.AdvSimd | Isa.Dp, &BlockMatMul<TFormat, BlockDotArm>.Run),
            Row("neon", Isa.AdvSimd, &BlockMatMul<TFormat, BlockDotNeon>.Run),
            Row("scalar", Isa.None, &BlockScalar<TFormat>.Run),
        ];
        return type == TensorType.Q1_0 ? rows.Where(row => row != avx512) : rows;

        KernelRow Row(string isa, Isa needs, delegate*<MatMulProblem*, int, int, void> run) => new()
        {
            Name = $"{type.Name.ToLowerInvariant()}-{isa}",
            Needs = needs,
            Layout = file,
            Form = ActivationForm.Int8PerBlock,
            Run = run,
        };

        KernelRow Packed(string isa, Isa needs, delegate*<MatMulProblem*, int, int, void> run, delegate*<MatMulProblem*, void> prepare) => new()
        {
            Name = $"{type.Name.ToLowerInvariant()}-{isa}",
            Needs = needs,
            Layout = packed,
            Form = ActivationForm.Int8PerBlock,
            Run = run,
            RowMultiple = BlockLanes.Rows,
            ScratchBytes = &BlockLanes<TFormat, TCodes>.ScratchBytes,
            Prepare = prepare,
            Split = &BlockLanes.Split,
        };
    }
}
