using System.CommandLine;

namespace Tern.Cli;

internal static class Program
{
    private static int Main(string[] arguments) =>
        new RootCommand("Run, inspect and measure 1-bit language models.").Parse(arguments).Invoke();
}
