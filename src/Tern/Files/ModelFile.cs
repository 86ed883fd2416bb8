using Microsoft.Win32.SafeHandles;

namespace Tern.Files;

/// <summary>Opens a file for reading, with an error that says what is wrong with the path when that fails.</summary>
internal static class ModelFile
{
    /// <summary>An open file and its length at this moment, which bounds everything read from it later.</summary>
    /// <exception cref="TernException">The path is missing, a folder, empty or not readable.</exception>
    public static SafeFileHandle Open(string path, out long length)
    {
        const string field = "file";
        try
        {
            if (Directory.Exists(path))
                throw FileError.Whole(ErrorKind.File, path, "path", "is a folder", "name the model file in it");

            // Asked before opening: a pipe has no length, and opening one would wait for its writer.
            var info = new FileInfo(path);
            if (info.LinkTarget is not null)
                info = info.ResolveLinkTarget(returnFinalTarget: true) as FileInfo ?? info;
            if (info.Exists && info.Length == 0)
                throw FileError.At(ErrorKind.Format, path, 0, field, "is empty, 0 bytes", "download the file again");

            SafeFileHandle handle = File.OpenHandle(path, FileMode.Open, FileAccess.Read, FileShare.Read | FileShare.Delete);
            length = RandomAccess.GetLength(handle);
            return handle;
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            throw FileError.Whole(ErrorKind.File, path, "path", "does not exist", "check the path", e);
        }
        catch (UnauthorizedAccessException e)
        {
            throw FileError.Whole(ErrorKind.File, path, field, "may not be read by this user", "check its permissions", e);
        }
        catch (Exception e) when (e is IOException or ArgumentException or NotSupportedException)
        {
            throw FileError.Whole(ErrorKind.File, FileError.Quote(path), field, $"cannot be opened: {e.Message}", "check the path", e);
        }
    }
}
