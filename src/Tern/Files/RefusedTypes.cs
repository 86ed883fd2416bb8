namespace Tern.Files;

/// <summary>A tensor type that exists but that Tern does not run.</summary>
/// <param name="Id">Its id in GGUF tensor infos; ids collide between programs, so several rows can share one.</param>
/// <param name="Name">The name in the program that writes it.</param>
/// <param name="BlockWeights">Weights per block, or 0 when the size of a tensor cannot be told from its shape.</param>
/// <param name="BlockBytes">Bytes per block.</param>
/// <param name="Advice">What to do instead.</param>
internal sealed record RefusedType(int Id, string Name, int BlockWeights, int BlockBytes, string Advice)
{
    /// <summary>Bytes of a tensor; null when this type does not fit the shape or its size is not known.</summary>
    public UInt128? ByteCount(TensorExtent extent) =>
        BlockWeights > 0 && extent.Columns % (UInt128)BlockWeights == 0 ? extent.ByteCount(BlockWeights, BlockBytes) : null;
}

/// <summary>Every tensor type of llama.cpp, bitnet.cpp, ik_llama.cpp and PrismML's fork that Tern recognises in order to refuse it well.</summary>
internal static class RefusedTypes
{
    private const string Requantize = "use a file of the same model in a type that Tern reads, such as I2_S, Q1_0, Q2_0, Q4_K, Q6_K or Q8_0, or make one of the original checkpoint with `tern convert`";
    private const string Removed = "the type was removed from llama.cpp; use a file with Q4_0, which replaced it";
    private const string NotWeights = "no model that Tern runs keeps weights in this type; make a file of the original checkpoint with `tern convert`";
    private const string TableLookup = "its tiles depend on a kernel configuration that is not in the file; download the I2_S file of the same model, or make it of the checkpoint with `tern convert`";
    private const string Prism = "it is written by PrismML's fork only; download the Q2_0 or Q1_0 file of the same model";

    /// <summary>The table, by id.</summary>
    public static IReadOnlyList<RefusedType> All { get; } =
    [
        new(4, "Q4_2", 0, 0, Removed),
        new(5, "Q4_3", 0, 0, Removed),
        new(7, "Q5_1", 32, 24, Requantize),
        new(9, "Q8_1", 32, 36, Requantize),
        new(10, "Q2_K", 256, 84, Requantize),
        new(11, "Q3_K", 256, 110, Requantize),
        new(13, "Q5_K", 256, 176, Requantize),
        new(15, "Q8_K", 256, 292, Requantize),
        new(16, "IQ2_XXS", 256, 66, Requantize),
        new(17, "IQ2_XS", 256, 74, Requantize),
        new(18, "IQ3_XXS", 256, 98, Requantize),
        new(19, "IQ1_S", 256, 50, Requantize),
        new(20, "IQ4_NL", 32, 18, Requantize),
        new(21, "IQ3_S", 256, 110, Requantize),
        new(22, "IQ2_S", 256, 82, Requantize),
        new(23, "IQ4_XS", 256, 136, Requantize),
        new(24, "I8", 1, 1, NotWeights),
        new(25, "I16", 1, 2, NotWeights),
        new(26, "I32", 1, 4, NotWeights),
        new(27, "I64", 1, 8, NotWeights),
        new(28, "F64", 1, 8, NotWeights),
        new(29, "IQ1_M", 256, 56, Requantize),
        new(31, "Q4_0_4_4", 32, 18, Removed),
        new(32, "Q4_0_4_8", 32, 18, Removed),
        new(33, "Q4_0_8_8", 32, 18, Removed),
        new(36, "IQ4_NL_4_4", 32, 18, Removed),
        new(37, "IQ4_NL_4_8", 32, 18, Removed),
        new(37, "I8_S", 0, 0, "bitnet.cpp keeps activations in it and never writes it to files; make a file of the original checkpoint with `tern convert`"),
        new(38, "IQ4_NL_8_8", 32, 18, Removed),
        new(38, "TL1", 0, 0, TableLookup),
        new(39, "MXFP4", 32, 17, Requantize),
        new(39, "TL2", 0, 0, TableLookup),
        new(40, "NVFP4", 0, 0, Requantize),
        new(40, "Q1_0 with groups of 32", 0, 0, "PrismML's fork wrote it in April 2026 only; download today's Q1_0 file (type 41) of the same model"),
        new(142, "PQ2_0", 128, 34, Prism),
        new(143, "PTQ1_0", 128, 28, Prism),
        new(335, "IQ2_BN_R4", 0, 0, "it is ik_llama.cpp's repacking for its own processor; use the IQ2_BN or I2_S file it was made from"),
    ];
}
