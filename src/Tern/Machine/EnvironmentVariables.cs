namespace Tern.Machine;

/// <summary>Every environment variable that the engine reads.</summary>
internal static class EnvironmentVariables
{
    /// <summary>Kernel family or row to use where the caller names none; null or empty is the best for this processor.</summary>
    public static string? Kernel => Environment.GetEnvironmentVariable("TERN_KERNEL");

    /// <summary>The folder for what the engine remembers between runs; null or empty is a folder of Tern's where the system keeps caches.</summary>
    public static string? Cache => Environment.GetEnvironmentVariable("TERN_CACHE");

    /// <summary>Where programs keep caches by the XDG base directory specification; not set on most systems.</summary>
    public static string? XdgCacheHome => Environment.GetEnvironmentVariable("XDG_CACHE_HOME");

    /// <summary>What Windows calls the processor.</summary>
    public static string? ProcessorIdentifier => Environment.GetEnvironmentVariable("PROCESSOR_IDENTIFIER");
}
