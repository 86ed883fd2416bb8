namespace Tern.Tests;

/// <summary>
/// Where the reference data that the repository may not contain lies: vocabularies, golden models, suites.
/// The folder is <c>TERN_SHARED</c>, or <c>shared</c> beside the checkout. Tests that need it carry <see cref="SharedFactAttribute"/>
/// or <see cref="SharedTheoryAttribute"/> and say aloud when it is absent.
/// </summary>
internal static class SharedData
{
    public static string? Root { get; } = Find();

    /// <summary>The full path of a file below the shared folder.</summary>
    public static string File(params string[] parts) =>
        Path.Combine([Root ?? throw new InvalidOperationException(Absent), .. parts]);

    public const string Absent = "SHARED DATA ABSENT: set TERN_SHARED to the folder of goldens, suites and vectors to run this test";

    private static string? Find()
    {
        if (Environment.GetEnvironmentVariable("TERN_SHARED") is { Length: > 0 } named)
            return Directory.Exists(named) ? named : null;

        for (DirectoryInfo? folder = new(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
            if (System.IO.File.Exists(Path.Combine(folder.FullName, "shared", "goldens", "index.json")))
                return Path.Combine(folder.FullName, "shared");

        return null;
    }
}

/// <summary>A fact that reads the shared folder.</summary>
public sealed class SharedFactAttribute : FactAttribute
{
    public SharedFactAttribute() => Skip = SharedData.Root is null ? SharedData.Absent : null;
}

/// <summary>A theory that reads the shared folder.</summary>
public sealed class SharedTheoryAttribute : TheoryAttribute
{
    public SharedTheoryAttribute() => Skip = SharedData.Root is null ? SharedData.Absent : null;
}
