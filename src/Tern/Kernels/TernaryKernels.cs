using Tern.Machine;

namespace Tern.Kernels;

/// <summary>
/// The rows of the ternary layouts, in order of preference; the grouped layout runs on the same instructions. The order is measured: words
/// of 1.6 bits lead for one token and for many; of the rows of two bits, those of vectors are equal within noise from memory; with 128 tokens AVX-512 leads VPDPBUSD ymm by half on Zen 5 and by 2 % on Emerald Rapids,
/// where VPDPBUSD in turn leads by a third for one token whose weights are in cache, which a model's weights never are.
/// </summary>
internal static unsafe class TernaryKernels
{
    /// <summary>Most columns of a ternary matrix: every partial sum of every row stays inside int32 with room to spare.</summary>
    public const int ColumnsMax = 1 << 22;

    public static IEnumerable<KernelRow> Rows { get; } =
    [
        Words<ByteLookup>("ternary-words-vbmi", Isa.Avx2 | Isa.Avx512 | Isa.Avx512Vbmi),
        Words<WordLookup>("ternary-words-avx512", Isa.Avx2 | Isa.Avx512),
        Row("ternary-avx512", Isa.Avx2 | Isa.Avx512, WeightLayout.Ternary, &TernaryKernel<TernaryAvx512>.Run),
        Row("ternary-avx-vnni", Isa.Avx2 | Isa.AvxVnni, WeightLayout.Ternary, &TernaryKernel<TernaryAvxVnni>.Run),
        Row("ternary-avx2", Isa.Avx2, WeightLayout.Ternary, &TernaryKernel<TernaryAvx2>.Run),
        Row("ternary-arm", Isa.AdvSimd | Isa.Dp, WeightLayout.Ternary, &TernaryKernel<TernaryArm<ArmDotProduct>>.Run),
        Row("ternary-scalar", Isa.None, WeightLayout.Ternary, &TernaryScalar.Run),
        Row("ternary-words-scalar", Isa.None, WeightLayout.TernaryWords, &TernaryWordsScalar.Run),
        Row("ternary-groups-avx512", Isa.Avx2 | Isa.Avx512, WeightLayout.TernaryGroups, &TernaryGroupsKernel<TernaryAvx512>.Run),
        Row("ternary-groups-avx-vnni", Isa.Avx2 | Isa.AvxVnni, WeightLayout.TernaryGroups, &TernaryGroupsKernel<TernaryAvxVnni>.Run),
        Row("ternary-groups-avx2", Isa.Avx2, WeightLayout.TernaryGroups, &TernaryGroupsKernel<TernaryAvx2>.Run),
        Row("ternary-groups-arm", Isa.AdvSimd | Isa.Dp, WeightLayout.TernaryGroups, &TernaryGroupsKernel<TernaryArm<ArmDotProduct>>.Run),
        Row("ternary-groups-scalar", Isa.None, WeightLayout.TernaryGroups, &TernaryScalar.RunGroups),
    ];

    private static KernelRow Row(string name, Isa needs, WeightLayout layout, delegate*<MatMulProblem*, int, int, void> run) => new()
    {
        Name = name,
        Needs = needs,
        Layout = layout,
        Form = ActivationForm.Int8PerToken,
        Run = run,
    };

    private static KernelRow Words<TLookup>(string name, Isa needs)
        where TLookup : struct, ITernaryLookup => new()
        {
            Name = name,
            Needs = needs,
            Layout = WeightLayout.TernaryWords,
            Form = ActivationForm.Int8PerToken,
            Run = &TernaryWordsAvx512<TLookup>.Run,
            Prepare = &TernaryWordsAvx512<TLookup>.Prepare,
            ScratchBytes = &TernaryWordsAvx512<TLookup>.ScratchBytes,
            RowMultiple = TernaryWords.BlockRows,
            Split = &TernaryWordsAvx512<TLookup>.Split,
        };
}
