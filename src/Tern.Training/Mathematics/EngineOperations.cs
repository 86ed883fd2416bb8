using Tern.Kernels;
using Tern.Machine;

namespace Tern.Training.Mathematics;

/// <summary>The engine's float operations; every choice of instructions gives the same bits, so the fastest one serves.</summary>
internal static class EngineOperations
{
    public static Operations Best { get; } = Operations.For(Cpu.Available);
}
