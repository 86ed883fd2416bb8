namespace Tern.Kernels;

/// <summary>Kernel rows of the block types.</summary>
internal static class BlockKernels
{
    public static IEnumerable<KernelRow> Rows => [];
}
