using System.Globalization;
using System.Text;

namespace Tern.Cli.Terminal;

/// <summary>
/// What people and scripts read on standard error: exactly one line per error or warning, because a script that greps the first line and a
/// person who sees only the last one must find the same thing.
/// </summary>
internal static class Messages
{
    /// <summary>Set to 1, the stack trace of an unexpected error is shown.</summary>
    private const string DebugVariable = "TERN_DEBUG";

    public static void Error(string kind, string message) => Console.Error.WriteLine($"tern: error ({kind}): {OneLine(message)}");

    public static void Warning(string message) => Console.Error.WriteLine($"tern: warning: {OneLine(message)}");

    public static void Warnings(IEnumerable<string> messages)
    {
        foreach (string message in messages)
            Warning(message);
    }

    /// <summary>Reports an exception and gives the exit code that belongs to it.</summary>
    public static int Report(Exception exception)
    {
        int code;
        switch (exception)
        {
            case UsageException:
                Error("usage", exception.Message);
                return ExitCode.Usage;
            case TernException known:
#pragma warning disable CA1308 // the kinds are words in a sentence, not keys to compare
                Error(known.Kind.ToString().ToLowerInvariant(), known.Message);
#pragma warning restore CA1308
                code = ExitCode.Of(known.Kind);
                break;
            case IOException or UnauthorizedAccessException:
                Error("file", exception.Message);
                code = ExitCode.NoInput;
                break;
            case OutOfMemoryException:
                Error("limit", "not enough memory; a smaller --context or a smaller model needs less");
                code = ExitCode.Of(ErrorKind.Limit);
                break;
            default:
                Error("internal", $"{exception.GetType().Name}: {exception.Message} (please report this; {DebugVariable}=1 shows where it happened)");
                code = ExitCode.Failure;
                break;
        }

        if (Environment.GetEnvironmentVariable(DebugVariable) == "1")
            Console.Error.WriteLine(exception);
        return code;
    }

    /// <summary>
    /// Line breaks become spaces and other control characters are spelled out: names out of a hostile file must not move the cursor or
    /// forge a second line.
    /// </summary>
    public static string OneLine(string message)
    {
        var line = new StringBuilder(message.Length);
        foreach (char c in message)
        {
            if (c is '\r' or '\n' or '\t')
            {
                if (line.Length > 0 && line[^1] != ' ')
                    line.Append(' ');
            }
            else if (char.IsControl(c) || char.GetUnicodeCategory(c) is UnicodeCategory.Format or UnicodeCategory.LineSeparator or UnicodeCategory.ParagraphSeparator)
            {
                line.Append(CultureInfo.InvariantCulture, $"\\u{(int)c:x4}");
            }
            else
            {
                line.Append(c);
            }
        }

        return line.ToString().Trim();
    }
}
