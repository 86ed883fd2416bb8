namespace Tern.Machine;

/// <summary>
/// The folder for what the engine remembers between runs and can find out again: TERN_CACHE, else a folder of Tern's where the system keeps
/// such things (XDG_CACHE_HOME or ~/.cache, ~/Library/Caches on macOS, the local application data on Windows).
/// </summary>
internal static class CacheFolder
{
    private const string Own = "tern";

    /// <summary>The folder, which need not exist yet, or null where the user has none.</summary>
    public static string? Path => EnvironmentVariables.Cache is { Length: > 0 } chosen ? System.IO.Path.GetFullPath(chosen) : Default;

    private static string? Default
    {
        get
        {
            if (OperatingSystem.IsWindows())
                return Below(Environment.GetFolderPath(Environment.SpecialFolder.LocalApplicationData), Own, "cache");

            string home = Environment.GetFolderPath(Environment.SpecialFolder.UserProfile);
            if (OperatingSystem.IsMacOS())
                return Below(home, "Library", "Caches", Own);

            // The specification says that a relative path is to be ignored.
            return EnvironmentVariables.XdgCacheHome is { } xdg && System.IO.Path.IsPathRooted(xdg) ? Below(xdg, Own) : Below(home, ".cache", Own);
        }
    }

    private static string? Below(string root, params string[] names) => root.Length == 0 ? null : System.IO.Path.Combine([root, .. names]);
}
