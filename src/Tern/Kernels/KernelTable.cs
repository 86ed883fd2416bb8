using Tern.Machine;

namespace Tern.Kernels;

/// <summary>
/// Which rows may be used: all that fit the processor, those of a named family (scalar, avx2, avx-vnni, avx512, arm), or one row by name.
/// </summary>
internal sealed record KernelChoice(Isa Allowed, string? Row)
{
    /// <summary>Name, what the processor must have, and what else rows of the family may use where it is there.</summary>
    private static readonly (string Name, Isa Needs, Isa Uses)[] s_families =
    [
        ("scalar", Isa.None, Isa.None),
        ("avx2", Isa.Avx2, Isa.None),
        ("avx-vnni", Isa.Avx2 | Isa.AvxVnni, Isa.None),
        ("avx512", Isa.Avx2 | Isa.Avx512, Isa.Avx512Vbmi),
        ("arm", Isa.AdvSimd | Isa.Dp, Isa.None),
    ];

    /// <summary>Everything this processor offers.</summary>
    public static KernelChoice Best { get; } = new(Cpu.Available, null);

    /// <summary>The families that this processor can run, plainest first.</summary>
    public static IEnumerable<string> Families => s_families.Where(f => (f.Needs & ~Cpu.Available) == 0).Select(f => f.Name);

    /// <summary>Reads a family or row name; null or empty is what TERN_KERNEL names, and without it <see cref="Best"/>.</summary>
    /// <exception cref="TernException">Unknown name (the known ones are listed) or one that this processor cannot run.</exception>
    public static KernelChoice Parse(string? name)
    {
        if (string.IsNullOrEmpty(name))
            name = EnvironmentVariables.Kernel;
        if (string.IsNullOrEmpty(name) || name == "best")
            return Best;

        foreach ((string family, Isa needs, Isa uses) in s_families)
            if (family == name)
                return Runnable(name, needs, new KernelChoice(needs | (uses & Cpu.Available), null));

        foreach (KernelRow row in KernelTable.All)
            if (row.Name == name)
                return Runnable(name, row.Needs, new KernelChoice(Cpu.Available, name));

        string known = string.Join(", ", s_families.Select(f => f.Name).Prepend("best").Concat(KernelTable.All.Select(r => r.Name)));
        throw new TernException(ErrorKind.Request, $"unknown kernel '{name}'; known families and rows: {known}");
    }

    /// <summary>Whether this choice may run <paramref name="row"/>.</summary>
    public bool Allows(KernelRow row) => (row.Needs & ~Allowed) == 0;

    private static KernelChoice Runnable(string name, Isa needs, KernelChoice choice)
    {
        Isa missing = needs & ~Cpu.Available;
        return missing == 0
            ? choice
            : throw new TernException(ErrorKind.Unsupported, $"kernel '{name}' needs {missing}, which this processor does not have; it runs best, {string.Join(", ", Families)}");
    }
}

/// <summary>All kernel rows.</summary>
internal static class KernelTable
{
    /// <summary>Rows in measured order of preference.</summary>
    public static IReadOnlyList<KernelRow> All { get; } = [.. TernaryKernels.Rows, .. BlockKernels.Rows, .. FloatKernels.Rows, DecodeKernel.Row];

    /// <summary>The row that <paramref name="choice"/> names if it is one of those that fit, else the first allowed one.</summary>
    /// <param name="fits">Whether a row can run the tensor at hand; one that needs no instruction set must be among them.</param>
    /// <param name="choice">Which rows may be used.</param>
    public static KernelRow Pick(KernelChoice choice, Func<KernelRow, bool> fits)
    {
        KernelRow[] rows = [.. All.Where(row => choice.Allows(row) && fits(row))];
        return rows.FirstOrDefault(row => row.Name == choice.Row) ?? rows[0];
    }
}
