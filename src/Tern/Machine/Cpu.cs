using System.Globalization;
using System.Runtime.Intrinsics.Arm;
using System.Runtime.Intrinsics.X86;

namespace Tern.Machine;

/// <summary>
/// What this processor offers to this process. The runtime's own switches take instruction sets away
/// (<c>DOTNET_EnableAVX512=0</c>, <c>DOTNET_EnableAVXVNNI=0</c>, <c>DOTNET_EnableAVX2=0</c>, <c>DOTNET_EnableHWIntrinsic=0</c>);
/// what they switch off is not in <see cref="Available"/>.
/// </summary>
internal static class Cpu
{
    /// <summary>All instruction sets that are present and not switched off.</summary>
    public static Isa Available { get; } = Detect();

    /// <summary>Logical processors that this process may use: affinity and the container's CPU quota are counted in.</summary>
    public static int LogicalProcessors => Environment.ProcessorCount;

    /// <summary>
    /// How many threads a compute-bound loop should use: one per physical core, and never more than <see cref="LogicalProcessors"/>.
    /// Where the system does not tell which logical processors share a core (anything but Linux) it is <see cref="LogicalProcessors"/>.
    /// </summary>
    public static int ComputeThreads { get; } = Math.Clamp(CountCores("/sys/devices/system/cpu"), 1, LogicalProcessors);

    /// <summary>Names of what is available, as <see cref="Isa"/> spells them; empty where nothing is.</summary>
    public static IEnumerable<string> Names => Enum.GetValues<Isa>().Where(isa => isa != Isa.None && Available.HasFlag(isa)).Select(isa => isa.ToString());

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

    /// <summary>Counts distinct sets of sibling threads below Linux's folder of processors; int.MaxValue when it says nothing.</summary>
    private static int CountCores(string folder)
    {
        var cores = new HashSet<string>(StringComparer.Ordinal);
        try
        {
            for (int i = 0; i < 4096; i++)
            {
                string siblings = string.Create(CultureInfo.InvariantCulture, $"{folder}/cpu{i}/topology/thread_siblings_list");
                if (!File.Exists(siblings))
                    break;
                cores.Add(File.ReadAllText(siblings));
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return int.MaxValue;
        }

        return cores.Count == 0 ? int.MaxValue : cores.Count;
    }
}
