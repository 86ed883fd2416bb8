namespace Tern.Machine;

/// <summary>Every environment variable that the engine reads.</summary>
internal static class EnvironmentVariables
{
    /// <summary>Kernel family or row to use where the caller names none; null or empty is the best for this processor.</summary>
    public static string? Kernel => Environment.GetEnvironmentVariable("TERN_KERNEL");
}
