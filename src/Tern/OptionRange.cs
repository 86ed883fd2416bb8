using System.Globalization;
using System.Numerics;

namespace Tern;

/// <summary>Checks of option values, with errors that name the option, the value and the range.</summary>
internal static class OptionRange
{
    /// <summary>Refuses values outside [minimum, maximum], and what is not a number.</summary>
    /// <exception cref="TernException">Outside.</exception>
    public static void Range<T>(string name, T value, T minimum, T maximum)
        where T : INumber<T>
    {
        if (!(value >= minimum && value <= maximum))
            throw Wrong(string.Create(CultureInfo.InvariantCulture, $"{name} is {value}, must be in [{minimum}, {maximum}]"));
    }

    /// <summary>Refuses lists that are too long, and entries that are empty or too long.</summary>
    /// <exception cref="TernException">Too many, too long, or empty.</exception>
    public static void Texts(string name, IReadOnlyList<string> texts, int countMax, int lengthMax)
    {
        if (texts is null)
            throw Wrong($"{name} is null, must be a list; an empty one switches it off");
        if (texts.Count > countMax)
            throw Wrong($"{name} has {texts.Count} entries, must have at most {countMax}");
        for (int i = 0; i < texts.Count; i++)
            if (texts[i] is not { Length: > 0 } text || text.Length > lengthMax)
                throw Wrong($"{name}[{i}] has {texts[i]?.Length ?? 0} characters, must have 1 to {lengthMax}");
    }

    /// <summary>An error about an option.</summary>
    public static TernException Wrong(string what) => new(ErrorKind.Request, $"option {what}");
}
