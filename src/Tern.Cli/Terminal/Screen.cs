using Spectre.Console;

namespace Tern.Cli.Terminal;

/// <summary>
/// Where output goes and how much may be drawn there: tables, colours and progress for people at a terminal, plain text for pipes, files
/// and for everybody who sets NO_COLOR.
/// </summary>
internal static class Screen
{
    private static bool Plain { get; } =
        Environment.GetEnvironmentVariable("NO_COLOR") is { Length: > 0 } || Environment.GetEnvironmentVariable("TERM") == "dumb";

    /// <summary>Whether a person types the input.</summary>
    public static bool InputIsTerminal => !Console.IsInputRedirected;

    /// <summary>Whether standard output may be drawn on.</summary>
    public static bool OutputIsRich => !Console.IsOutputRedirected && !Plain;

    /// <summary>Whether standard error may be drawn on.</summary>
    public static bool ErrorIsRich => !Console.IsErrorRedirected && !Plain;

    /// <summary>Standard output for drawing; only when <see cref="OutputIsRich"/>.</summary>
    public static IAnsiConsole Output { get; } = Create(Console.Out);

    /// <summary>Standard error for drawing; only when <see cref="ErrorIsRich"/>.</summary>
    public static IAnsiConsole Error { get; } = Create(Console.Error);

    /// <summary>One line of remarks for the person, never part of the output.</summary>
    public static void Note(string text)
    {
        if (ErrorIsRich)
            Error.MarkupLineInterpolated($"[grey]{text}[/]");
        else
            Console.Error.WriteLine(text);
    }

    private static IAnsiConsole Create(TextWriter writer) =>
        AnsiConsole.Create(new AnsiConsoleSettings { Ansi = AnsiSupport.Detect, ColorSystem = ColorSystemSupport.Detect, Out = new AnsiConsoleOutput(writer) });
}
