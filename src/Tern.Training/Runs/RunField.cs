using System.Globalization;

namespace Tern.Training.Runs;

/// <summary>What a field takes.</summary>
internal enum RunFieldKind
{
    Text,
    Texts,
    Integer,
    Number,
    Choice,
    Boolean,
}

/// <summary>One field of a run's configuration, which is one member of the JSON file and one flag of the command line.</summary>
internal sealed class RunField
{
    private readonly Func<RunSettings, IReadOnlyList<string>, RunSettings> _set;

    private RunField(string name, string help, RunFieldKind kind, string takes, Func<RunSettings, IReadOnlyList<string>, RunSettings> set)
    {
        (Name, Help, Kind, Takes, _set) = (name, help, kind, takes, set);
        Flag = "--" + string.Concat(name.Select(c => char.IsAsciiLetterUpper(c) ? $"-{char.ToLowerInvariant(c)}" : $"{c}"));
    }

    /// <summary>The member of the JSON file: <c>learningRate</c>.</summary>
    public string Name { get; }

    /// <summary>The flag: <c>--learning-rate</c>.</summary>
    public string Flag { get; }

    /// <summary>One sentence.</summary>
    public string Help { get; }

    public RunFieldKind Kind { get; }

    /// <summary>What values look like, for the help.</summary>
    public string Takes { get; }

    /// <summary>Whether a continued run may have another value than it began with: such a field changes nothing of what is learned.</summary>
    public bool MayChange { get; private init; }

    /// <summary>The settings with this field set.</summary>
    /// <param name="settings">Settings so far.</param>
    /// <param name="values">One value; any number for <see cref="RunFieldKind.Texts"/>.</param>
    /// <param name="source">Where the values come from, for the message.</param>
    /// <exception cref="TernException">A value is not what the field takes.</exception>
    public RunSettings Set(RunSettings settings, IReadOnlyList<string> values, string source)
    {
        if (Kind != RunFieldKind.Texts && values.Count != 1)
            throw new TernException(ErrorKind.Request, $"{source}: takes one value, not {values.Count}");
        try
        {
            return _set(settings, values);
        }
        catch (FormatException e)
        {
            throw new TernException(ErrorKind.Request, $"{source}: '{string.Join(", ", values)}' is wrong: it takes {e.Message}", e);
        }
    }

    /// <summary>A field that may differ when a run is continued.</summary>
    public RunField Changeable() => new(Name, Help, Kind, Takes, _set) { MayChange = true };

    public static RunField Text(string name, string takes, string help, Func<RunSettings, string, RunSettings> set) =>
        new(name, help, RunFieldKind.Text, takes, (settings, values) => set(settings, values[0]));

    public static RunField Texts(string name, string takes, string help, Func<RunSettings, IReadOnlyList<string>, RunSettings> set) =>
        new(name, help, RunFieldKind.Texts, takes, set);

    public static RunField Integer(string name, int minimum, int maximum, string help, Func<RunSettings, int, RunSettings> set) =>
        new(name, help, RunFieldKind.Integer, "N", (settings, values) =>
            int.TryParse(values[0], NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out int value) && value >= minimum && value <= maximum
                ? set(settings, value)
                : throw new FormatException($"a whole number from {minimum} to {maximum}"));

    public static RunField Number(string name, double minimum, double maximum, string help, Func<RunSettings, double, RunSettings> set) =>
        new(name, help, RunFieldKind.Number, "X", (settings, values) =>
            double.TryParse(values[0], NumberStyles.Float, CultureInfo.InvariantCulture, out double value) && value >= minimum && value <= maximum
                ? set(settings, value)
                : throw new FormatException(string.Create(CultureInfo.InvariantCulture, $"a number from {minimum} to {maximum}")));

    public static RunField Choice(string name, IReadOnlyList<string> choices, string help, Func<RunSettings, string, RunSettings> set) =>
        new(name, help, RunFieldKind.Choice, string.Join('|', choices), (settings, values) =>
            choices.Contains(values[0], StringComparer.Ordinal) ? set(settings, values[0]) : throw new FormatException($"one of {string.Join(", ", choices)}"));

    public static RunField Boolean(string name, string help, Func<RunSettings, bool, RunSettings> set) =>
        new(name, help, RunFieldKind.Boolean, "true|false", (settings, values) =>
            bool.TryParse(values[0], out bool value) ? set(settings, value) : throw new FormatException("true or false"));
}
