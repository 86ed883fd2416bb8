namespace Tern.Machine;

/// <summary>The instruction sets that kernel rows ask for; a row fits when all its flags are available.</summary>
[Flags]
internal enum Isa
{
    /// <summary>Plain C#: runs everywhere.</summary>
    None = 0,

    /// <summary>AVX2 with FMA.</summary>
    Avx2 = 1,

    /// <summary>AVX-VNNI (256-bit VPDPBUSD, VEX encoded).</summary>
    AvxVnni = 2,

    /// <summary>AVX-512 F, BW, DQ and VL.</summary>
    Avx512 = 4,

    /// <summary>AVX-512 VBMI (byte permutes).</summary>
    Avx512Vbmi = 8,

    /// <summary>ARM AdvSimd (NEON), 64 bit.</summary>
    AdvSimd = 16,

    /// <summary>ARM dot product (SDOT).</summary>
    Dp = 32,
}
