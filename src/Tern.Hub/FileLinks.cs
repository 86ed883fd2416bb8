using System.Runtime.InteropServices;

namespace Tern.Hub;

/// <summary>How one file gets a second name.</summary>
internal enum LinkKind
{
    /// <summary>A hard link: the same file, no space.</summary>
    Hard,

    /// <summary>A symbolic link to the blob.</summary>
    Symbolic,

    /// <summary>A copy, which the file system may make without copying (a reflink).</summary>
    Copy,
}

/// <summary>Second names for files, by the best means that the file system has.</summary>
internal static partial class FileLinks
{
    private static readonly LinkKind[] s_order = [LinkKind.Hard, LinkKind.Symbolic, LinkKind.Copy];

    /// <summary>Gives a file a second name and says how.</summary>
    /// <exception cref="IOException">Not even a copy could be made.</exception>
    public static LinkKind Create(string existing, string name)
    {
        foreach (LinkKind kind in s_order)
            if (TryCreate(existing, name, kind))
                return kind;
        throw new IOException($"{name} could not be linked to {existing}");
    }

    /// <summary>Gives a file a second name by one means; false where the file system does not have it.</summary>
    public static bool TryCreate(string existing, string name, LinkKind kind)
    {
        try
        {
            switch (kind)
            {
                case LinkKind.Hard:
                    return OperatingSystem.IsWindows() ? CreateHardLink(name, existing, 0) : Link(existing, name) == 0;
                case LinkKind.Symbolic:
                    File.CreateSymbolicLink(name, existing);
                    return true;
                default:
                    File.Copy(existing, name);
                    return true;
            }
        }
        catch (Exception e) when (e is UnauthorizedAccessException or PlatformNotSupportedException || (e is IOException && kind != LinkKind.Copy))
        {
            return false;
        }
    }

    [LibraryImport("libc", EntryPoint = "link", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Link(string existing, string name);

    [LibraryImport("kernel32", EntryPoint = "CreateHardLinkW", StringMarshalling = StringMarshalling.Utf16)]
    [return: MarshalAs(UnmanagedType.Bool)]
    private static partial bool CreateHardLink(string name, string existing, nint securityAttributes);
}
