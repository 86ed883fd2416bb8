using System.Runtime.Intrinsics.Arm;
using System.Runtime.Intrinsics.X86;

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

/// <summary>What this processor offers to this process.</summary>
internal static class Cpu
{
    /// <summary>All instruction sets that are present and not switched off.</summary>
    public static Isa Available { get; } = Detect();

    private static Isa Detect()
    {
        var isa = Isa.None;
        if (Avx2.IsSupported && Fma.IsSupported)
            isa |= Isa.Avx2;
        if (AvxVnni.IsSupported)
            isa |= Isa.AvxVnni;
        if (Avx512F.IsSupported && Avx512BW.IsSupported && Avx512DQ.IsSupported && Avx512BW.VL.IsSupported)
            isa |= Isa.Avx512;
        if (Avx512Vbmi.IsSupported)
            isa |= Isa.Avx512Vbmi;
        if (AdvSimd.Arm64.IsSupported)
            isa |= Isa.AdvSimd;
        if (Dp.Arm64.IsSupported)
            isa |= Isa.Dp;
        return isa;
    }
}
