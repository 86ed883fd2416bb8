using System.Collections.Concurrent;

namespace Tern.Files;

/// <summary>
/// The files and folders that this process is writing under names of their own. A process that must end at once, while a thread of it waits for
/// the disk, deletes them on its way out. What is finished is renamed, and so is never among them.
/// </summary>
internal static class UnfinishedOutput
{
    private const string AbandonedSuffix = ".tern-abandoned";

    private static readonly ConcurrentDictionary<string, bool> s_paths = new(StringComparer.Ordinal);

    /// <summary>Notes a path that belongs to this process alone.</summary>
    public static void Add(string path) => s_paths.TryAdd(Path.GetFullPath(path), true);

    /// <summary>Forgets a path that was renamed or deleted.</summary>
    public static void Remove(string path) => s_paths.TryRemove(Path.GetFullPath(path), out _);

    /// <summary>Deletes what is unfinished, as far as it can be deleted.</summary>
    public static void DeleteAll()
    {
        foreach (string path in s_paths.Keys)
        {
            try
            {
                if (Directory.Exists(path))
                {
                    // By another name first, so that the thread that writes it can no longer publish what is being deleted.
                    Directory.Move(path, path + AbandonedSuffix);
                    Directory.Delete(path + AbandonedSuffix, recursive: true);
                }
                else
                {
                    File.Delete(path);
                }
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                // It may be finished at this moment; or it stays, under a name that nobody opens.
            }
        }
    }
}
