using System.Globalization;

namespace Tern.Hub;

/// <summary>
/// Names that other people chose, before they become files here. A name is a relative path with forward slashes whose every part is an
/// ordinary file name on every system, so that a model that was pulled on one machine can be copied to any other.
/// </summary>
internal static class SafePath
{
    private const int LengthMax = 512;

    private static readonly string[] s_devices =
    [
        "CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$",
        .. Enumerable.Range(0, 10).SelectMany(i => new[] { $"COM{i}", $"LPT{i}" }),
    ];

    /// <summary>What is wrong with a name, or null.</summary>
    public static string? Problem(string name)
    {
        if (name.Length is 0 or > LengthMax)
            return $"its length is {name.Length}, must be 1 to {LengthMax}";
        if (name.Any(c => char.IsControl(c) || char.IsSurrogate(c) || char.GetUnicodeCategory(c) == UnicodeCategory.Format))
            return "it holds a character that cannot be seen";
        if (name.IndexOfAny(['\\', ':', '*', '?', '"', '<', '>', '|']) is >= 0 and int place)
            return $"it holds '{name[place]}'";
        foreach (string part in name.Split('/'))
        {
            if (part.Length == 0)
                return "it has an empty part, as absolute paths do";
            if (part is "." or "..")
                return $"it holds '{part}', which leads out of its folder";
            if (part[^1] is '.' or ' ' || part[0] == ' ')
                return "a part of it ends in a dot or has a space at an end, which Windows drops";
            if (s_devices.Contains(part.Split('.')[0].TrimEnd(), StringComparer.OrdinalIgnoreCase))
                return $"'{part}' is a device on Windows";
            if (part.EndsWith(StoreLayout.PartialSuffix, StringComparison.OrdinalIgnoreCase))
                return $"it ends in {StoreLayout.PartialSuffix}, which marks unfinished files";
        }

        return null;
    }

    /// <exception cref="TernException">The name could leave its folder or be no file on some system.</exception>
    public static void Check(string name, string source)
    {
        if (Problem(name) is { } problem)
            throw new TernException(ErrorKind.Unsupported, $"{source}: the file name {Files.FileError.Quote(name)} is refused: {problem}; nothing was downloaded");
    }
}
