using System.Security.Cryptography;
using Microsoft.Win32.SafeHandles;
using Tern.Files;

namespace Tern.Hub;

/// <summary>Small operations on the store's files that every room of it needs.</summary>
internal static class StoreFiles
{
    private const int BlockBytes = 1 << 20;

    /// <summary>Deletes a folder of links, read-only files among them, if it is there.</summary>
    public static void DeleteFolder(string folder)
    {
        if (!Directory.Exists(folder))
            return;

        // Moved aside first: nobody ever sees half of a folder under its name.
        string doomed = folder.EndsWith(StoreLayout.PartialSuffix, StringComparison.Ordinal) ? folder : folder + StoreLayout.PartialSuffix;
        if (doomed != folder)
        {
            DeleteFolder(doomed);
            Directory.Move(folder, doomed);
        }

        if (OperatingSystem.IsWindows())
        {
            foreach (string file in Directory.EnumerateFiles(doomed, "*", SearchOption.AllDirectories))
                File.SetAttributes(file, FileAttributes.Normal);
        }

        Directory.Delete(doomed, recursive: true);
    }

    /// <summary>Deletes a file, read-only or not, if it is there.</summary>
    public static void DeleteFile(string path)
    {
        if (!File.Exists(path))
            return;
        if (OperatingSystem.IsWindows())
            File.SetAttributes(path, FileAttributes.Normal);
        File.Delete(path);
    }

    /// <summary>Bytes of a file, of the one behind it where it is a symbolic link; -1 where there is none.</summary>
    public static long Length(string path)
    {
        var file = new FileInfo(path);
        if (file.LinkTarget is not null)
            file = file.ResolveLinkTarget(returnFinalTarget: true) as FileInfo;
        return file is { Exists: true } ? file.Length : -1;
    }

    /// <summary>Nobody writes to a blob: programs map it.</summary>
    public static void MakeReadOnly(string path) => File.SetAttributes(path, File.GetAttributes(path) | FileAttributes.ReadOnly);

    /// <summary>Makes a finished file's last name durable.</summary>
    public static void FlushFolderOf(string path) => AtomicFile.FlushFolder(Path.GetDirectoryName(path)!);

    /// <summary>SHA-256 of a file, and git's hash of it (SHA-1 over "blob LENGTH\0" and the contents) where that is asked for.</summary>
    public static (string Sha256, string? GitSha1) Hash(SafeFileHandle file, bool withGit, Action<long> progress, CancellationToken cancellation)
    {
        long length = RandomAccess.GetLength(file);
        using var sha256 = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
#pragma warning disable CA5350 // what git and the hub name small files by; SHA-256 names the blob
        using var sha1 = IncrementalHash.CreateHash(HashAlgorithmName.SHA1);
#pragma warning restore CA5350
        sha1.AppendData(System.Text.Encoding.ASCII.GetBytes($"blob {length}\0"));
        byte[] block = new byte[BlockBytes];
        long offset = 0;
        for (int count = RandomAccess.Read(file, block, offset); count > 0; count = RandomAccess.Read(file, block, offset))
        {
            cancellation.ThrowIfCancellationRequested();
            sha256.AppendData(block, 0, count);
            if (withGit)
                sha1.AppendData(block, 0, count);
            offset += count;
            progress(count);
        }

        return (Convert.ToHexStringLower(sha256.GetHashAndReset()), withGit ? Convert.ToHexStringLower(sha1.GetHashAndReset()) : null);
    }

    /// <summary>Bytes that the store's disk has free; null where the system does not say.</summary>
    public static long? FreeBytes(string folder)
    {
        try
        {
            return new DriveInfo(OperatingSystem.IsWindows() ? Path.GetPathRoot(folder)! : folder).AvailableFreeSpace;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException)
        {
            return null;
        }
    }
}
