using System.Runtime.InteropServices;

namespace Tern.Tests.Kernels;

/// <summary>No row of the block types reads or writes outside of its operands: a read beyond them ends the test process.</summary>
public sealed unsafe class BlockGuardTests
{
    public static TheoryData<string> Names => [.. BlockRows.Runnable.Select(row => row.Name)];

    [Theory]
    [MemberData(nameof(Names))]
    public void Rows_stay_inside_their_operands(string name)
    {
        BlockRow row = BlockRows.Runnable.Single(r => r.Name == name);
        foreach (bool atEnd in (bool[])[true, false])
        {
            foreach (int columns in BlockRows.Columns(row.Type))
            {
                using BlockProblem problem = new(row.Type, rows: 5, columns, tokens: 3, seed: columns, atEnd);
                float[] outputs = problem.Run(row, 0, 5);
                Assert.DoesNotContain(outputs, float.IsNaN);
            }
        }
    }
}

/// <summary>
/// Memory between two pages that may not be touched. On systems without mmap it is plain memory, and only the arithmetic is tested.
/// <code>
///   at the end     [ no access ][ ……… data ][ no access ]
///   at the start   [ no access ][ data ……… ][ no access ]
/// </code>
/// </summary>
internal sealed unsafe partial class GuardedMemory : IDisposable
{
    private const int ReadWrite = 3, NoAccess = 0, PrivateAnonymous = 0x22;
    private static readonly int s_page = Environment.SystemPageSize;
    private readonly byte* _start;
    private readonly int _byteCount;

    public GuardedMemory(int byteCount, bool atEnd)
    {
        int pages = (byteCount + s_page - 1) / s_page;
        _byteCount = (pages + 2) * s_page;
        if (!OperatingSystem.IsLinux())
        {
            _start = (byte*)NativeMemory.AllocZeroed((nuint)_byteCount);
            Data = _start + s_page;
            return;
        }

        _start = (byte*)MemoryMap(0, (nuint)_byteCount, ReadWrite, PrivateAnonymous, -1, 0);
        Assert.NotEqual(-1, (nint)_start);
        Assert.Equal(0, Protect((nint)_start, (nuint)s_page, NoAccess));
        Assert.Equal(0, Protect((nint)(_start + _byteCount - s_page), (nuint)s_page, NoAccess));
        Data = atEnd ? _start + _byteCount - s_page - byteCount : _start + s_page;
    }

    public byte* Data { get; }

    public void Dispose()
    {
        if (OperatingSystem.IsLinux())
            Assert.Equal(0, Unmap((nint)_start, (nuint)_byteCount));
        else
            NativeMemory.Free(_start);
    }

    [LibraryImport("libc", EntryPoint = "mmap")]
    private static partial nint MemoryMap(nint address, nuint byteCount, int protection, int flags, int file, nint offset);

    [LibraryImport("libc", EntryPoint = "mprotect")]
    private static partial int Protect(nint address, nuint byteCount, int protection);

    [LibraryImport("libc", EntryPoint = "munmap")]
    private static partial int Unmap(nint address, nuint byteCount);
}
