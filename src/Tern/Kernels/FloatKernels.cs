namespace Tern.Kernels;

/// <summary>Kernel rows of the float types.</summary>
internal static class FloatKernels
{
    public static IEnumerable<KernelRow> Rows => [];
}
