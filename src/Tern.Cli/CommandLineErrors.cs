using System.CommandLine;
using System.CommandLine.Parsing;
using System.Text.RegularExpressions;

namespace Tern.Cli;

/// <summary>
/// What is wrong with a command line, in one sentence with the nearest right word. The parser takes an unknown option for an argument
/// wherever one is free, so options are recognised here by their look: <c>-x</c> or <c>--word</c> before a lone <c>--</c>.
/// </summary>
internal static partial class CommandLineErrors
{
    /// <summary>The first error, or null.</summary>
    public static string? Find(ParseResult result, string[] arguments)
    {
        Command command = result.CommandResult.Command;
        string help = $"see '{Path(result.CommandResult)} --help'";
        IEnumerable<string> options = [.. command.Options.SelectMany(Names), "--help"];
        if (UnknownOption(result, arguments) is { } option)
            return $"unknown option '{option}'{Suggestion(option, options)}; {help}";

        if (command is RootCommand && result.UnmatchedTokens is [var verb, ..])
        {
            IEnumerable<string> verbs = command.Subcommands.Select(c => c.Name);
            return $"unknown verb '{verb}'{Suggestion(verb, verbs)}; known: {string.Join(", ", verbs)}";
        }

        if (result.UnmatchedTokens is [var extra, ..])
            return $"'{extra}' is one argument too many (put quotes around a text with spaces); {help}";

        return result.Errors is [var error, ..] ? $"{error.Message.TrimEnd('.')}; {help}" : null;
    }

    private static string? UnknownOption(ParseResult result, string[] arguments)
    {
        IEnumerable<string> written = arguments.TakeWhile(a => a != "--");
        IEnumerable<string> taken = result.CommandResult.Children.OfType<ArgumentResult>().SelectMany(a => a.Tokens).Select(t => t.Value);
        return taken.Concat(result.UnmatchedTokens).FirstOrDefault(t => OptionLook().IsMatch(t) && written.Contains(t));
    }

    private static IEnumerable<string> Names(Option option) => [option.Name, .. option.Aliases];

    private static string Path(CommandResult result) =>
        result.Parent is CommandResult parent ? $"{Path(parent)} {result.Command.Name}" : "tern";

    /// <summary>The nearest of the known words as a hint, or nothing where none is near.</summary>
    public static string Suggestion(string word, IEnumerable<string> known)
    {
        word = word.Split('=')[0];
        (string? nearest, int distance) = known.Distinct()
            .Select(k => (k, Distance(word, k)))
            .OrderBy(p => p.Item2)
            .ThenBy(p => p.k, StringComparer.Ordinal)
            .FirstOrDefault();
        return nearest is not null && distance <= Math.Max(1, word.Length / 3) ? $" (did you mean '{nearest}'?)" : "";
    }

    /// <summary>Edits between two words: insertions, deletions, replacements and swapped neighbours count one each.</summary>
    private static int Distance(string a, string b)
    {
        int[,] edits = new int[a.Length + 1, b.Length + 1];
        for (int i = 0; i <= a.Length; i++)
            edits[i, 0] = i;
        for (int j = 0; j <= b.Length; j++)
            edits[0, j] = j;
        for (int i = 1; i <= a.Length; i++)
        {
            for (int j = 1; j <= b.Length; j++)
            {
                int replace = edits[i - 1, j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
                edits[i, j] = Math.Min(replace, Math.Min(edits[i - 1, j], edits[i, j - 1]) + 1);
                if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                    edits[i, j] = Math.Min(edits[i, j], edits[i - 2, j - 2] + 1);
            }
        }

        return edits[a.Length, b.Length];
    }

    [GeneratedRegex(@"^--?[A-Za-z][A-Za-z0-9_-]*(=.*)?$", RegexOptions.Singleline)]
    private static partial Regex OptionLook();
}
