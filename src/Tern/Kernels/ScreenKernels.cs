using Tern.Machine;

namespace Tern.Kernels;

/// <summary>One way to read the planes of <see cref="HeadPlanes"/>; all ways give the same bits.</summary>
internal sealed unsafe class ScreenKernel
{
    public required string Name { get; init; }

    /// <summary>Instruction sets without which it cannot run.</summary>
    public required Isa Needs { get; init; }

    /// <summary>Estimates and squared bounds of blocks [start, end) for all tokens, from the high plane.</summary>
    public required delegate*<ScreenProblem*, int, int, void> High { get; init; }

    /// <summary>Tightens the problem's rows [start, end) for its first token with the low plane.</summary>
    public required delegate*<ScreenProblem*, int, int, void> Low { get; init; }

    /// <summary>In order of preference; the last one is the definition.</summary>
    public static IReadOnlyList<ScreenKernel> All { get; } =
    [
        new()
        {
            Name = "screen-avx512",
            Needs = Isa.Avx2 | Isa.Avx512,
            High = &ScreenHigh<PlaneLanes512, Lanes512>.Run,
            Low = &ScreenLow<LowGroupAvx2, Lanes512>.Run,
        },
        new()
        {
            Name = "screen-avx2",
            Needs = Isa.Avx2,
            High = &ScreenHigh<PlaneLanes256, Lanes256>.Run,
            Low = &ScreenLow<LowGroupAvx2, Lanes256>.Run,
        },
        new()
        {
            Name = "screen-scalar",
            Needs = Isa.None,
            High = &ScreenHigh<PlaneLanesScalar, LanesScalar>.Run,
            Low = &ScreenLow<LowGroupScalar, LanesScalar>.Run,
        },
    ];

    /// <summary>The first that fits.</summary>
    public static ScreenKernel For(Isa allowed) => All.First(kernel => (kernel.Needs & ~allowed) == 0);
}
