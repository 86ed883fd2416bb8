using System.Runtime.InteropServices;

namespace Tern.Tests.Kernels;

/// <summary>
/// Bytes that touch a page nobody may access, so that a read one byte outside ends the process.
/// <code>
/// | no access |  . . . . . bytes | no access |     AtEnd
/// | no access | bytes . . . . .  | no access |     AtStart
/// </code>
/// </summary>
internal sealed unsafe partial class GuardPageMemory : IDisposable
{
    private readonly byte* _region;
    private readonly nuint _size;

    public GuardPageMemory(ReadOnlySpan<byte> bytes, bool atEnd)
    {
        nuint page = (nuint)Environment.SystemPageSize;
        nuint inner = ((nuint)bytes.Length + page - 1) / page * page;
        _size = inner + 2 * page;
        _region = Reserve(_size);
        Forbid(_region, page);
        Forbid(_region + page + inner, page);
        Pointer = _region + page + (atEnd ? inner - (nuint)bytes.Length : 0);
        bytes.CopyTo(new Span<byte>(Pointer, bytes.Length));
    }

    /// <summary>Zeroed bytes.</summary>
    public GuardPageMemory(int byteCount, bool atEnd)
        : this(new byte[byteCount], atEnd)
    {
    }

    /// <summary>Where guard pages can be made; elsewhere the tests say that they were skipped.</summary>
    public static bool IsSupported => OperatingSystem.IsLinux() || OperatingSystem.IsMacOS() || OperatingSystem.IsWindows();

    public byte* Pointer { get; }

    /// <summary>The first byte behind the region's bytes that may be read.</summary>
    public byte* End => _region + _size - Environment.SystemPageSize;

    public void Dispose()
    {
        if (OperatingSystem.IsWindows())
            VirtualFree(_region, 0, 0x8000);
        else
            Unmap(_region, _size);
    }

    private static byte* Reserve(nuint size)
    {
        if (OperatingSystem.IsWindows())
        {
            byte* memory = VirtualAlloc(null, size, 0x3000, 0x04);
            return memory is not null ? memory : throw new InvalidOperationException("VirtualAlloc failed");
        }

        const int privateAnonymousLinux = 0x22, privateAnonymousMac = 0x1002;
        byte* mapped = Map(null, size, 0x3, OperatingSystem.IsMacOS() ? privateAnonymousMac : privateAnonymousLinux, -1, 0);
        return mapped != (byte*)-1 ? mapped : throw new InvalidOperationException($"mmap failed: {Marshal.GetLastPInvokeError()}");
    }

    private static void Forbid(byte* page, nuint size)
    {
        bool forbidden = OperatingSystem.IsWindows() ? VirtualProtect(page, size, 0x01, out _) != 0 : Protect(page, size, 0) == 0;
        if (!forbidden)
            throw new InvalidOperationException("the guard page could not be made");
    }

    [LibraryImport("libc", EntryPoint = "mmap", SetLastError = true)]
    private static partial byte* Map(void* address, nuint size, int protection, int flags, int file, nint offset);

    [LibraryImport("libc", EntryPoint = "mprotect", SetLastError = true)]
    private static partial int Protect(void* address, nuint size, int protection);

    [LibraryImport("libc", EntryPoint = "munmap", SetLastError = true)]
    private static partial int Unmap(void* address, nuint size);

    [LibraryImport("kernel32", SetLastError = true)]
    private static partial byte* VirtualAlloc(void* address, nuint size, uint type, uint protection);

    [LibraryImport("kernel32", SetLastError = true)]
    private static partial int VirtualProtect(void* address, nuint size, uint protection, out uint old);

    [LibraryImport("kernel32", SetLastError = true)]
    private static partial int VirtualFree(void* address, nuint size, uint type);
}

/// <summary>A theory that needs guard pages.</summary>
public sealed class GuardPageTheoryAttribute : TheoryAttribute
{
    public GuardPageTheoryAttribute() =>
        Skip = GuardPageMemory.IsSupported ? null : "GUARD PAGES NOT AVAILABLE on this system: that kernels read nothing outside the weights was not tested";
}

/// <summary>A fact that needs guard pages on Linux, where the system tells what is forbidden.</summary>
public sealed class GuardPageFactAttribute : FactAttribute
{
    public GuardPageFactAttribute() =>
        Skip = OperatingSystem.IsLinux() ? null : "GUARD PAGES CANNOT BE LISTED on this system: that they forbid access was not tested";
}
