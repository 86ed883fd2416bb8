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
internal sealed record RunField
{
    private static readonly RunSettings s_defaults = new();

    private readonly Func<RunSettings, IReadOnlyList<string>, RunSettings> _set;

    // When the field does nothing: the words behind "does nothing", or null, by the value of another field and whether precisions are compared.
    private IReadOnlyList<Func<Func<string, string?>, bool, string?>> _idle = [];

    private RunField(string name, string help, RunFieldKind kind, string takes, Func<RunSettings, IReadOnlyList<string>, RunSettings> set)
    {
        (Name, Help, Kind, Takes, _set) = (name, help, kind, takes, set);
        Flag = FlagOf(name);
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

    /// <summary>The value that counts when nobody sets one, as one would write it; null where it follows from other fields, or there is none.</summary>
    public string? Default { get; private init; }

    /// <summary>Whether a continued run may have another value than it began with: such a field changes nothing of what was learned so far.</summary>
    public bool MayChange { get; private init; }

    /// <summary>The same of a comparison, whose runs must be alike.</summary>
    public bool MayChangeInComparison { get; private init; }

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

    /// <summary>Why the field does nothing beside the others, as the end of a sentence: <c>without --teacher</c>; null when it does something.</summary>
    /// <param name="valueOf">The value of a field, its default included; null where there is none.</param>
    /// <param name="compares">Whether precisions are compared.</param>
    public string? WhyIdle(Func<string, string?> valueOf, bool compares) => _idle.Select(rule => rule(valueOf, compares)).FirstOrDefault(words => words is not null);

    /// <summary>A field that may differ when a run, or a comparison, is continued.</summary>
    public RunField Changeable() => this with { MayChange = true, MayChangeInComparison = true };

    /// <summary>A field that may differ when a run is continued, but not when a comparison is.</summary>
    public RunField ChangeableAlone() => this with { MayChange = true };

    /// <summary>A field whose default is that of the settings.</summary>
    public RunField Otherwise(Func<RunSettings, object> value) => this with { Default = Convert.ToString(value(s_defaults), CultureInfo.InvariantCulture) };

    /// <summary>A field that does nothing beside another.</summary>
    public RunField Not(string other, string why) => IdleWhen((valueOf, _) => valueOf(other) is null ? null : $"beside {FlagOf(other)}: {why}");

    /// <summary>A field that does nothing unless another has a value.</summary>
    public RunField Needs(string other, string wanted) => IdleWhen((valueOf, _) => valueOf(other) == wanted ? null : $"unless {FlagOf(other)} is {wanted}");

    /// <summary>A field that does nothing without a teacher; a comparison has one of its own.</summary>
    public RunField NeedsTeacher() => IdleWhen((valueOf, compares) => compares || valueOf("teacher") is not null ? null : "without --teacher");

    /// <summary>A field that does nothing in a comparison, unless it has one value.</summary>
    public RunField NotInComparison(string why, string? except = null) =>
        IdleWhen((valueOf, compares) => compares && valueOf(Name) != except ? $"beside --compare: {why}" : null);

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
            choices.Contains(values[0], StringComparer.Ordinal) ? set(settings, values[0]) : throw new FormatException($"one of {string.Join(", ", choices)}"))
        {
            Default = choices.FirstOrDefault(choice => set(s_defaults, choice) == s_defaults),
        };

    public static RunField Boolean(string name, string help, Func<RunSettings, bool, RunSettings> set) =>
        new(name, help, RunFieldKind.Boolean, "true|false", (settings, values) =>
            bool.TryParse(values[0], out bool value) ? set(settings, value) : throw new FormatException("true or false"))
        {
            Default = set(s_defaults, true) == s_defaults ? "true" : set(s_defaults, false) == s_defaults ? "false" : null,
        };

    private static string FlagOf(string name) => "--" + string.Concat(name.Select(c => char.IsAsciiLetterUpper(c) ? $"-{char.ToLowerInvariant(c)}" : $"{c}"));

    private RunField IdleWhen(Func<Func<string, string?>, bool, string?> rule) => this with { _idle = [.. _idle, rule] };
}
