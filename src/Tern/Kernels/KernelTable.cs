using Tern.Machine;

namespace Tern.Kernels;

/// <summary>
/// Which rows may be used: all that fit the processor, those of a named family (scalar, avx2, avx-vnni, avx512, arm), or one row by name.
/// </summary>
internal sealed record KernelChoice(Isa Allowed, string? Row)
{
    /// <summary>Everything this processor offers.</summary>
    public static KernelChoice Best { get; } = new(Cpu.Available, null);

    /// <summary>Reads a family or row name; null or empty is <see cref="Best"/>.</summary>
    /// <exception cref="TernException">Unknown name (the known ones are listed) or one that this processor cannot run.</exception>
    public static KernelChoice Parse(string? name) => throw new NotSupportedException(name);
}

/// <summary>All kernel rows.</summary>
internal static class KernelTable
{
    /// <summary>Rows in measured order of preference.</summary>
    public static IReadOnlyList<KernelRow> All { get; } = [];
}
