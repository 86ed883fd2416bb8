using System.Globalization;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics.X86;
using System.Text;

namespace Tern.Machine;

/// <summary>
/// Which processor this is. On x86 it says so itself:
/// <code>
///   CPUID 0x80000002..4   eax ebx ecx edx: 16 characters of the name each
///   CPUID 1, eax          | extended family 27-20 | extended model 19-16 | family 11-8 | model 7-4 | stepping 3-0 |
/// </code>
/// Elsewhere the system is asked, and where it does not tell, the architecture has to do.
/// </summary>
internal static class CpuIdentity
{
    private static readonly string[] s_armFields = ["CPU implementer", "CPU part", "CPU variant", "CPU revision"];

    /// <summary>The name that people know it by.</summary>
    public static string Name { get; } = ReadName();

    /// <summary>Family, model and stepping, or what stands for them.</summary>
    public static string Signature { get; } = ReadSignature("/proc/cpuinfo");

    private static string ReadName()
    {
        const int firstLeaf = unchecked((int)0x8000_0002), lastLeaf = unchecked((int)0x8000_0004);
        if (!X86Base.IsSupported || X86Base.CpuId(unchecked((int)0x8000_0000), 0).Eax < lastLeaf)
            return EnvironmentVariables.ProcessorIdentifier ?? RuntimeInformation.ProcessArchitecture.ToString();

        Span<int> words = stackalloc int[12];
        for (int leaf = firstLeaf; leaf <= lastLeaf; leaf++)
        {
            (int eax, int ebx, int ecx, int edx) = X86Base.CpuId(leaf, 0);
            ReadOnlySpan<int> part = [eax, ebx, ecx, edx];
            part.CopyTo(words[((leaf - firstLeaf) * 4)..]);
        }

        ReadOnlySpan<byte> text = MemoryMarshal.AsBytes(words);
        int end = text.IndexOf((byte)0);
        return Encoding.ASCII.GetString(end < 0 ? text : text[..end]).Trim();
    }

    private static string ReadSignature(string cpuInfo)
    {
        if (X86Base.IsSupported)
        {
            int eax = X86Base.CpuId(1, 0).Eax;
            int baseFamily = eax >> 8 & 15;
            int family = baseFamily == 15 ? 15 + (eax >> 20 & 255) : baseFamily;
            int model = (eax >> 4 & 15) + (baseFamily is 6 or 15 ? (eax >> 16 & 15) << 4 : 0);
            return string.Create(CultureInfo.InvariantCulture, $"family {family} model {model} stepping {eax & 15}");
        }

        try
        {
            // Cores of one machine may differ: every kind that is there belongs to the answer.
            if (File.Exists(cpuInfo))
                return string.Join(", ", File.ReadLines(cpuInfo).Where(line => s_armFields.Any(line.StartsWith)).Distinct());
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
        }

        return "";
    }
}
