using System.Runtime.InteropServices;

namespace Tern.Machine;

/// <summary>
/// Advice about the pages of a read-only file map. Only whole pages inside a range are meant:
/// <code>
///   pages      |       |       |       |       |
///   range          [ .................... ]
///   advised            |-------|-------|
/// </code>
/// Advice changes no byte that anybody can read; systems other than Linux are not asked.
/// </summary>
internal static unsafe partial class MappedPages
{
    private const int WillNeed = 3, DoNotNeed = 4;

    /// <summary>
    /// Takes pages out of this process's memory. They stay in the system's cache of files; whoever touches them again gets the same bytes.
    /// For maps of files only: memory that no file stands behind would lose its contents.
    /// </summary>
    public static void Drop(byte* start, long byteCount) => Advise(start, byteCount, DoNotNeed);

    /// <summary>Begins to read pages that are not in memory yet.</summary>
    public static void Fetch(byte* start, long byteCount) => Advise(start, byteCount, WillNeed);

    private static void Advise(byte* start, long byteCount, int advice)
    {
        if (!OperatingSystem.IsLinux())
            return;

        nuint page = (nuint)Environment.SystemPageSize;
        nuint first = ((nuint)start + page - 1) & ~(page - 1);
        nuint end = ((nuint)start + (nuint)byteCount) & ~(page - 1);
        if (first < end)
            _ = Madvise((void*)first, end - first, advice);
    }

    [LibraryImport("libc", EntryPoint = "madvise")]
    private static partial int Madvise(void* address, nuint byteCount, int advice);
}
